"""The demo music, played: beats become MIDI ticks, with or without the small inaccuracies of a
human hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_creation.demo.music import STEPS_PER_BEAT, Composition

# --- Performance ------------------------------------------------------------------------------


_SHORTEST = 0.08  # beats; anything below 1/16 would be dropped as a slip of the finger


@dataclass(frozen=True)
class Performance:
    """What goes into a MIDI file: notes `(notes,)` with their ticks `(notes,)` int64.

    `notes["onset"]` and `notes["offset"]` are `start / ticks_per_beat`, `end / ticks_per_beat`;
    all are sorted by (track, start, pitch), and no two notes of a track and pitch overlap.
    """

    notes: np.ndarray
    start: np.ndarray
    end: np.ndarray


def perform(
    seed: int | Sequence[int],
    song: Composition,
    ticks_per_beat: int,
    tracks: Sequence[int],
    touch: float | None = None,
) -> Performance:
    """Play a piece: put its parts on tracks and its beats on MIDI ticks.

    Args:
        tracks: the track of each part, by part number.
        touch: None plays as notated, on the grid of sixteenths. A number plays as a hand does: the
            sounding share of a note's length, with small deviations of every start and end.
    """
    notes = song.notes.copy()
    notes["track"] = np.array(tracks)[notes["part"]]
    if touch is None:
        grid = 1 / STEPS_PER_BEAT
        notes["onset"] = np.rint(notes["onset"] / grid) * grid
        notes["offset"] = np.maximum(np.rint(notes["offset"] / grid) * grid, notes["onset"] + grid)
    notes = _without_unisons(notes)
    if touch is not None:
        rng = np.random.default_rng(seed)
        length = (notes["offset"] - notes["onset"]) * touch + _deviation(rng, len(notes))
        notes["onset"] = np.maximum(notes["onset"] + _deviation(rng, len(notes)), 0)
        notes["offset"] = notes["onset"] + np.maximum(length, _SHORTEST)

    start = np.rint(notes["onset"] * ticks_per_beat).astype(np.int64)
    end = np.rint(notes["offset"] * ticks_per_beat).astype(np.int64)
    # A key that is struck again has been let go before.
    order = np.lexsort((start, notes["pitch"], notes["track"]))
    first, second = order[:-1], order[1:]
    same_key = (notes["track"][first] == notes["track"][second]) & (
        notes["pitch"][first] == notes["pitch"][second]
    )
    end[first] = np.where(same_key, np.minimum(end[first], start[second]), end[first])

    order = np.lexsort((notes["pitch"], start, notes["track"]))
    notes, start, end = notes[order], start[order], end[order]
    notes["onset"], notes["offset"] = start / ticks_per_beat, end / ticks_per_beat
    return Performance(notes, start, end)


def _deviation(rng: np.random.Generator, count: int) -> np.ndarray:
    """Inaccuracies in beats; the bound keeps neighbouring sixteenths apart and in order."""
    return np.clip(rng.normal(0, 0.012, count), -0.04, 0.04)


def _without_unisons(notes: np.ndarray) -> np.ndarray:
    """Of notes that strike the same key of the same track together, the first part's alone."""
    notes = notes[np.lexsort((notes["part"], notes["onset"], notes["pitch"], notes["track"]))]
    key = np.stack([notes["track"], notes["pitch"], notes["onset"]])
    return notes[np.concatenate([[True], (key[:, 1:] != key[:, :-1]).any(axis=0)])]
