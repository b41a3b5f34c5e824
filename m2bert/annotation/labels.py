"""The labels of a song: of its notes, of spans of time, and of the piece."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from m2bert.annotation.models import ModelFacts
from m2bert.annotation.names import pitch_name
from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.notes.song import Song
from m2bert.tasks import PADDING, place_in_fifths

SPAN_TASKS = ("localkey", "chordroot")
"""Tasks whose labels hold for spans of time (`spans`)."""

SMOOTHED_TASK = "localkey"
"""The task whose spans are decoded over the whole piece, since keys rarely change."""

KEY_CHANGE = 8.0
"""The cost of a change of key, as the logarithm of a ratio of probabilities. With 8, validation
pieces of the benchmark have as many changes as their annotations, 6.5 and 6.4 per piece, and more
notes are right than without (`python -m benchmarks.key_spans`)."""

UNSURE_BELOW = 0.5
"""Labels with a lower mean probability are called unsure. Of 20 pieces of each task's validation
set, those of keys below it have .30 and .46 of the notes right, the others .55 to 1; of velocity at
least four are (.30 to .54 right), of roots, melody, beats and downbeats none. It finds no bad piece
of beats: they have at least .67, with .56 to .87 of the notes right."""

BEAT_TASKS = ("downbeat", "beat")
"""Tasks whose last class marks beats (`beat_ticks`)."""


@dataclass(frozen=True)
class Annotation:
    """A song and its labels.

    Attributes:
        marks: notes that models skip or read as something else, by the reason
            (`warnings.marks_of`), (notes,) bool.
        note_labels, piece_labels: by task (a key of `tasks.TASKS`, in that order).
        models: by task, facts about the models whose probabilities were averaged.
        warnings: sentences for the user.
        key_change: as `KEY_CHANGE`; with 0 each onset has its most probable key.
    """

    song: Song
    marks: dict[str, np.ndarray]
    note_labels: dict[str, NoteLabels]
    piece_labels: dict[str, PieceLabels]
    models: dict[str, list[ModelFacts]]
    warnings: list[str]
    key_change: float = KEY_CHANGE

    @cached_property
    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """The decoded key of each note, and the sum of the probabilities of the keys that are
        enharmonically equivalent to it; as `shown_labels`."""
        labels = self.note_labels[SMOOTHED_TASK]
        label, probability, read = labels.label, labels.probability, labels.was_read
        if read.any():
            found = labels.probabilities[read]
            _, group, mean = means_of_onsets(self.song.notes.start[read], found)
            label[read] = most_probable_keys(mean, labels.classes, self.key_change)[group]
            joined = joined_keys(found, labels.classes)
            probability[read] = np.take_along_axis(joined, label[read, np.newaxis], 1)[:, 0]
        return label, probability


class Span(NamedTuple):
    """A span of time under one label: ticks, and a class."""

    start: int
    end: int
    label: int


def shown_labels(annotation: Annotation, task: str) -> tuple[np.ndarray, np.ndarray]:
    """The class that is shown of each note, (notes,) int64, and its probability, (notes,) float32:
    those of `NoteLabels`, of `SMOOTHED_TASK` those of `Annotation.keys`."""
    if task == SMOOTHED_TASK:
        return annotation.keys
    return annotation.note_labels[task].label, annotation.note_labels[task].probability


def spans(annotation: Annotation, task: str) -> list[Span]:
    """The spans of time over which a label (a chord, a key) stays the same.

    All notes of an onset have one label: the decoded key, or the most probable class by the mean of
    their probabilities. A span lasts until the first onset with another label, the last one until
    the music ends. Spans of the class "padding" are omitted.
    """
    labels, notes = annotation.note_labels[task], annotation.song.notes
    read = labels.was_read
    if not read.any():
        return []
    if task == SMOOTHED_TASK:
        onsets, note = np.unique(notes.start[read], return_index=True)
        label = annotation.keys[0][read][note]
    else:
        onsets, _, mean = means_of_onsets(notes.start[read], labels.probabilities[read])
        label = mean.argmax(1)
    first = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
    ends = np.append(onsets[first[1:]], notes.end.max())
    found = map(Span, onsets[first].tolist(), ends.tolist(), label[first].tolist())
    return [span for span in found if labels.classes[span.label] != PADDING]


def beat_ticks(annotation: Annotation, task: str) -> list[int]:
    """The ticks of the onsets of the task's last class ("beat"), ascending."""
    labels = annotation.note_labels[task]
    is_last = labels.label == len(labels.classes) - 1
    return np.unique(annotation.song.notes.start[is_last]).tolist()


def mean_probability(annotation: Annotation, task: str) -> float | None:
    """The mean probability of the labels that are shown of the notes, or the probability of the
    piece's class; None where no note was read."""
    if piece := annotation.piece_labels.get(task):
        return float(piece.probabilities.max())
    if not annotation.note_labels[task].was_read.any():
        return None
    return float(np.nanmean(shown_labels(annotation, task)[1]))


def note_names(annotation: Annotation, accidentals: str = "#b") -> list[str]:
    """The names of the notes' pitches, spelled by the local key of each, if there is one;
    accidentals: as in `names.pitch_name`."""
    pitches = annotation.song.notes.pitch.tolist()
    keys = [None] * len(pitches)
    if labels := annotation.note_labels.get(SMOOTHED_TASK):
        keys = labels.names_of(annotation.keys[0]).tolist()
    return [pitch_name(*note, accidentals) for note in zip(pitches, keys, strict=True)]


def means_of_onsets(
    start: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When notes begin, (notes,), and their probabilities, (notes, classes) -> the onsets,
    ascending, (onsets,); the index of each note's onset, (notes,) int64; and the mean probabilities
    of the notes of each onset, (onsets, classes) float64."""
    onsets, group = np.unique(start, return_inverse=True)
    mean = np.zeros((len(onsets), probabilities.shape[1]))
    np.add.at(mean, group, probabilities)
    return onsets, group, mean / np.bincount(group, minlength=len(onsets))[:, np.newaxis]


def most_probable_keys(
    probabilities: np.ndarray, classes: tuple[str, ...], change: float
) -> np.ndarray:
    """The most probable sequence of keys, (onsets, classes) -> (onsets,) int64; enharmonically
    equivalent keys are one (`joined_keys`)."""
    return most_probable_sequence(joined_keys(probabilities, classes), change)


def joined_keys(probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Sum the probabilities of enharmonically equivalent keys under the name with the fewest
    accidentals, since notes of a MIDI file have no spelling; (n, classes) -> the same."""
    summed = np.zeros_like(probabilities)
    np.add.at(summed.T, usual_names(classes), probabilities.T)
    return summed


def usual_names(classes: tuple[str, ...]) -> np.ndarray:
    """For each class the enharmonically equivalent one with the shortest key signature (of six
    sharps and six flats: the flats), or the class itself; (classes,) int64."""
    known = {key: label for label, name in enumerate(classes) if (key := place_in_fifths(name))}
    usual = np.arange(len(classes))
    for (fifths, is_minor), label in known.items():
        signature = fifths - 3 * is_minor
        moved = (signature + 6) % 12 - 6 - signature  # to six flats ... five sharps
        usual[label] = known.get((fifths + moved, is_minor), label)
    return usual


def most_probable_sequence(probabilities: np.ndarray, change: float) -> np.ndarray:
    """The most probable sequence of classes if each change costs `change` (a logarithm), by the
    Viterbi algorithm. (steps, classes) -> (steps,) int64."""
    logarithms = np.log(np.maximum(probabilities, 1e-9))
    came_from = np.tile(np.arange(logarithms.shape[1]), (len(logarithms), 1))
    score = np.zeros(logarithms.shape[1])
    for step, logarithm in enumerate(logarithms):
        best = score.argmax()
        changes = score < score[best] - change
        came_from[step, changes] = best
        score = np.maximum(score, score[best] - change) + logarithm
    label = np.empty(len(logarithms), np.int64)
    best = score.argmax()
    for step in range(len(logarithms) - 1, -1, -1):
        label[step], best = best, came_from[step, best]
    return label
