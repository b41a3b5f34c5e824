"""PM2S: performances on the piano, with the times of beats and downbeats."""

from pathlib import Path

import numpy as np

from data_creation.benchmark.sources.pieces import Item, Piece, item_of, read_table
from m2bert.base.errors import UserError
from m2bert.notes.object_arrays import read_pickle

METADATA = "metadata.csv"
_CELL = 0.01  # seconds of a cell in which beats are marked
_REACH = 0.07  # seconds before and after a beat at which a note is on it
_SHORTEST_BEAT, _LONGEST_BEAT = 0.3, 1.5  # seconds


def pieces(folder: Path) -> list[Piece]:
    """The rows of the metadata, by the names of their feature files."""
    rows = zip(*read_table(folder / METADATA, ("performance_id", "split")), strict=True)
    return sorted(Piece(split, name, (f"{name}.pkl",)) for name, split in rows)


def read(folder: Path, piece: Piece) -> list[Item]:
    """A performance; label 2 where a note is on a beat (or a downbeat), else 1."""
    rows, annotations = read_pickle(folder / piece.files[0])
    pitch, onset, duration, _ = np.array(rows, float).reshape(-1, 4).T
    marks = {task: annotations[f"{task}s"] for task in ("beat", "downbeat")}
    if not len(onset) or not all(marks.values()) or not np.median(duration) > 0:
        raise UserError("no notes with positive duration, no beats or no downbeats")
    labels = {task: on_beats(onset, np.sort(beats)) for task, beats in marks.items()}
    beat = beat_length(duration)
    start, length = onset / beat, duration / beat
    order = np.lexsort((pitch, start))
    its = {task: label[order] for task, (label, _) in labels.items()}
    item = item_of(start[order], (start + length)[order], pitch[order].astype(int), **its)
    return [item._replace(corrected=sum(corrected for _, corrected in labels.values()))]


def beat_length(durations: np.ndarray) -> float:
    """The unit of time in seconds: the median duration of the notes, doubled or halved."""
    beat = float(np.median(durations))
    while not _SHORTEST_BEAT <= beat <= _LONGEST_BEAT:
        beat *= 2 if beat < _SHORTEST_BEAT else 0.5
    return beat


def on_beats(onset: np.ndarray, beats: np.ndarray) -> tuple[np.ndarray, int]:
    """The labels of notes, (notes,), and how many of them the original gets wrong, which misses
    beats in the first 65 ms. Times are in seconds, those of `beats` ascending."""
    first, last = (np.rint((beats + reach) / _CELL) for reach in (-_REACH, _REACH))
    cell = np.rint(onset / _CELL)
    begun, ended = np.searchsorted(first, cell, side="right"), np.searchsorted(last, cell)
    missed = (begun > ended) & (begun <= (first < 0).sum())
    return 1 + (begun > ended), int(missed.sum())
