"""Items of SMCBenchmark -> CP notes -> segments (docs/METHOD.md, "Benchmark data").

An item is a piece, an array (notes, 3) float64 of [onset, offset, pitch] rows with times in beats.
"""

import numpy as np

from m2bert.notes.cp import BEATS_PER_BAR, TICKS_PER_BEAT, cp_notes, order_by_onset

# Some onsets in beats are slightly below the tick that they were computed from.
TICK_TOLERANCE = 1e-6


def global_beats(item: np.ndarray) -> np.ndarray:
    """Beats counted in each bar -> beats counted from the first full bar.

    A bar begins where the beat decreases, and all bars have four beats. A beat below 0 is a pickup,
    in the bar before.
    """
    onset = item[:, 0]
    bar = np.cumsum(np.diff(onset, prepend=onset[:1]) < 0)
    result = item.copy()
    result[:, :2] += BEATS_PER_BAR * bar[:, np.newaxis]
    return result


def order_as_published(item: np.ndarray) -> np.ndarray:
    """The indices of the notes that the original keeps, in its order, (kept notes,) int64.

    The original cuts bars from beat 0, as many as begin at least four beats before the greatest
    offset plus four, rounded half to even. It loses the notes before beat 0, and those of the last
    bar if the music ends in its first half beat.
    """
    onset, offset = item[:, 0], item[:, 1]
    bars = -(-np.rint(offset.max() + BEATS_PER_BAR) // BEATS_PER_BAR) - 1
    kept = (onset >= 0) & (onset < BEATS_PER_BAR * bars)
    order = order_by_onset(item)
    return order[kept[order]]


def cp_notes_of_piece(item: np.ndarray) -> np.ndarray:
    """An item of a piece task -> CP notes, (kept notes, 4) uint8, as from its MIDI file."""
    start, end = (item[:, :2] * TICKS_PER_BEAT + TICK_TOLERANCE).astype(np.int64).T
    pitch = item[:, 2].astype(np.int64)
    return cp_notes(start, end, pitch, np.zeros_like(pitch), TICKS_PER_BEAT)
