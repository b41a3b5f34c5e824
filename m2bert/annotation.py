"""What models say of a song: labels of its notes and of the piece."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from m2bert.song import Song
from m2bert.tasks import PADDING

NOT_READ = -1

SPAN_TASKS = ("localkey", "chordroot")
"""Tasks whose labels hold for stretches of time (`spans`)."""

MOMENT_TASKS = ("downbeat", "beat")
"""Tasks that find moments (`moments`)."""


@dataclass(frozen=True)
class NoteLabels:
    """What the models of a note task say of every note.

    Attributes:
        classes: names of the classes.
        probabilities: (notes, classes) float32 in the order of the song's notes; NaN for the notes
            that were not read.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def was_read(self) -> np.ndarray:
        """(notes,) bool."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def label(self) -> np.ndarray:
        """The most probable class of each note, (notes,) int64, `NOT_READ` where there is none."""
        best = np.nan_to_num(self.probabilities, nan=-1.0).argmax(1)
        return np.where(self.was_read, best, NOT_READ)

    @property
    def names(self) -> np.ndarray:
        """Its name, (notes,) object: str, None where there is none."""
        return np.where(self.was_read, np.array(self.classes, object)[self.label], None)

    @property
    def probability(self) -> np.ndarray:
        """Probability of that class, (notes,) float32, NaN where there is none."""
        return self.probabilities.max(1)


@dataclass(frozen=True)
class PieceLabels:
    """What the models of a piece task say of the piece.

    Attributes:
        classes: names of the classes.
        probabilities: (classes,) float32.
        windows: (windows, classes) float32, of each of the windows that they are the mean of.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    windows: np.ndarray


@dataclass(frozen=True)
class Annotation:
    """A song and what was said of it.

    Attributes:
        marks: names of what is remarkable about a note ("drums", "short", "pitch clipped",
            "duration clipped") -> the notes of which it is true, (notes,) bool.
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
    """Stretches of one label (chords, keys), from onset to onset; the last ends with the music.
    Those of the class "padding" are left out.

    Notes that begin together speak with one voice, the mean of their probabilities.
    """
    read = labels.was_read
    if not read.any():
        return []
    onsets, group = np.unique(song.notes.start[read], return_inverse=True)
    summed = np.zeros((len(onsets), len(labels.classes)))
    np.add.at(summed, group, labels.probabilities[read])
    label = summed.argmax(1)
    first = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
    ends = [*onsets[first[1:]], song.notes.end.max()]
    found = zip(onsets[first], ends, label[first], strict=True)
    return [
        Span(int(start), int(end), int(value))
        for start, end, value in found
        if labels.classes[value] != PADDING
    ]


def moments(song: Song, labels: NoteLabels) -> np.ndarray:
    """Ticks at which notes of the last class ("beat") begin, each once, in order, int64."""
    return np.unique(song.notes.start[labels.label == len(labels.classes) - 1])
