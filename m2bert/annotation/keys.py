"""Keys, decoded over the piece; enharmonically equivalent ones are one key."""

import numpy as np

from m2bert.annotation.decoding import most_probable_sequence
from m2bert.model.transposition import enharmonic_groups
from m2bert.tasks import place_in_fifths

MOST_ACCIDENTALS = 7
"""Sharps or flats of the signatures that musicians use."""


def most_probable_keys(
    probabilities: np.ndarray, classes: tuple[str, ...], change: float
) -> np.ndarray:
    """The most probable sequence of keys, (onsets, classes) -> (onsets,) int64.

    Enharmonically equivalent keys are one (`joined_keys`). Of their names with at most
    `MOST_ACCIDENTALS` the one is used whose signature is nearest to the mean of the piece: A flat
    minor, not G sharp minor, in a piece in A flat major.
    """
    found = most_probable_sequence(joined_keys(probabilities, classes), change)
    sharps = signatures(classes)
    mean = (probabilities @ np.nan_to_num(sharps)).mean()
    order = np.lexsort((np.abs(sharps - mean), np.abs(sharps) > MOST_ACCIDENTALS))
    group = enharmonic_groups(classes)
    return order[(group[order] == group[found, np.newaxis]).argmax(1)]


def joined_keys(probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """For each key the sum of the probabilities of all that are enharmonically equivalent to it,
    since notes of a MIDI file have no spelling; (n, classes) -> the same."""
    group = enharmonic_groups(classes)
    return probabilities @ (group[:, np.newaxis] == group).astype(probabilities.dtype)


def signatures(classes: tuple[str, ...]) -> np.ndarray:
    """The number of sharps, or minus the number of flats, of each key, (classes,) float64; NaN for
    other classes."""
    places = [place_in_fifths(name) for name in classes]
    return np.array([np.nan if p is None else p[0] - 3 * p[1] for p in places])
