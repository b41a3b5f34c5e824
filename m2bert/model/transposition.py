"""Music at other pitches: CP notes, and the classes of tasks that name pitches.

Names are places on the line of fifths (... B- F C G D ... = ... -2 -1 0 1 2 ...), on which a name
moves by 7 for each semitone upwards, plus or minus 12 for an enharmonically equivalent spelling.
"""

from collections.abc import Sequence

import numpy as np

from m2bert.notes.cp import FIELDS, PITCHES, real_notes
from m2bert.tasks import Task, place_in_fifths

PITCH = FIELDS.index("Pitch")
"""The column of a CP note."""

OCTAVE = 12
"""Semitones: so many transpositions give every key once."""

TRANSPOSITIONS = 6
"""As many are averaged for chord roots and keys; twelve are not better (benchmarks/LOG.md)."""


def check_transpositions(number: int) -> int:
    """Return `number`; raise `ValueError` unless so many transpositions are within an octave."""
    if not 1 <= number <= OCTAVE:
        raise ValueError(
            f"transpositions {number} is not in 1..{OCTAVE}, the semitones of an octave"
        )
    return number


def possible_shifts(notes: np.ndarray, transpositions: int) -> list[int]:
    """The semitones by which CP notes (notes, 4) can be moved within the vocabulary's range, of the
    `transpositions` around 0: -6 to 5 of 12, and 0 alone of 1."""
    pitch = notes[real_notes(notes), PITCH].astype(int)
    lowest = max(-(transpositions // 2), -pitch.min())
    highest = min((transpositions - 1) // 2, PITCHES - 1 - pitch.max())
    return list(range(lowest, highest + 1))


def moved_notes(notes: np.ndarray, semitones: int) -> np.ndarray:
    """CP notes (notes, 4), transposed; padding stays."""
    moved, real = notes.copy(), real_notes(notes)
    moved[real, PITCH] = moved[real, PITCH].astype(int) + semitones
    return moved


def class_shifts(task: Task, most: int) -> np.ndarray:
    """The transposed classes of a task, (2 most + 1, classes) int64: in row most + k, k semitones
    upwards, the nearest spelling that is a class, or -1."""
    return np.stack([moved_classes(task, fifths_of(k)) for k in range(-most, most + 1)])


def fifths_of(semitones: int) -> int:
    """The fewest steps on the line of fifths that transpose a name by some semitones."""
    return (7 * semitones + 6) % 12 - 6


def moved_classes(task: Task, fifths: int) -> np.ndarray:
    """The classes of a task, moved by steps on the line of fifths, (classes,) int64: of enharmonic
    spellings the nearest to that place that is a class; -1 if none is. All classes themselves if
    they do not name pitches."""
    if not task.names_pitches:
        return np.arange(len(task.classes))
    places = [place_in_fifths(name) for name in task.classes]
    known = {place: label for label, place in enumerate(places) if place is not None}
    turns = sorted(range(-144, 145, 12), key=abs)
    row = []
    for label, place in enumerate(places):
        if place is None:  # padding
            row.append(label)
            continue
        moved = ((place[0] + fifths + turn, place[1]) for turn in turns)
        row.append(next((known[name] for name in moved if name in known), -1))
    return np.array(row)


def enharmonic_groups(classes: Sequence[str]) -> np.ndarray:
    """For each class the first one that is enharmonically equivalent to it, (classes,) int64."""
    places = [place_in_fifths(name) for name in classes]
    pitches = [place and (place[0] % 12, place[1]) for place in places]
    return np.array([pitches.index(pitch) for pitch in pitches])
