"""Files of songs in folders, read by several processes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from m2bert.base.errors import UserError
from m2bert.base.workers import WorkerFailure, map_in_processes
from m2bert.notes.file_search import music_files_below
from m2bert.notes.skipped import Entry, RejectedSong

SECONDS_PER_FILE = 120  # far above what the slowest real file takes

HIDDEN = (".", "__MACOSX")
"""How names of ignored files and folders begin: hidden ones, and those that macOS adds to archives.
"""

T = TypeVar("T")


def files_in(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files with one of the suffixes in `paths` and in folders in `paths`, without hidden ones,
    each once. Raises `UserError` if one of `paths` does not exist."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        if path.is_dir():
            below = [file for file in music_files_below(path, suffixes) if not is_hidden(file)]
        else:
            below = [""] if path.name.lower().endswith(suffixes) else []
        for file in below:
            found.setdefault((path / file).resolve(), path / file)
    return list(found.values())


def is_hidden(path: str) -> bool:
    """Whether a file or one of its folders is ignored; `path` is relative."""
    return any(part.startswith(HIDDEN) for part in path.split("/"))


def read_files(
    read: Callable[[Path], T], files: Sequence[Path], workers: int, skipped: list[Entry]
) -> Iterator[tuple[Path, T]]:
    """Yield each file with `read(file)`, computed by several processes, in the order of `files`,
    with a progress bar. Files for which `read` raises `RejectedSong`, or whose process fails, are
    added to `skipped`. `read` must be importable by name."""
    bar = tqdm(total=len(files), desc="reading", unit=" files", disable=None)
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


def _attempt(read: Callable[[Path], T], file: Path) -> T | RejectedSong:
    try:
        return read(file)
    except RejectedSong as rejection:
        return rejection
