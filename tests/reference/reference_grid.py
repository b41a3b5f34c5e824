"""The 16th-grid accuracy, by a loop that writes each note into a grid."""

import math

import numpy as np

from m2bert.notes.cp import PAD


def reference_grid_accuracy(notes, labels, predictions, batch_size, clean=False) -> float:
    right = counted = 0
    for first in range(0, len(notes), batch_size):
        batch = range(first, min(first + batch_size, len(notes)))
        longest = max(bars(notes[i]) for i in batch)
        for i in batch:
            width = 16 * (bars(notes[i]) if clean else longest)
            true, predicted = (
                grid(notes[i], labels[i], width),
                grid(notes[i], predictions[i], width),
            )
            right += int(((true == predicted) & (true > 0)).sum())
            counted += int((true > 0).sum())
    return right / counted if counted else math.nan


def grid(notes, labels, width) -> np.ndarray:
    """The label of each 16th slot; a note fills the grid from its slot to the end."""
    slots, bar = np.zeros(width, int), 0
    for index, note in enumerate(notes):
        if note[0] == PAD[0]:
            continue
        if note[0] == 0 and index > 0:
            bar += 1
        slots[16 * bar + int(note[1]) :] = labels[index]
    return slots


def bars(notes) -> int:
    return 0 if notes[0, 0] == PAD[0] else 1 + int((notes[1:, 0] == 0).sum())
