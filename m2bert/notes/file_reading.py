"""Reading the songs of many files in several processes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from m2bert.base.workers import WorkerFailure, map_in_processes
from m2bert.notes.skipped import Entry, RejectedSong

SECONDS_PER_FILE = 120  # far above what the slowest real file takes

T = TypeVar("T")
File = TypeVar("File", str, Path)


def read_files(
    read: Callable[[File], T],
    files: Sequence[File],
    workers: int,
    skipped: list[Entry],
    title: str = "reading",
) -> Iterator[tuple[File, T]]:
    """Yield each file with `read(file)`, computed by several processes, in the order of `files`,
    with a progress bar. Files for which `read` raises `RejectedSong`, or whose process fails, are
    added to `skipped`. `read` must be importable by name."""
    bar = tqdm(total=len(files), desc=title, unit=" files", disable=None)
    results = map_in_processes(partial(_attempt, read), files, workers, SECONDS_PER_FILE)
    with bar, closing(results):
        for file, result in zip(files, results, strict=True):
            bar.update()
            if isinstance(result, RejectedSong | WorkerFailure):
                entry = {"file": str(file), "reason": result.reason, "detail": result.detail}
                skipped.append(entry)
                bar.set_postfix(skipped=len(skipped), refresh=False)
            else:
                yield file, result


def _attempt(read: Callable[[File], T], file: File) -> T | RejectedSong:
    try:
        return read(file)
    except RejectedSong as rejection:
        return rejection
