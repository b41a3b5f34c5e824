"""Chords, from the roots that a model hears and the notes that sound.

Times are in quarter notes. Pitch classes are 0 (C) to 11 (B), degrees those of Harte's syntax:
"b3" is a minor third above the root.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from m2bert.annotation.decoding import means_of_onsets, most_probable_sequence
from m2bert.tasks import place_in_fifths

QUALITIES = {
    "maj": ("1", "3", "5"),
    "min": ("1", "b3", "5"),
    "dim": ("1", "b3", "b5"),
    "aug": ("1", "3", "#5"),
    "7": ("1", "3", "5", "b7"),
    "maj7": ("1", "3", "5", "7"),
    "min7": ("1", "b3", "5", "b7"),
    "hdim7": ("1", "b3", "b5", "b7"),
    "dim7": ("1", "b3", "b5", "bb7"),
    "sus4": ("1", "4", "5"),
}
"""The degrees of each quality, by its name in Harte's syntax."""

ROOT_ALONE = "1"
"""The quality of a chord whose third and seventh are silent."""

OTHER_NOTES = 0.15
"""The fraction of the sounding time that is expected of notes outside the chord."""

RARE, RARITY, RARITY_PER_QUARTER = ("aug", "maj7", "sus4"), 2.0, 4.0
"""Qualities that suspensions and passing notes imitate, and their cost at each onset: so much per
quarter note until the next one, at most `RARITY`."""

SOUNDING_WEIGHT = 2.0
"""The weight of a quarter note that sounds; the root's probability at an onset has 1."""

ONSET = 0.05
"""By so many quarter notes each note counts as longer than it sounds, since the short notes of an
arpeggio above a long bass are part of the chord."""

CHORD_CHANGE = 4.0
"""The cost of a change of chord, as the logarithm of a ratio of probabilities. With it and
`SOUNDING_WEIGHT` most roots of AugmentedNet's validation pieces are right, and about as many chords
are found as are annotated (`benchmarks.chords`)."""

SILENT = 0.02
"""A degree is silent that has at most this fraction of a chord's sounding time."""

BASS_DEPTH = 6.0
"""As the bass, a lowest note counts e times as much as one that is this many semitones higher: a
short low note is the bass of higher ones that follow it."""

LEAST_PROBABILITY = 1e-3
"""Of a root: a model can be certain and wrong."""


class Chord(NamedTuple):
    """A chord: when it begins and ends; its root, a pitch class; a key of `QUALITIES` or
    `ROOT_ALONE`; the degree in the bass; and the mean probability of the root."""

    start: float
    end: float
    root: int
    quality: str
    bass: str
    probability: float


def decode_chords(
    onset: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    change: float = CHORD_CHANGE,
) -> list[Chord]:
    """The most probable sequence of chords; each lasts until the next one, the last until the
    music ends.

    onset, end, pitch: of the notes, (notes,), in any order; probabilities: of their roots, (notes,
    classes); classes: their names; change: as `CHORD_CHANGE`.
    """
    if not len(onset):
        return []
    onsets, group, mean = means_of_onsets(onset, probabilities)
    roots = root_probabilities(mean, classes)
    edges = np.append(onsets, end.max())
    sounding, lowest = sounding_time(onset, end, pitch, edges)
    np.add.at(sounding, (group, pitch % 12), ONSET)
    score = SOUNDING_WEIGHT * sounding @ _templates().T
    score += np.repeat(np.log(np.maximum(roots, LEAST_PROBABILITY)), len(QUALITIES), axis=1)
    rarity = np.minimum(RARITY, RARITY_PER_QUARTER * np.diff(edges))
    score -= rarity[:, np.newaxis] * np.tile([quality in RARE for quality in QUALITIES], 12)
    label = most_probable_sequence(np.exp(score - score.max(1, keepdims=True)), change)
    first = np.flatnonzero(np.diff(label, prepend=-1))
    sounding, lowest, summed = (np.add.reduceat(of, first) for of in (sounding, lowest, roots))
    chords = []
    for place, (begin, stop) in enumerate(pairwise([*first.tolist(), len(onsets)])):
        root, number = divmod(int(label[begin]), len(QUALITIES))
        quality, degrees = list(QUALITIES.items())[number]
        members = [(root + semitones(degree)) % 12 for degree in degrees]
        silent = sounding[place, members] <= SILENT * sounding[place].sum()
        chord = Chord(
            start=float(edges[begin]),
            end=float(edges[stop]),
            root=root,
            quality=ROOT_ALONE if silent[1] and (len(degrees) == 3 or silent[3]) else quality,
            bass=degrees[lowest[place, members].argmax()],
            probability=float(summed[place, root] / (stop - begin)),
        )
        chords.append(chord)
    return chords


def root_probabilities(probabilities: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probabilities of named roots, (onsets, classes) -> of pitch classes, (onsets, 12)."""
    summed = np.zeros((len(probabilities), 12))
    for column, name in zip(probabilities.T, classes, strict=True):
        if place := place_in_fifths(name):
            summed[:, 7 * place[0] % 12] += column
    return summed


def sounding_time(
    onset: np.ndarray, end: np.ndarray, pitch: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How long each pitch class sounds between one edge and the next, and how long as the lowest
    note there, weighted by `BASS_DEPTH`, both (edges - 1, 12). No note begins before the first edge
    or ends after the last."""
    first, stop = np.searchsorted(edges, onset, side="right") - 1, np.searchsorted(edges, end)
    spans = np.maximum(stop - first, 0)
    note = np.repeat(np.arange(len(onset)), spans)
    slot = np.arange(len(note)) + np.repeat(first - np.cumsum(spans) + spans, spans)
    time = np.minimum(end[note], edges[slot + 1]) - np.maximum(onset[note], edges[slot])
    deepest = np.full(len(edges) - 1, 128)
    np.minimum.at(deepest, slot, pitch[note])
    sounding, lowest = np.zeros((2, len(edges) - 1, 12))
    np.add.at(sounding, (slot, pitch[note] % 12), time)
    depth = np.exp(-pitch[note] / BASS_DEPTH) * (pitch[note] == deepest[slot])
    np.add.at(lowest, (slot, pitch[note] % 12), time * depth)
    return sounding, lowest


def _templates() -> np.ndarray:
    """The logarithm of the probability of each pitch class in a chord, (12 x qualities, 12)."""
    rows = np.empty((12, len(QUALITIES), 12))
    for number, degrees in enumerate(QUALITIES.values()):
        row = np.full(12, OTHER_NOTES / (12 - len(degrees)))
        row[[semitones(degree) for degree in degrees]] = (1 - OTHER_NOTES) / len(degrees)
        rows[:, number] = [np.roll(row, root) for root in range(12)]
    return np.log(rows.reshape(-1, 12))


def degree_fifths(degree: str) -> int:
    """The place of a degree on the line of fifths: 1 for "5", -3 for "b3"."""
    return "4152637".index(degree[-1]) - 1 + 7 * (degree.count("#") - degree.count("b"))


def semitones(degree: str) -> int:
    """The semitones from the root up to a degree, 0 to 11."""
    return 7 * degree_fifths(degree) % 12
