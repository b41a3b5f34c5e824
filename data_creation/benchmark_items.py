"""Items of SMCBenchmark -> CP notes -> segments: pure functions on arrays.

An item is a piece, an array (notes, 3) float64 of [onset, offset, pitch] rows with times in beats.
`docs/METHOD.md`, "Benchmark data", tells the rules in words.
"""

import numpy as np

from m2bert.cp import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    PAD,
    TICKS_PER_BAR,
    TICKS_PER_BEAT,
    TICKS_PER_POSITION,
    bar_ids,
    cp_notes,
    duration_ids,
    nearest_multiple,
    pitch_ids,
)

BEATS_PER_BAR = 4
LAST_POSITION = TICKS_PER_BAR // TICKS_PER_POSITION - 1

# Some onsets in beats are a hair below the tick that they were made from.
TICK_TOLERANCE = 1e-6


def global_beats(item: np.ndarray) -> np.ndarray:
    """Beats counted in each bar -> beats counted from the first full bar.

    A bar begins where the beat decreases, and all bars have four beats. A beat below 0 is a pickup
    and lies in the bar in front.
    """
    onset = item[:, 0]
    bar = np.cumsum(np.diff(onset, prepend=onset[:1]) < 0)
    result = item.copy()
    result[:, :2] += BEATS_PER_BAR * bar[:, np.newaxis]
    return result


def order_by_onset(item: np.ndarray) -> np.ndarray:
    """The indices of an item's notes by (onset, clipped pitch), equal ones as they stood."""
    onset, pitch = item[:, 0], np.clip(item[:, 2], LOWEST_PITCH, HIGHEST_PITCH)
    rises, stays = onset[1:] > onset[:-1], onset[1:] == onset[:-1]
    if (rises | stays & (pitch[1:] >= pitch[:-1])).all():  # most items, and sorting takes long
        return np.arange(len(item))
    return np.lexsort((pitch, onset))


def order_as_published(item: np.ndarray) -> np.ndarray:
    """The indices of the notes that the original keeps, in its order, (kept notes,) int64.

    The original cuts bars from beat 0 on, as many as begin at least four beats before the greatest
    offset plus four, rounded half to even. So it loses the notes before beat 0, and those of the
    last bar if the music ends in the first half beat of it.
    """
    onset, offset = item[:, 0], item[:, 1]
    bars = -(-np.rint(offset.max() + BEATS_PER_BAR) // BEATS_PER_BAR) - 1
    kept = (onset >= 0) & (onset < BEATS_PER_BAR * bars)
    order = order_by_onset(item)
    return order[kept[order]]


def cp_notes_of_beats(item: np.ndarray) -> np.ndarray:
    """Notes in their final order -> CP notes, (notes, 4) uint8, note for note.

    Other than in a MIDI file's notes (`m2bert.cp.cp_notes`), onsets do not move to a grid and no
    note is too short: Position is the nearest 16th of the note's own bar, ties to the earlier.
    """
    start, end = item[:, 0] * TICKS_PER_BEAT, item[:, 1] * TICKS_PER_BEAT
    bar = item[:, 0] // BEATS_PER_BAR
    sixteenth = nearest_multiple(start - bar * TICKS_PER_BAR, TICKS_PER_POSITION)
    notes = np.empty((len(item), 4), np.uint8)
    notes[:, 0] = bar_ids(bar)
    notes[:, 1] = np.minimum(sixteenth, LAST_POSITION)
    notes[:, 2] = pitch_ids(item[:, 2])
    notes[:, 3] = duration_ids(end - start)
    return notes


def cp_notes_of_piece(item: np.ndarray) -> np.ndarray:
    """An item of a piece task -> CP notes, (kept notes, 4) uint8, as from its MIDI file."""
    start, end = (item[:, :2] * TICKS_PER_BEAT + TICK_TOLERANCE).astype(np.int64).T
    pitch = item[:, 2].astype(np.int64)
    return cp_notes(start, end, pitch, np.zeros_like(pitch), TICKS_PER_BEAT)


def cut_notes(notes: np.ndarray, length: int) -> np.ndarray:
    """The CP notes of one item -> segments, (segments, length, 4) uint8, the last one padded."""
    return _cut(notes, length, PAD)


def cut_labels(labels: np.ndarray, length: int) -> np.ndarray:
    """The labels of one item's notes -> (segments, length), 0 where the segment is padded."""
    return _cut(labels, length, 0)


def _cut(rows: np.ndarray, length: int, padding: int | tuple[int, ...]) -> np.ndarray:
    count = -(-len(rows) // length)
    segments = np.empty((count * length, *rows.shape[1:]), rows.dtype)
    segments[: len(rows)] = rows
    segments[len(rows) :] = padding
    return segments.reshape(count, length, *rows.shape[1:])
