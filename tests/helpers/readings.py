"""Readings of MIDI files that can be compared."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from m2bert.notes.skipped import RejectedSong
from m2bert.notes.song import Notes, Song


def values(notes: Notes) -> dict:
    return {field.name: np.asarray(getattr(notes, field.name)).tolist() for field in fields(Notes)}


def values_or_reason(read: Callable[[], Song]) -> dict | str:
    """The notes that a function reads, or why it rejects the file."""
    try:
        return values(read().notes)
    except RejectedSong as rejection:
        return rejection.reason
