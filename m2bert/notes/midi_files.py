"""MIDI files in folders."""

import os
from collections.abc import Iterable
from pathlib import Path

from m2bert.base.errors import UserError

MIDI_SUFFIXES = (".mid", ".midi")


def refuse_no_file(path: Path) -> None:
    """Raise `UserError` if there is nothing at `path`, or something other than a file."""
    if not path.exists():
        raise UserError(f"there is no file {path}")
    if not path.is_file():
        raise UserError(f"{path} is no file: name a MIDI file")


def midi_files_below(folder: Path) -> list[str]:
    """Every `.mid` and `.midi` below a folder, capitals or not, sorted, relative to the folder."""
    return sorted(
        Path(parent, file).relative_to(folder).as_posix()
        for parent, _, files in os.walk(folder)
        for file in files
        if file.lower().endswith(MIDI_SUFFIXES)
    )


def collect_midi_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are given, whatever their names, and those below folders; each counts once.

    Raises `UserError` if one of `paths` is not there, or is a folder without MIDI files.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        below = [path / file for file in midi_files_below(path)] if path.is_dir() else [path]
        if not below:
            raise UserError(f"no MIDI files in {path} (looked for *.mid, *.midi)")
        found += below
    return list(dict.fromkeys(found))
