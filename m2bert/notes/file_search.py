"""Files of music in folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from m2bert.base.errors import UserError

MIDI_SUFFIXES = (".mid", ".midi", ".rmi", ".kar", ".smf")
SCORE_SUFFIXES = (".musicxml", ".xml", ".mxl", ".krn", ".mei")
SUFFIXES = MIDI_SUFFIXES + SCORE_SUFFIXES
SUFFIX_LIST = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]} file"


def music_files_below(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Every file of music below a folder, by its extension in any case, sorted, relative to the
    folder.

    Linked folders are followed, each folder once. A folder that cannot be listed stands in the
    list itself, so that it is counted among the files that cannot be read.
    """
    unlisted: list[str] = []
    found = [
        os.path.join(parent, file)
        for parent, files in _folders_below(folder, unlisted)
        for file in files
        if file.lower().endswith(suffixes)
    ]
    return sorted(Path(path).relative_to(folder).as_posix() for path in found + unlisted)


def _folders_below(folder: Path, unlisted: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder and its files, and add to `unlisted` what cannot be listed."""
    seen = set()
    walk = os.walk(folder, onerror=lambda error: unlisted.append(error.filename), followlinks=True)
    for parent, folders, files in walk:
        folders.sort()
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()  # a link back, or a second one
        else:
            seen.add((status.st_dev, status.st_ino))
            yield parent, files


def collect_music_files(paths: Iterable[Path]) -> list[Path]:
    """The files among `paths`, with any ending, and the files of music below the folders among
    them; each file once.

    Raises `UserError` if one of `paths` is not there, or is a folder without such files.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        below = [path / file for file in music_files_below(path)] if path.is_dir() else [path]
        if not below:
            raise UserError(f"no MIDI files or scores in {path} (looked for every {SUFFIX_LIST})")
        found += below
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return list(once.values())
