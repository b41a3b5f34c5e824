"""Comparing what two readers of MIDI files return."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from m2bert.notes.reader import read_song
from m2bert.notes.skipped import RejectedSong
from m2bert.notes.song import Notes


def read_or_reason(path: Path, reader: str, as_published: bool = False) -> Notes | str:
    """The notes of a file, or why it is rejected."""
    try:
        return read_song(path, reader, as_published).notes
    except RejectedSong as rejection:
        return rejection.reason


def difference(expected: Notes | str, found: Notes | str) -> str:
    """What differs between two readings of a file; empty if nothing does."""
    if isinstance(expected, str) or isinstance(found, str):
        outcomes = [x if isinstance(x, str) else f"{len(x.start)} notes" for x in (found, expected)]
        return "" if expected == found else f"{outcomes[0]} instead of {outcomes[1]}"
    if len(expected.start) != len(found.start):
        return f"{len(found.start)} notes instead of {len(expected.start)}"
    names = [field.name for field in fields(Notes)]
    differing = [n for n in names if not np.array_equal(getattr(expected, n), getattr(found, n))]
    return ", ".join(differing)
