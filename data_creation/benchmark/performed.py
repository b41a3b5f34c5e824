"""Scores, played with the tempo curves of performances: training data for beats and downbeats.

There are few performances whose beats are annotated; the beats of a score are known. Beyond the
paper; benchmarks/LOG.md has what it brings.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from data_creation.benchmark.sources.pm2s import beat_length, on_beats
from m2bert.annotation.meter import beats_of_file
from m2bert.notes.file_reading import read_files
from m2bert.notes.file_search import collect_music_files
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import Entry, print_skipped
from m2bert.notes.song import Song

SEED = 2021

FEWEST_BEATS, FEWEST_NOTES = 16, 60
"""Shorter scores are not played."""

ONE_ONSET, MOST_DEVIATION = 0.14, 0.6
"""Onsets on a beat less than `ONE_ONSET` beats apart are one; a beat that is longer or shorter than
the median by more than e to the power of `MOST_DEVIATION` is one without a note, and omitted."""

MEDIAN_BEAT, BEAT_WIDTH, BEAT_RANGE = 0.6, 0.35, (0.28, 1.3)
"""The median duration of a beat in seconds, the width of its distribution (of the logarithm), and
its least and greatest duration."""

JITTER, LAG, GRACE = (0.005, 0.018), 0.012, 0.07
"""In seconds: how much notes deviate from the beat (standard deviation, least and greatest), how
much instruments do, and how much earlier a grace note begins."""

TOUCH, TOUCH_WIDTH, SHORTEST = (0.55, 1.25), 0.25, 0.05
"""How long notes are played, relative to the score (least and greatest mean of a piece; width of
the logarithm), and at least, in seconds."""


def tempo_curve(onset: np.ndarray, is_on_beat: np.ndarray) -> np.ndarray:
    """How the tempo of a performance changes: the logarithm of the duration of each beat, divided
    by the median one.

    onset: of the notes, (notes,), in any unit; is_on_beat: (notes,) bool.
    """
    times = np.sort(onset[is_on_beat])
    if not len(times):
        return times
    first = np.flatnonzero(np.diff(times, prepend=-np.inf) > ONE_ONSET)
    durations = np.diff(np.add.reduceat(times, first) / np.diff(first, append=len(times)))
    curve = np.log(durations / np.median(durations)) if len(durations) else durations
    return curve[np.abs(curve) < MOST_DEVIATION]


def performed_scores(
    folders: Sequence[Path], curves: Sequence[np.ndarray], speeds: Sequence[float]
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield each score in some folders as an item of PM2S: its notes, (notes, 3), and their labels
    of beats and of downbeats. Scores that cannot be read are skipped and printed, short ones are
    skipped.

    speeds: by one of these factors, chosen at random, the times of each item are multiplied.
    """
    files, workers, skipped = collect_music_files(folders), os.cpu_count() or 1, list[Entry]()
    for number, (_, song) in enumerate(read_files(read_song, files, workers, skipped, "scores")):
        beats, pitched = beats_of_file(song), (~song.is_drum).sum()
        if len(beats.tick) >= FEWEST_BEATS and pitched >= FEWEST_NOTES:
            rng = np.random.default_rng([SEED, number])
            notes, *labels = performed(song, beats.tick, beats.number, curves, rng)
            notes[:, :2] *= rng.choice(speeds)
            yield notes, labels
    print_skipped(skipped)


def performed(
    song: Song,
    tick: np.ndarray,
    number: np.ndarray,
    curves: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A song, played: notes as in PM2S's items, and their labels of beats and of downbeats.

    tick, number: of the beats; curves: of some performances, as `tempo_curve` returns them.
    """
    edges = np.append(tick, 2 * tick[-1] - tick[-2])
    second = beat_seconds(edges, curves, rng)
    notes, pitched = song.notes, ~song.is_drum
    start, end, pitch, track = (
        column[pitched] for column in (notes.start, notes.end, notes.pitch, notes.track)
    )
    onset = at(start, edges, second)
    length = at(end, edges, second) - onset
    onset += rng.normal(0, rng.uniform(*JITTER), len(onset))
    onset += rng.normal(0, LAG, track.max() + 1)[track] - GRACE * (end <= start)
    length *= np.exp(rng.normal(np.log(rng.uniform(*TOUCH)), TOUCH_WIDTH, len(onset)))
    length = np.maximum(length, SHORTEST)
    begin = onset.min()
    order = np.lexsort((pitch, onset))
    onset, length, pitch = onset[order] - begin, length[order], pitch[order]
    beats = second[:-1] - begin
    on_beat, on_downbeat = (on_beats(onset, its)[0] for its in (beats, beats[number == 1]))
    beat = beat_length(length)
    played = np.stack([onset / beat, (onset + length) / beat, pitch], axis=1)
    return played, on_beat, on_downbeat


def beat_seconds(
    edges: np.ndarray, curves: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """When the beats are played, and when the last one ends, in seconds; edges: the same in ticks,
    both (beats + 1,)."""
    length = np.diff(edges)
    drawn: list[np.ndarray] = []
    while sum(map(len, drawn)) < len(length):
        drawn.append(curves[int(rng.integers(len(curves)))])
    period = np.exp(np.clip(rng.normal(np.log(MEDIAN_BEAT), BEAT_WIDTH), *np.log(BEAT_RANGE)))
    durations = period * length / np.median(length) * np.exp(np.concatenate(drawn)[: len(length)])
    return np.append(0, durations.cumsum())


def at(ticks: np.ndarray, edges: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Ticks -> seconds; before the first beat and after the last one in the mean tempo."""
    outside = np.minimum(ticks - edges[0], 0) + np.maximum(ticks - edges[-1], 0)
    return np.interp(ticks, edges, second) + outside * second[-1] / (edges[-1] - edges[0])
