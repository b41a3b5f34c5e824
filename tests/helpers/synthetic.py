"""Synthetic songs and corpora for tests."""

from pathlib import Path

import numpy as np

from m2bert.notes.cp import ORDINARY_SIZES, PAD
from m2bert.pretraining import corpus_writer


def random_song(rng: np.random.Generator, notes: int, new_bar: float = 0.2) -> np.ndarray:
    """A song of uniform notes, (notes, 4) uint8, in which a note opens a bar at random."""
    song = rng.integers(0, ORDINARY_SIZES, (notes, 4)).astype(np.uint8)
    song[:, 0] = rng.random(notes) > new_bar
    song[0, 0] = 0
    return song


def random_segments(
    rng: np.random.Generator, count: int, length: int, shortest: int = 1
) -> np.ndarray:
    """Segments padded at the end, (count, length, 4) uint8; some begin inside a bar."""
    segments = np.empty((count, length, 4), np.uint8)
    segments[:] = PAD
    for segment in segments:
        notes = rng.integers(shortest, length + 1)
        segment[:notes] = random_song(rng, notes, new_bar=rng.choice([0.02, 0.2, 0.9]))
        segment[0, 0] = rng.integers(2)
    return segments


def patterned_song(rng: np.random.Generator, notes: int) -> np.ndarray:
    """A song that a model can learn: scales in 8th notes."""
    place = np.arange(notes)
    position = 2 * (place % 8)
    pitch = 20 + rng.integers(12) + place % 8 * 2
    duration = np.full(notes, 3)
    return np.stack([position > 0, position, pitch, duration], axis=1).astype(np.uint8)


def write_corpus(folder: Path, name: str, songs: list[np.ndarray]) -> None:
    """Write songs as the corpus `name`."""
    with corpus_writer.write_corpus(folder, name, "inputs", overwrite=True) as writer:
        for index, song in enumerate(songs):
            writer.add(f"song_{index}.mid", song)
