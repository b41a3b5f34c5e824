"""Pianoroll targets, note by note and slot by slot."""

import numpy as np


def reference_pianoroll(segment: np.ndarray) -> np.ndarray:
    """Targets of one segment, (notes, 4)."""
    opens = segment[:, 0] == 0
    bar_of_note = np.cumsum(opens) - opens[0]
    counts = np.zeros((bar_of_note[-1] + 2, 17, 86))  # slot 16 is that of padding
    for bar, note in zip(bar_of_note, segment.tolist(), strict=True):
        _, position, pitch, duration = note
        for slot in range(position, position + round((duration + 1) / 2)):
            if position < 16 and slot < 32:
                counts[bar + slot // 16, slot % 16, pitch] += 1
    chroma = np.stack([counts[..., first::12].sum(-1) for first in range(12)], axis=-1)
    rows = np.concatenate([chroma, counts], axis=-1)
    rows = 2 * rows / np.maximum(rows.sum(-1, keepdims=True), 0.1)
    slots = [[*range(16), position] for position in segment[:, 1]]
    return rows[bar_of_note[:, None], slots].reshape(len(segment), -1)
