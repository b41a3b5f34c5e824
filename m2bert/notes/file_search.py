"""Files of music in folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from m2bert.base.errors import UserError

MIDI_SUFFIXES = (".mid", ".midi", ".rmi", ".kar", ".smf")
SCORE_SUFFIXES = (".musicxml", ".xml", ".mxl", ".krn", ".mei")
SUFFIXES = MIDI_SUFFIXES + SCORE_SUFFIXES
SUFFIX_LIST = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]} file"


HIDDEN = (".", "__MACOSX")
"""How the names of ignored files and folders begin: hidden ones, and those that macOS adds to
archives."""


def is_hidden(name: str) -> bool:
    return name.startswith(HIDDEN)


def files_below(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Every file below a folder that ends with one of the suffixes, in any case, and is not hidden;
    sorted, relative to the folder.

    Linked folders are followed, each folder once. A folder that cannot be listed is in the list
    itself, and so among the files that cannot be read.
    """
    unlisted: list[str] = []
    found = [
        os.path.join(parent, file)
        for parent, files in _folders_below(folder, unlisted)
        for file in files
        if file.lower().endswith(suffixes) and not is_hidden(file)
    ]
    return sorted(Path(path).relative_to(folder).as_posix() for path in found + unlisted)


def _folders_below(folder: Path, unlisted: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder that is not hidden and its files, and add to `unlisted` what cannot be
    listed."""
    seen = set()
    walk = os.walk(folder, onerror=lambda error: unlisted.append(error.filename), followlinks=True)
    for parent, folders, files in walk:
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()  # a link back, or a second one
        else:
            seen.add((status.st_dev, status.st_ino))
            yield parent, files


def files_in(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files with one of the suffixes in `paths` and below folders in `paths`, each once. Raises
    `UserError` if one of `paths` does not exist."""
    found = (file for path in paths for file in _files_of(path, suffixes))
    # a folder among them cannot be listed, which its reader reports
    return _each_once(f for f in found if f.name.lower().endswith(suffixes) or f.is_dir())


def collect_music_files(paths: Iterable[Path]) -> list[Path]:
    """The files in `paths`, with any extension, and the files of music below those that
    are folders; each file once.

    Raises `UserError` if one of `paths` does not exist, or is a folder without such files.
    """
    found = []
    for path in paths:
        if not (files := _files_of(path, SUFFIXES)):
            raise UserError(f"no MIDI files or scores in {path} (looked for every {SUFFIX_LIST})")
        found += files
    return _each_once(found)


def _files_of(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files below a folder, or the file itself."""
    if not path.exists():
        raise UserError(f"there is no file or folder {path}")
    return [path / file for file in files_below(path, suffixes)] if path.is_dir() else [path]


def _each_once(paths: Iterable[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        found.setdefault(path.resolve(), path)
    return list(found.values())
