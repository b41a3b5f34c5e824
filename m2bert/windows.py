"""Pieces longer than a model reads at a time: overlapping windows, and means over them."""

import numpy as np

from m2bert.cp import FIELDS, PAD


def window_starts(notes: int, length: int, stride: int) -> np.ndarray:
    """Where windows of `length` notes begin: at multiples of `stride`, until the last note is in
    one. With `stride` equal to `length` they are the benchmark's segments."""
    count = 1 + max(0, -(-(notes - length) // stride))
    return stride * np.arange(count)


def cut_windows(notes: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """CP notes (notes, 4) -> (windows, length, 4) uint8; what lies behind the end is padding."""
    padded = np.empty((starts[-1] + length, len(FIELDS)), np.uint8)
    padded[: len(notes)] = notes
    padded[len(notes) :] = PAD
    return padded[starts[:, None] + np.arange(length)]


def merge_windows(values: np.ndarray, starts: np.ndarray, notes: int) -> np.ndarray:
    """Values of the windows' notes (windows, length, n) -> of the piece's, (notes, n) float32.

    The mean over the windows that hold a note; the nearer it lies to a window's edge the less that
    window counts, so that nothing jumps where a window begins or ends.
    """
    length = values.shape[1]
    weight = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float64)
    summed = np.zeros((starts[-1] + length, values.shape[2]))
    weights = np.zeros(len(summed))
    for start, window in zip(starts, values, strict=True):
        summed[start : start + length] += weight[:, None] * window
        weights[start : start + length] += weight
    return (summed[:notes] / weights[:notes, None]).astype(np.float32)
