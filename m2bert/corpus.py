"""Corpora on disk: all songs of a corpus one after another, memory-mapped.

    NAME.npy           CP notes, uint8 (notes, 4)
    NAME.offsets.npy   int64 (songs + 1): song i is notes[offsets[i]:offsets[i + 1]]
    NAME.json          counts, the songs' source files in order, skipped files with the reasons

NAME.json is written last: where it is, the corpus is complete.
"""

import fcntl
import json
import mmap
import os
from array import array
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from m2bert.cp import FIELDS, ORDINARY_SIZES
from m2bert.errors import UserError
from m2bert.files import flush_to_disk, read_json, write_json
from m2bert.published_npy import is_pickled, read_songs
from m2bert.skipped_files import count_by_reason

PARTS = (".npy", ".offsets.npy", ".json")
HEADER_BYTES = 128
SECONDS_BETWEEN_CHECKPOINTS = 2.0

_MAKE_AGAIN = (
    "make the corpus again with "
    "`python -m data_creation.prepare_pretrain --dataset NAME --overwrite`"
)


# Reading


@dataclass(frozen=True)
class Corpus:
    """An open corpus. `notes` is memory-mapped: only what is read takes memory.

    `notes`: uint8 (notes, 4), read-only; `offsets`: int64 (songs + 1).
    A pickled corpus (for worker processes) is its name and folder; it is opened anew.
    """

    folder: Path
    name: str
    notes: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def song(self, index: int) -> np.ndarray:
        """CP notes of one song, uint8 (notes of the song, 4), not copied."""
        return self.notes[self.offsets[index] : self.offsets[index + 1]]

    def release(self) -> None:
        """Let go of the memory pages of what was read: else a process holds ever more of the file.

        Arrays of `song` stay good; what is read again comes from the system's cache of files.
        """
        mapping: mmap.mmap = self.notes.base.base
        mapping.madvise(mmap.MADV_DONTNEED)

    def song_names(self) -> list[str]:
        """The source files of the songs, in order, relative to the data set's folder."""
        path = self.folder / f"{self.name}.json"
        names = read_json(path).get("files")
        if not isinstance(names, list) or len(names) != len(self):
            raise UserError(f"{path} does not name the {len(self)} songs; {_MAKE_AGAIN}")
        return names

    def __reduce__(self) -> tuple:
        return open_flat, (self.folder, self.name)


def open_corpus(data_root: Path | str, name: str) -> Corpus:
    """Open the corpus `name` below `data_root`, which takes milliseconds whatever its size.

    A published `NAME.npy` (a pickled array of lists) is first turned into the flat form, once,
    below `data_root/flat`. Raises `UserError` if there is no such corpus or it is damaged; the
    values of the notes are not looked at (`check_notes` does that).
    """
    data_root = Path(data_root)
    path = data_root / f"{name}.npy"
    if not path.exists():
        raise UserError(
            f"there is no corpus {name} in {data_root} (looked for {path}); "
            "make it with `python -m data_creation.prepare_pretrain`"
        )
    if not path.with_suffix(".json").exists() and is_pickled(path):
        return _open_published(path)
    return open_flat(data_root, name)


def open_flat(folder: Path | str, name: str) -> Corpus:
    """Open the three files of a corpus. Raises `UserError` that names the file and the fault."""
    folder = Path(folder)
    notes_path, offsets_path, json_path = (folder / f"{name}{part}" for part in PARTS)
    if not json_path.exists():
        raise UserError(f"{notes_path} is incomplete: {json_path} is missing; {_MAKE_AGAIN}")
    if _commit_record(folder, name).exists():
        raise UserError(f"{notes_path} is half-way through being replaced; {_MAKE_AGAIN}")
    notes = _map_array(notes_path, np.uint8, "uint8 (notes, 4)", (4,))
    offsets = np.array(_map_array(offsets_path, np.int64, "int64 (songs + 1)", ()))
    if len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) <= 0).any():
        raise UserError(f"{offsets_path} does not hold rising offsets from 0; {_MAKE_AGAIN}")
    if offsets[-1] != len(notes):
        raise UserError(
            f"{offsets_path} ends at note {offsets[-1]}, {notes_path} at note {len(notes)}: "
            f"the files do not belong together; {_MAKE_AGAIN}"
        )
    return Corpus(folder, name, notes, offsets)


def check_notes(notes: np.ndarray, where: str) -> None:
    """Raise `UserError` if CP notes (..., 4) hold an id outside the ordinary vocabulary.

    `where` names the notes in the message.
    """
    sizes = np.array(ORDINARY_SIZES, np.uint8)
    # a column at a time: five times as quick as comparing rows of four
    largest = np.array([notes[..., column].max(initial=0) for column in range(len(FIELDS))])
    if (largest >= sizes).any():
        row, column = np.argwhere((notes >= sizes).reshape(-1, 4))[0]
        raise UserError(
            f"{where} holds {FIELDS[column]} {notes.reshape(-1, 4)[row, column]} at note {row}, "
            f"outside 0..{ORDINARY_SIZES[column] - 1}: the file is damaged"
        )


def _map_array(path: Path, dtype: type, expected: str, row_shape: tuple[int, ...]) -> np.ndarray:
    """Memory-map an array (n, *row_shape) read-only, as a plain array: its slices are quicker."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # never unpickles: refuses objects
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}); {_MAKE_AGAIN}") from error
    is_expected = array.dtype == dtype and array.ndim == 1 + len(row_shape)
    if not is_expected or array.shape[1:] != row_shape or not array.flags.c_contiguous:
        raise UserError(
            f"{path} holds {array.dtype} {array.shape} instead of {expected}; {_MAKE_AGAIN}"
        )
    return array.view(np.ndarray)


def _open_published(path: Path) -> Corpus:
    folder, name = path.parent / "flat", path.stem
    status = path.stat()
    inputs = f"{path.name}, {status.st_size} bytes, changed at {status.st_mtime_ns} ns"
    json_path = folder / f"{name}.json"
    finish_replacement(folder, name)
    if not json_path.exists() or read_json(json_path).get("inputs") != inputs:
        print(f"{path} is in the published form: writing it once in flat form to {folder}")
        _flatten_published(path, folder, name, inputs)
    return open_flat(folder, name)


def _flatten_published(path: Path, folder: Path, name: str, inputs: str) -> None:
    with CorpusWriter(folder, name, inputs) as writer:
        songs = enumerate(tqdm(read_songs(path), desc=name, unit=" songs", disable=None))
        for index, song in islice(songs, writer.done, None):
            check_notes(song, f"{path}, song {index},")
            if len(song):
                writer.add(str(index), song)
            else:
                writer.skip(str(index), "no notes")
        if not writer.songs:
            writer.discard()
            raise UserError(f"{path} holds no song with notes")
        writer.finish()


# Writing


class CorpusWriter:
    """Writes a corpus song by song; memory stays flat, and a killed run can be continued.

    Notes go straight to `.NAME.partial.npy`. What became of each source file goes to a journal,
    `.NAME.partial.jsonl`, always after the notes are on the disk, so that the journal is never
    ahead of them. A corpus of the same name stays as it is until `finish`.
    """

    def __init__(self, folder: Path | str, name: str, inputs: str) -> None:
        """Continue what an earlier writer began from the same `inputs`, else start anew.

        `inputs` identifies the source files and their order. Raises `UserError` if another
        process is writing this corpus.
        """
        self.folder, self.name, self.inputs = Path(folder), name, inputs
        self.folder.mkdir(parents=True, exist_ok=True)
        finish_replacement(self.folder, name)
        self._journal = _open_for_update(_journal(self.folder, name))
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._journal.close()
            raise UserError(f"another process is writing {name} in {folder}") from error
        self._data = _open_for_update(_partial(self.folder, name, ".npy"))
        self._take_up()

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._journal, self._data:  # both are closed, also on a full disk
            self._checkpoint()

    @property
    def done(self) -> int:
        """How many source files have been added or skipped."""
        return self.songs + len(self.skipped)

    @property
    def songs(self) -> int:
        return len(self.files)

    @property
    def notes(self) -> int:
        return self._offsets[-1]

    def add(self, file: str, notes: np.ndarray) -> None:
        """Append one song, CP notes (notes, 4) uint8 with at least one note, made from `file`."""
        self._data.write(np.ascontiguousarray(notes, np.uint8).tobytes())
        self._record({"file": file, "notes": len(notes)})

    def skip(self, file: str, reason: str, detail: str = "") -> None:
        """Say that `file` gave no song; files are counted by `reason`."""
        self._record({"file": file, "reason": reason, "detail": detail})

    def finish(self) -> None:
        """Put the complete corpus in the place of what bore its name."""
        self._checkpoint()
        self._data.seek(0)
        self._data.write(_npy_header(self.notes))
        _to_disk(self._data)
        offsets_path = _partial(self.folder, self.name, ".offsets.npy")
        np.save(offsets_path, np.array(self._offsets, np.int64))
        flush_to_disk(offsets_path)
        facts = {
            "name": self.name,
            "songs": self.songs,
            "notes": self.notes,
            "skipped_by_reason": count_by_reason(self.skipped),
            "skipped": self.skipped,
            "files": self.files,
            "inputs": self.inputs,
        }
        write_json(_commit_record(self.folder, self.name), facts)
        finish_replacement(self.folder, self.name)

    def discard(self) -> None:
        """Remove what was written."""
        _partial(self.folder, self.name, ".npy").unlink()
        _journal(self.folder, self.name).unlink()

    def _take_up(self) -> None:
        """Read the journal as far as it is whole, of the same inputs and covered by the notes."""
        self.files: list[str] = []
        self.skipped: list[dict[str, str]] = []
        self._offsets = array("q", [0])
        self._pending: list[dict[str, Any]] = []
        self._last_checkpoint = monotonic()

        head = {"inputs": self.inputs}
        bytes_of_notes = self._data.seek(0, os.SEEK_END) - HEADER_BYTES
        end = 0
        for line in self._journal:
            entry = _parse_line(line)
            needed = 4 * (self.notes + entry.get("notes", 0))
            if entry == {} or (end == 0 and entry != head) or needed > bytes_of_notes:
                break
            if end > 0:
                self._count(entry)
            end += len(line)
        if end == 0:
            self._pending.append(head)
        _cut(self._journal, end)
        _cut(self._data, HEADER_BYTES + 4 * self.notes)

    def _record(self, entry: dict[str, Any]) -> None:
        self._count(entry)
        self._pending.append(entry)
        if monotonic() - self._last_checkpoint > SECONDS_BETWEEN_CHECKPOINTS:
            self._checkpoint()

    def _count(self, entry: dict[str, Any]) -> None:
        if "notes" in entry:
            self.files.append(entry["file"])
            self._offsets.append(self.notes + entry["notes"])
        else:
            self.skipped.append(entry)

    def _checkpoint(self) -> None:
        _to_disk(self._data)
        pending, self._pending = self._pending, []
        self._journal.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in pending))
        _to_disk(self._journal)
        self._last_checkpoint = monotonic()


def finish_replacement(folder: Path, name: str) -> None:
    """Complete what a kill interrupted while finished files were taking their places."""
    record = _commit_record(folder, name)
    if not record.exists():
        return
    for part in PARTS[:-1]:
        if _partial(folder, name, part).exists():
            _partial(folder, name, part).replace(folder / f"{name}{part}")
    _journal(folder, name).unlink(missing_ok=True)
    flush_to_disk(folder)
    record.replace(folder / f"{name}.json")
    flush_to_disk(folder)


def _partial(folder: Path, name: str, part: str) -> Path:
    return folder / f".{name}.partial{part}"


def _journal(folder: Path, name: str) -> Path:
    return _partial(folder, name, ".jsonl")


def _commit_record(folder: Path, name: str) -> Path:
    """The new NAME.json under its temporary name: while it is there, the partial files count."""
    return _partial(folder, name, PARTS[-1])


def _open_for_update(path: Path) -> BinaryIO:
    path.touch()
    return path.open("r+b")


def _cut(file: BinaryIO, size: int) -> None:
    """Make the file `size` bytes long (the header's place is filled with zeros) and go there."""
    file.truncate(size)
    file.seek(size)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _parse_line(line: bytes) -> dict[str, Any]:
    """A line of the journal; {} if it is torn."""
    try:
        return json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}


def _npy_header(notes: int) -> bytes:
    """The header of an npy file of uint8 (notes, 4), always 128 bytes, so written last in place."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({notes}, 4), }}"
    size = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1).encode() + b"\n"
