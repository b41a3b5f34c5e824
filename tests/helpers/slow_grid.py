"""The 16th-grid accuracy by a loop over notes that writes a grid, slow and obvious."""

import math

import numpy as np

from m2bert.notes.cp import PAD


def slow_grid_counts(notes, labels, predictions, width) -> tuple[int, int]:
    """Right and counted slots of one segment, by writing every note into a grid."""
    true, predicted = np.zeros(width, int), np.zeros(width, int)
    bar = 0
    for index, note in enumerate(notes):
        if note[0] == PAD[0]:
            continue
        if note[0] == 0 and index > 0:
            bar += 1
        slot = 16 * bar + int(note[1])
        true[slot:], predicted[slot:] = labels[index], predictions[index]
    return int(((true == predicted) & (true > 0)).sum()), int((true > 0).sum())


def slow_bars(notes) -> int:
    if notes[0, 0] == PAD[0]:
        return 0
    return 1 + int((notes[1:, 0] == 0).sum())


def slow_grid_accuracy(notes, labels, predictions, batch_size, clean=False) -> float:
    right = counted = 0
    for first in range(0, len(notes), batch_size):
        batch = range(first, min(first + batch_size, len(notes)))
        longest = max(slow_bars(notes[i]) for i in batch)
        for i in batch:
            width = 16 * (slow_bars(notes[i]) if clean else longest)
            counts = slow_grid_counts(notes[i], labels[i], predictions[i], width)
            right, counted = right + counts[0], counted + counts[1]
    return right / counted if counted else math.nan
