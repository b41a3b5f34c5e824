"""The beats and bars that a file writes, for music that lies on its grid (`notes.grid`)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

COMMON_TIME = (4, 4, 0)
"""Before the first time signature, as in the MIDI standard."""


def bar_starts(
    time_signatures: Sequence[tuple[int, int, int]], ticks_per_beat: int, end: int
) -> np.ndarray:
    """The ticks at which the bars of a MIDI file begin, int64 (bars,).

    time_signatures: (numerator, denominator, tick), ordered by tick; each begins a bar. end: the
    tick at which the music ends.
    """
    length = {
        tick: max(4 * ticks_per_beat * top / bottom, 1)  # some files have bars of 0/4
        for top, bottom, tick in (COMMON_TIME, *time_signatures)
    }
    edges = [*(tick for tick in length if tick < end), max(end, 1)]
    starts = [np.arange(start, stop, length[start]) for start, stop in pairwise(edges)]
    return np.rint(np.concatenate(starts)).astype(np.int64)


def written_beats(
    bars: np.ndarray, end: int, time_signatures: Sequence[tuple[int, int, int]], ticks_per_beat: int
) -> tuple[np.ndarray, np.ndarray]:
    """The beats of a file: ticks, ascending, and their numbers in the bar from 1, int64 (beats,).

    bars: where bars begin (`bar_starts`, or a score's measures); else as in `bar_starts`. A beat of
    6/8, 9/8 and 12/8 is three eighths. A first bar that is shorter than the second one's time
    signature is an upbeat: its beats are counted from its end.
    """
    signatures = (COMMON_TIME, *time_signatures)
    changes = [tick for *_, tick in signatures]
    ticks, numbers = [], []
    for place, (start, stop) in enumerate(pairwise([*bars.tolist(), max(end, bars[-1] + 1)])):
        is_first = place == 0 and len(bars) > 1
        at = np.searchsorted(changes, bars[1] if is_first else start, side="right") - 1
        top, bottom, _ = signatures[at]
        grouped = 3 if bottom >= 8 and top > 3 and top % 3 == 0 else 1
        beats, length = top // grouped, max(4 * ticks_per_beat * grouped / bottom, 1)
        if is_first and stop - start < beats * length:
            number = np.arange(beats - int((stop - start) / length), beats)
            ticks.append(stop - (beats - number) * length)
        else:
            number = np.arange(-(-(stop - start) // length))
            ticks.append(start + number * length)
        numbers.append(number + 1)
    return np.rint(np.concatenate(ticks)).astype(np.int64), np.concatenate(numbers).astype(np.int64)


def beat_lines(seconds: Iterable[float], numbers: Iterable[int]) -> str:
    """Beats as text, a line for each: its time and its number in the bar."""
    return "".join(f"{t:.3f}\t{n}\n" for t, n in zip(seconds, numbers, strict=True))
