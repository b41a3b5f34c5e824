"""Corpora written to disk song by song; `corpus` describes the files."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from m2bert.base.files import write_errors_of, write_json
from m2bert.base.outputs import output_files
from m2bert.notes.skipped import Tallies, count_by_reason, count_files_by_defect

PARTS = (".npy", ".offsets.npy", ".json")
_HEADER_BYTES = 128


class CorpusWriter:
    """What `write_corpus` yields. Notes go straight to the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets = array("q", [0])
        self.files: list[str] = []
        self.skipped: list[dict[str, str]] = []
        self.defects: dict[str, Tallies] = {}

    @property
    def notes(self) -> int:
        return self._offsets[-1]

    def add(self, file: str, notes: np.ndarray, defects: Tallies | None = None) -> None:
        """Append a song, CP notes (notes, 4) uint8 with at least one note, made from `file`."""
        self._file.write(np.ascontiguousarray(notes, np.uint8).tobytes())
        self._offsets.append(self.notes + len(notes))
        self.files.append(file)
        if defects:
            self.defects[file] = defects

    def skip(self, file: str, reason: str, detail: str = "") -> None:
        """Record that `file` gave no song; files are counted by `reason`."""
        self.skipped.append({"file": file, "reason": reason, "detail": detail})


@contextmanager
def write_corpus(
    folder: Path | str, name: str, inputs: str, overwrite: bool = False
) -> Iterator[CorpusWriter]:
    """Write the corpus `name` to `folder` at the end of the block, unless it raises.

    inputs: identifies the source files and how they are read; overwrite: as in `output_files`.
    """
    folder = Path(folder)
    names = [f"{name}{part}" for part in PARTS]
    with output_files(folder, names, overwrite) as temporary:
        notes_path, offsets_path, json_path = (temporary / name for name in names)
        with write_errors_of(folder / names[0]), notes_path.open("wb") as file:
            file.write(bytes(_HEADER_BYTES))
            writer = CorpusWriter(file)
            yield writer
            file.seek(0)  # numpy leaves room for any number of notes: always `_HEADER_BYTES`
            shape = {"descr": "|u1", "fortran_order": False, "shape": (writer.notes, 4)}
            np.lib.format.write_array_header_1_0(file, shape)
        with write_errors_of(folder / names[1]):
            np.save(offsets_path, np.array(writer._offsets, np.int64))
        facts = {
            "name": name,
            "songs": len(writer.files),
            "notes": writer.notes,
            "skipped_by_reason": count_by_reason(writer.skipped),
            "skipped": writer.skipped,
            "files_by_defect": count_files_by_defect(writer.defects.values()),
            "defects": writer.defects,
            "files": writer.files,
            "inputs": inputs,
        }
        write_json(json_path, facts)
        # without them, a command that is killed while files are moved leaves no mixture of corpora
        for old in names:
            (folder / old).unlink(missing_ok=True)
