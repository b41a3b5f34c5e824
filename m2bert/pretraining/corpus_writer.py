"""Corpora written to disk song by song; `corpus` says what the files hold."""

import json
import os
from array import array
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import numpy as np

from m2bert.base.errors import UserError
from m2bert.base.files import flush_to_disk, try_lock, write_json
from m2bert.notes.skipped import Tallies, count_by_reason, count_files_by_oddity

PARTS = (".npy", ".offsets.npy", ".json")
JOURNAL = ".jsonl"
HEADER_BYTES = 128
SECONDS_BETWEEN_CHECKPOINTS = 2.0


class CorpusWriter:
    """Writes a corpus song by song; memory stays flat, and a killed run can be continued.

    Notes go straight to `.NAME.partial.npy`. What became of each source file goes to a journal,
    `.NAME.partial.jsonl`, always after the notes are on the disk, so that the journal is never
    ahead of them. A corpus of the same name stays as it is until `finish`. The empty file
    `.NAME.lock`, which stays, is locked as long as the writer lives.
    """

    def __init__(self, folder: Path | str, name: str, inputs: str) -> None:
        """Continue what an earlier writer began from the same `inputs`, else start anew.

        `inputs` identifies the source files and their order. Raises `UserError` if another
        process is writing this corpus.
        """
        self.folder, self.name, self.inputs = Path(folder), name, inputs
        lock = try_lock(self.folder / f".{name}.lock")
        if lock is None:
            raise UserError(f"another process is writing {name} in {folder}")
        self._lock = lock
        finish_replacement(self.folder, name)
        self._journal, self._data = map(_open_for_update, self._partial_files())
        self._take_up()

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._close()
        finally:
            self._lock.release()

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

    def add(self, file: str, notes: np.ndarray, oddities: Tallies | None = None) -> None:
        """Append one song, CP notes (notes, 4) uint8 with at least one note, made from `file`.

        oddities: what is odd about the file (`notes.legal_midi`); files are counted by it.
        """
        self._data.write(np.ascontiguousarray(notes, np.uint8).tobytes())
        self._record({"file": file, "notes": len(notes)} | ({"odd": oddities} if oddities else {}))

    def skip(self, file: str, reason: str, detail: str = "") -> None:
        """Say that `file` gave no song; files are counted by `reason`."""
        self._record({"file": file, "reason": reason, "detail": detail})

    def finish(self) -> None:
        """Complete the corpus; it replaces an earlier one of the same name."""
        self._data.seek(0)  # numpy leaves room for any number of notes: always `HEADER_BYTES`
        shape = {"descr": "|u1", "fortran_order": False, "shape": (self.notes, 4)}
        np.lib.format.write_array_header_1_0(self._data, shape)
        self._close()  # Windows replaces and removes no open files
        offsets_path = _partial(self.folder, self.name, ".offsets.npy")
        np.save(offsets_path, np.array(self._offsets, np.int64))
        flush_to_disk(offsets_path)
        facts = {
            "name": self.name,
            "songs": self.songs,
            "notes": self.notes,
            "skipped_by_reason": count_by_reason(self.skipped),
            "skipped": self.skipped,
            "odd_by_kind": count_files_by_oddity(self.odd.values()),
            "odd": self.odd,
            "files": self.files,
            "inputs": self.inputs,
        }
        write_json(commit_record(self.folder, self.name), facts)
        finish_replacement(self.folder, self.name)

    def discard(self) -> None:
        """Remove what was written."""
        self._close()
        for file in self._partial_files():
            file.unlink()

    def _partial_files(self) -> list[Path]:
        return [_partial(self.folder, self.name, part) for part in (JOURNAL, ".npy")]

    def _take_up(self) -> None:
        """Read the journal as far as it is whole, of the same inputs and covered by the notes."""
        self.files: list[str] = []
        self.skipped: list[dict[str, str]] = []
        self.odd: dict[str, Tallies] = {}
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
            if "odd" in entry:
                self.odd[entry["file"]] = entry["odd"]
        else:
            self.skipped.append(entry)

    def _close(self) -> None:
        """Keep what was written and close the files, unless that was done."""
        if not self._journal.closed:
            with self._journal, self._data:  # both are closed, also on a full disk
                self._checkpoint()

    def _checkpoint(self) -> None:
        _to_disk(self._data)
        pending, self._pending = self._pending, []
        self._journal.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in pending))
        _to_disk(self._journal)
        self._last_checkpoint = monotonic()


def finish_replacement(folder: Path, name: str) -> None:
    """Complete a `CorpusWriter.finish` that was killed while it moved files to their places."""
    record = commit_record(folder, name)
    if not record.exists():
        return
    for part in PARTS[:-1]:
        with suppress(FileNotFoundError):  # it has taken its place already
            _partial(folder, name, part).replace(folder / f"{name}{part}")
    _partial(folder, name, JOURNAL).unlink(missing_ok=True)
    flush_to_disk(folder)
    record.replace(folder / f"{name}.json")
    flush_to_disk(folder)


def _partial(folder: Path, name: str, part: str) -> Path:
    return folder / f".{name}.partial{part}"


def commit_record(folder: Path, name: str) -> Path:
    """The new NAME.json under its temporary name: it is there only while `finish` moves the files
    of a complete corpus to their places."""
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
