"""Beats and bars: those that a file writes, and places in bars."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from m2bert.notes.grid import LEAST_ON_GRID, fraction_on_files_grid
from m2bert.notes.song import Bars, Song

COMMON_TIME = (4, 4, 0)
"""Before the first time signature, as in the MIDI standard."""

SHORTEST_BAR = 1 / 4
"""In quarter notes. Some files have time signatures like 0/4."""


EARLY = 1 / 20


class Beats(NamedTuple):
    """Beats: when they are, ticks int64 ascending and seconds float64; their numbers in the bar
    from 1, int64, (beats,) each; whether they are decoded (`beats`) or written in the file."""

    tick: np.ndarray
    second: np.ndarray
    number: np.ndarray
    is_decoded: bool

    @property
    def first_bar(self) -> int:
        """How many beats the first full bar has."""
        downbeats = np.flatnonzero(self.number == 1)
        return int(self.number[: downbeats[1] if len(downbeats) > 1 else None].max())

    @property
    def tempo(self) -> np.ndarray:
        """Beats per minute from each beat to the next, (beats - 1,)."""
        return 60 / np.maximum(np.diff(self.second), 1e-3)

    def onto_beats(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks, those up to `EARLY` beats before a beat moved to it: of a chord on a beat some
        notes begin a little early."""
        if len(self.tick) == 1:
            return ticks
        after = np.searchsorted(self.tick, ticks).clip(1, len(self.tick) - 1)
        early = (self.tick[after] - ticks) / np.maximum(np.diff(self.tick)[after - 1], 1)
        return np.where((early > 0) & (early <= EARLY), self.tick[after], ticks)

    def places(self, ticks: np.ndarray) -> np.ndarray:
        """The places of ticks in their bars: 2.5 is halfway from the second beat to the third.
        Those before the first beat are at the end of an upbeat."""
        if len(self.tick) == 1:
            return np.ones(np.shape(ticks))
        before = np.maximum(np.searchsorted(self.tick, ticks, side="right") - 1, 0)
        length = np.maximum(np.diff(self.tick)[np.minimum(before, len(self.tick) - 2)], 1)
        places = self.number[before] + (ticks - self.tick[before]) / length
        return np.where(places < 1, places + self.first_bar, places)


def has_written_bars(song: Song) -> bool:
    """Whether a song has the bars that its file writes: a score has, and a MIDI file whose pitched
    notes are on its 16ths, if its time signatures are not those of single beats (1/4)."""
    if song.measures is not None:
        return True
    signatures, onsets = song.notes.time_signatures, song.notes.start[~song.is_drum]
    if not len(onsets):
        return True
    if signatures and all(top == 1 for top, *_ in signatures):
        return False
    return fraction_on_files_grid(song.beats(onsets)) >= LEAST_ON_GRID


def beats_of_file(song: Song) -> Beats:
    """The beats that a file writes."""
    notes, end = song.notes, int(song.notes.end.max())
    written = notes.time_signatures, notes.ticks_per_beat
    bars = bar_starts(*written, end) if song.measures is None else song.measures.start
    tick, number = written_beats(bars, end, *written)
    return Beats(tick, song.seconds(tick), number, is_decoded=False)


def bars_of(song: Song, beats: Beats) -> Bars:
    """The bars that begin at the first beats, numbered from 1; an upbeat is bar 0."""
    begin = min(song.notes.start.min(), beats.tick[0]) if beats.is_decoded else 0
    starts = beats.tick[beats.number == 1]
    has_upbeat = not len(starts) or starts[0] > begin
    if has_upbeat:
        starts = np.insert(starts, 0, begin)
    numbers = range(1 - has_upbeat, 1 - has_upbeat + len(starts))
    return Bars(starts, tuple(map(str, numbers)))


def ticks_at(song: Song, seconds: np.ndarray) -> np.ndarray:
    """Seconds from the beginning -> the nearest ticks, int64."""
    known = np.unique([0, *(tick for tick, _ in song.tempos), song.notes.end.max()])
    return np.rint(np.interp(seconds, song.seconds(known), known)).astype(np.int64)


def signatures_of(time_signatures: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The default and the time signatures whose bars are at least `SHORTEST_BAR`."""
    return [COMMON_TIME, *(s for s in time_signatures if 4 * s[0] / s[1] >= SHORTEST_BAR)]


def bar_starts(
    time_signatures: Sequence[tuple[int, int, int]], ticks_per_beat: int, end: int
) -> np.ndarray:
    """The ticks at which the bars of a MIDI file begin, int64 (bars,).

    time_signatures: (numerator, denominator, tick), ordered by tick; each begins a bar. end: the
    tick at which the music ends.
    """
    length = {
        tick: max(4 * ticks_per_beat * top / bottom, 1)
        for top, bottom, tick in signatures_of(time_signatures)
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
    signatures = signatures_of(time_signatures)
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
