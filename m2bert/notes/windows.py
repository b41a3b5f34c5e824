"""Pieces longer than the input of a model: overlapping windows, and means over them."""

from collections.abc import Sequence

import numpy as np

from m2bert.notes.cp import FIELDS, PAD

WINDOW = 1024
"""Notes of a window, as in pre-training. Models of pieces have shorter ones."""

STRIDE = WINDOW // 2
"""The default stride, in notes."""


def check_stride(stride: int) -> int:
    """Return `stride`; raise `ValueError` if windows with this stride would omit notes."""
    if not 1 <= stride <= WINDOW:
        raise ValueError(f"stride {stride} is not in 1..{WINDOW}, the notes of a window")
    return stride


def window_starts(notes: int, length: int, stride: int) -> np.ndarray:
    """Where windows of `length` notes begin: at multiples of `stride`, until the last note is in
    one. With `stride` equal to `length` they are the benchmark's segments."""
    count = 1 + max(0, -(-(notes - length) // stride))
    return stride * np.arange(count)


def cut_windows(notes: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """CP notes (notes, 4) -> (windows, length, 4) uint8; padded at the end."""
    padded = np.empty((starts[-1] + length, len(FIELDS)), np.uint8)
    padded[: len(notes)] = notes
    padded[len(notes) :] = PAD
    return padded[starts[:, None] + np.arange(length)]


def cut_notes(notes: np.ndarray, length: int) -> np.ndarray:
    """CP notes (notes, 4) -> segments, (segments, length, 4) uint8, the last one padded."""
    return cut_windows(notes, window_starts(len(notes), length, stride=length), length)


def cut_labels(labels: np.ndarray, length: int) -> np.ndarray:
    """The labels of notes -> those of segments, (segments, length), 0 where they are padded."""
    return np.pad(labels, (0, -len(labels) % length)).reshape(-1, length)


def window_weights(starts: np.ndarray, length: int, notes: int) -> np.ndarray:
    """The weight of each window for each of its notes, (windows, length) float64.

    The weights of a note sum to 1. They fall towards the edges of a window, so that values do not
    jump there; after the last note they are 0.
    """
    weight = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    place = starts[:, None] + np.arange(length)
    total = np.bincount(place.ravel(), np.tile(weight, len(starts)))
    return np.where(place < notes, weight / total[place], 0)


def merge_windows(values: Sequence[np.ndarray], starts: np.ndarray, notes: int) -> np.ndarray:
    """Values of the notes of each window, (length, n), with or without its padding -> their means
    for each note of the piece, weighted by `window_weights`, (notes, n) float32."""
    length = len(values[0])
    weights = window_weights(starts, length, notes)
    merged = np.zeros((starts[-1] + length, values[0].shape[1]))
    for start, weight, window in zip(starts, weights, values, strict=True):
        merged[start : start + len(window)] += weight[: len(window), None] * window
    return merged[:notes].astype(np.float32)
