"""The original's conversion of SMCBenchmark's note lists to CP notes."""

from itertools import pairwise

import numpy as np

from m2bert.notes.cp import BEATS_PER_BAR, HIGHEST_PITCH, LOWEST_PITCH


def reference_edges(item: np.ndarray) -> list[int]:
    """Where the original's bars begin and end, in beats."""
    return list(range(0, round(item[:, 1].max() + BEATS_PER_BAR), BEATS_PER_BAR))


def reference_notes(item: list[list], edges: list[int]) -> tuple[list[int], list[list[int]]]:
    """Indices and CP notes of an item; each bar searches all notes."""
    index, cp = [], []
    for first, end in pairwise(edges):
        inside = [i for i, (onset, _, _) in enumerate(item) if first <= onset < end]
        inside.sort(key=lambda i: (item[i][0], min(max(item[i][2], LOWEST_PITCH), HIGHEST_PITCH)))
        slots = [480 * first + 120 * slot for slot in range(16)]
        for i in inside:
            start, stop = 480 * item[i][0], 480 * item[i][1]
            position = min(range(16), key=lambda slot: abs(slots[slot] - start))
            duration = min(range(64), key=lambda bin: abs(60 * (bin + 1) - (stop - start)))
            pitch = min(max(item[i][2], LOWEST_PITCH), HIGHEST_PITCH) - LOWEST_PITCH
            cp.append([int(i != inside[0]), position, int(pitch), duration])
        index += inside
    return index, cp
