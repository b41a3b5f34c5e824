"""Corpora of random notes, for benchmarks that need no music."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from m2bert.notes.cp import ORDINARY_SIZES
from m2bert.pretraining import corpus_writer

NOTES_PER_BAR = 12


def song_lengths(songs: int, notes: int) -> np.ndarray:
    """Notes of each song, (songs,) int64, in all `notes`: widely spread, as those of real music."""
    weights = np.random.default_rng(0).lognormal(0, 0.8, songs)
    ends = np.rint(np.cumsum(weights) / weights.sum() * (notes - songs)).astype(np.int64)
    return np.diff(ends, prepend=0) + 1


def write_corpus(folder: Path, name: str, lengths: np.ndarray) -> None:
    """Write songs of so many random notes each, in bars of twelve."""
    with corpus_writer.write_corpus(folder, name, "random notes", overwrite=True) as writer:
        songs = range(len(lengths))
        for song in tqdm(songs, f"writing {name}", unit=" songs", leave=False, disable=None):
            random = np.random.default_rng(song)
            notes = random.integers(0, ORDINARY_SIZES, (lengths[song], 4), np.uint8)
            place = np.arange(len(notes)) % NOTES_PER_BAR
            notes[:, 0], notes[:, 1] = place > 0, place
            writer.add(f"{song:06}.mid", notes)
