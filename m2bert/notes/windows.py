"""Pieces longer than a model reads at a time: overlapping windows, and means over them."""

import numpy as np

from m2bert.notes.cp import FIELDS, PAD

WINDOW = 1024
"""Notes of a window, as in pre-training. Models of pieces have shorter ones."""

STRIDE = WINDOW // 2
"""Notes from one window to the next, where nothing else is asked for."""


def check_stride(stride: int) -> int:
    """Return `stride`; raise `ValueError` if windows with this stride would leave notes out."""
    if not 1 <= stride <= WINDOW:
        raise ValueError(f"stride {stride} is not in 1..{WINDOW}, the notes of a window")
    return stride


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


def window_weights(starts: np.ndarray, length: int, notes: int) -> np.ndarray:
    """How much each window counts for each of its notes, (windows, length) float64.

    The shares of all windows that hold a note sum to 1. The nearer the note is to a window's edge,
    the smaller is that window's share, so that nothing jumps where a window begins or ends. Places
    behind the last note have the share 0.
    """
    weight = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    place = starts[:, None] + np.arange(length)
    total = np.bincount(place.ravel(), np.tile(weight, len(starts)))
    return np.where(place < notes, weight / total[place], 0)


def merge_windows(values: np.ndarray, starts: np.ndarray, notes: int) -> np.ndarray:
    """Values of the windows' notes (windows, length, n) -> of the piece's, (notes, n) float32.

    The mean over the windows that hold a note, weighted by `window_weights`.
    """
    length = values.shape[1]
    shares = window_weights(starts, length, notes)
    merged = np.zeros((starts[-1] + length, values.shape[2]))
    for start, share, window in zip(starts, shares, values, strict=True):
        merged[start : start + length] += share[:, None] * window
    return merged[:notes].astype(np.float32)
