"""The original's conversion of SMCBenchmark's note lists to CP notes."""

from itertools import pairwise

import numpy as np

from m2bert.notes.cp import BEATS_PER_BAR, HIGHEST_PITCH, LOWEST_PITCH, PAD


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


def beats_of_bars(rows):
    """Beats counted in each bar -> beats of the piece, note by note."""
    bar, result = 0, []
    for (onset, offset, pitch), before in zip(rows, [rows[0], *rows], strict=False):
        bar += onset < before[0]
        result.append([onset + 4 * bar, offset + 4 * bar, pitch])
    return result


def all_edges(item):
    """Edges of the bars, in beats, from the first note's, or beat 0, to the last note's."""
    first = int(min(item[:, 0].min(), 0) // 4 * 4)
    return list(range(first, int(item[:, 0].max() // 4 * 4) + 5, 4))


def reference_part(data_set, items, labels, as_published):
    """Expected arrays of a note part, from loops over items, bars and notes; None if an item keeps
    no note."""
    length = data_set.tasks[0].segment_length
    arrays = [[] for _ in range(1 + len(labels))]
    for number, item in enumerate(items):
        rows = beats_of_bars(item) if data_set.beats_in_bars and not as_published else item
        edges = (reference_edges if as_published else all_edges)(np.array(rows, float))
        index, cp = reference_notes(rows, edges)
        if not index:
            return None
        index = range(len(index)) if as_published else index
        columns = [cp, *([task[number][i] for i in index] for task in labels)]
        for array, column, padding in zip(arrays, columns, [PAD, 0, 0], strict=False):
            array += [*column, *[padding] * (-len(column) % length)]
    return [np.array(a).reshape(-1, length, *np.shape(a)[1:]) for a in arrays]
