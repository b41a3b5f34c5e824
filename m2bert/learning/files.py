"""Files of songs in folders."""

from collections.abc import Iterable
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.notes.file_search import music_files_below

HIDDEN = (".", "__MACOSX")
"""How names of ignored files and folders begin: hidden ones, and those that macOS adds to archives.
"""


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
