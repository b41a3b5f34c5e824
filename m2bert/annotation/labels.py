"""What models say of a song: labels of its notes and of the piece."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.notes.song import Song
from m2bert.tasks import PADDING

SPAN_TASKS = ("localkey", "chordroot")
"""Tasks whose labels hold for stretches of time (`spans`)."""

MOMENT_TASKS = ("downbeat", "beat")
"""Tasks that find moments (`moments`)."""


@dataclass(frozen=True)
class Annotation:
    """A song and what was said of it.

    Attributes:
        marks: notes that models do not read, or read as something else, by the reason ("drums",
            "short", "pitch clipped", "duration clipped"; see `warnings.marks_of`), (notes,) bool.
        note_labels, piece_labels: by task (a key of `tasks.TASKS`, in that order).
        models: by task, the folders of the models whose probabilities were averaged.
        warnings: sentences for the user.
    """

    song: Song
    marks: dict[str, np.ndarray]
    note_labels: dict[str, NoteLabels]
    piece_labels: dict[str, PieceLabels]
    models: dict[str, list[str]]
    warnings: list[str]


class Span(NamedTuple):
    """A stretch of time under one label: ticks, and a class."""

    start: int
    end: int
    label: int


def spans(song: Song, labels: NoteLabels) -> list[Span]:
    """The stretches of time over which a label (a chord, a key) stays the same.

    Notes that begin together have one label, the class with the greatest mean probability. A
    stretch lasts until the first onset with another label, the last one until the music ends.
    Stretches of the class "padding" are left out.
    """
    read = labels.was_read
    if not read.any():
        return []
    onsets, group = np.unique(song.notes.start[read], return_inverse=True)
    summed = np.zeros((len(onsets), len(labels.classes)))
    np.add.at(summed, group, labels.probabilities[read])
    label = summed.argmax(1)
    first = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
    ends = np.append(onsets[first[1:]], song.notes.end.max())
    found = map(Span, onsets[first].tolist(), ends.tolist(), label[first].tolist())
    return [span for span in found if labels.classes[span.label] != PADDING]


def moments(song: Song, labels: NoteLabels) -> np.ndarray:
    """Ticks at which notes of the task's last class ("beat") begin, ascending, each once, int64."""
    return np.unique(song.notes.start[labels.label == len(labels.classes) - 1])
