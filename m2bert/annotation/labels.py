"""What models say of a song: labels of its notes and of the piece."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from m2bert.annotation.models import ModelFacts
from m2bert.annotation.names import pitch_name
from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.notes.song import Song
from m2bert.tasks import PADDING, place_in_fifths

SPAN_TASKS = ("localkey", "chordroot")
"""Tasks whose labels hold for stretches of time (`spans`)."""

SMOOTHED_TASK = "localkey"
"""The task whose stretches are decoded over the whole piece: keys change seldom."""

KEY_CHANGE = 8.0
"""What a change of key costs there, as the logarithm of a ratio of probabilities. With 8 there are
as many changes a piece as annotators hear in the benchmark's validation set, 6.5 and 6.4, and more
notes are right than without (benchmarks/LOG.md)."""

UNSURE_BELOW = 0.5
"""Labels of a mean probability below this are called unsure. Of 20 pieces of each task's validation
set, those of keys below it have .30 and .46 of the notes right, the others .55 to 1; of velocity at
least four are (.30 to .54 right), of roots, melody, beats and downbeats none. It finds no bad piece
of beats: they have at least .67, with .56 to .87 of the notes right."""

MOMENT_TASKS = ("downbeat", "beat")
"""Tasks that find moments (`moments`)."""


@dataclass(frozen=True)
class Annotation:
    """A song and what was said of it.

    Attributes:
        marks: notes that models do not read, or read as something else, by the reason ("drums",
            "short", "pitch clipped", "duration clipped"; see `warnings.marks_of`), (notes,) bool.
        note_labels, piece_labels: by task (a key of `tasks.TASKS`, in that order).
        models: by task, facts of the models whose probabilities were averaged.
        warnings: sentences for the user.
        key_change: as `KEY_CHANGE`; 0 takes the most probable key of every onset.
    """

    song: Song
    marks: dict[str, np.ndarray]
    note_labels: dict[str, NoteLabels]
    piece_labels: dict[str, PieceLabels]
    models: dict[str, list[ModelFacts]]
    warnings: list[str]
    key_change: float = KEY_CHANGE


class Span(NamedTuple):
    """A stretch of time under one label: ticks, and a class."""

    start: int
    end: int
    label: int


def spans(annotation: Annotation, task: str) -> list[Span]:
    """The stretches of time over which a label (a chord, a key) stays the same.

    A stretch lasts until the first onset with another label (`onset_labels`), the last one until
    the music ends. Stretches of the class "padding" are left out.
    """
    labels, notes = annotation.note_labels[task], annotation.song.notes
    if not labels.was_read.any():
        return []
    onsets, _, label = onset_labels(annotation, task)
    first = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
    ends = np.append(onsets[first[1:]], notes.end.max())
    found = map(Span, onsets[first].tolist(), ends.tolist(), label[first].tolist())
    return [span for span in found if labels.classes[span.label] != PADDING]


def onset_labels(annotation: Annotation, task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One label for the notes that begin together, by the mean of their probabilities.

    Returns the ticks of the onsets, ascending, (onsets,); which of them each note that was read
    has, (notes read,); and the labels, (onsets,): the most probable class, of `SMOOTHED_TASK` the
    most probable sequence of keys. All are int64.
    """
    labels, start = annotation.note_labels[task], annotation.song.notes.start
    read = labels.was_read
    onsets, group, mean = means_of_onsets(start[read], labels.probabilities[read])
    if task == SMOOTHED_TASK:
        return onsets, group, most_probable_keys(mean, labels.classes, annotation.key_change)
    return onsets, group, mean.argmax(1)


def shown_labels(annotation: Annotation, task: str) -> tuple[np.ndarray, np.ndarray]:
    """The class that is shown of each note, (notes,) int64, and its probability, (notes,) float32:
    as in `NoteLabels`, but of `SMOOTHED_TASK` the key of the note's stretch, with the sum of the
    probabilities of keys that sound alike."""
    labels = annotation.note_labels[task]
    label, probability, read = labels.label, labels.probability, labels.was_read
    if task == SMOOTHED_TASK and read.any():
        _, group, decoded = onset_labels(annotation, task)
        summed = joined_keys(labels.probabilities[read], labels.classes)
        label[read] = decoded[group]
        probability[read] = np.take_along_axis(summed, label[read, np.newaxis], 1)[:, 0]
    return label, probability


def mean_probability(annotation: Annotation, task: str) -> float | None:
    """How certain the labels of a task are: the mean probability of what is shown of the notes, or
    the probability of the piece's class; None where no note was read."""
    if piece := annotation.piece_labels.get(task):
        return float(piece.probabilities.max())
    if not annotation.note_labels[task].was_read.any():
        return None
    return float(np.nanmean(shown_labels(annotation, task)[1]))


def note_names(annotation: Annotation, accidentals: str = "#b") -> list[str]:
    """The names of the notes' pitches, spelled by the local key at each where there is one;
    accidentals: as in `names.pitch_name`."""
    pitches = annotation.song.notes.pitch.tolist()
    keys = [None] * len(pitches)
    if labels := annotation.note_labels.get(SMOOTHED_TASK):
        keys = labels.names_of(shown_labels(annotation, SMOOTHED_TASK)[0]).tolist()
    return [pitch_name(*note, accidentals) for note in zip(pitches, keys, strict=True)]


def means_of_onsets(
    start: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When notes begin, (notes,), and their probabilities, (notes, classes) -> the onsets,
    ascending, (onsets,); which of them each note has, (notes,) int64; and the means of the
    probabilities of the notes that begin together, (onsets, classes) float64."""
    onsets, group = np.unique(start, return_inverse=True)
    mean = np.zeros((len(onsets), probabilities.shape[1]))
    np.add.at(mean, group, probabilities)
    return onsets, group, mean / np.bincount(group, minlength=len(onsets))[:, np.newaxis]


def most_probable_keys(
    probabilities: np.ndarray, classes: tuple[str, ...], change: float
) -> np.ndarray:
    """The most probable sequence of keys, (onsets, classes) -> (onsets,) int64; keys that sound
    alike are one (`joined_keys`)."""
    return most_probable_sequence(joined_keys(probabilities, classes), change)


def joined_keys(probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Give keys that sound alike the sum of their probabilities, under the name with the fewest
    accidentals, and the other names 0, as notes of a MIDI file have no spelling; (n, classes) ->
    the same."""
    summed = np.zeros_like(probabilities)
    np.add.at(summed.T, usual_names(classes), probabilities.T)
    return summed


def usual_names(classes: tuple[str, ...]) -> np.ndarray:
    """Of each class the one that sounds alike and has the shortest key signature (of six sharps and
    six flats: the flats), or the class itself where none does; (classes,) int64."""
    known = {key: label for label, name in enumerate(classes) if (key := place_in_fifths(name))}
    usual = np.arange(len(classes))
    for (fifths, is_minor), label in known.items():
        signature = fifths - 3 * is_minor
        moved = (signature + 6) % 12 - 6 - signature  # to six flats ... five sharps
        usual[label] = known.get((fifths + moved, is_minor), label)
    return usual


def most_probable_sequence(probabilities: np.ndarray, change: float) -> np.ndarray:
    """The classes that are the most probable together, if each change of class costs `change` (a
    logarithm): Viterbi's algorithm. (steps, classes) -> (steps,) int64."""
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


def moments(song: Song, labels: NoteLabels) -> np.ndarray:
    """Ticks at which notes of the task's last class ("beat") begin, ascending, each once, int64."""
    return np.unique(song.notes.start[labels.label == len(labels.classes) - 1])
