"""Corpora of random notes, for benchmarks without data."""

import tempfile
from pathlib import Path

import numpy as np

from m2bert.notes.cp import ORDINARY_SIZES
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.corpus_writer import write_corpus
from m2bert.pretraining.segments import Batches, Songs, draw_segments

SONG_NOTES, NOTES_PER_BAR = 3000, 12


def write_random_songs(folder: Path, name: str, songs: int) -> None:
    with write_corpus(folder, name, "random notes", overwrite=True) as writer:
        for song in range(songs):
            random = np.random.default_rng(song)
            notes = random.integers(0, ORDINARY_SIZES, (SONG_NOTES, 4), np.uint8)
            place = np.arange(SONG_NOTES) % NOTES_PER_BAR
            notes[:, 0], notes[:, 1] = place > 0, place
            writer.add(f"{song:06}.mid", notes)


def made_up_songs(songs: int) -> Songs:
    """A corpus in memory-mapped files that are already deleted."""
    with tempfile.TemporaryDirectory() as folder:
        write_random_songs(Path(folder), "made_up", songs)
        return Songs([open_corpus(folder, "made_up")])


def full_batch(songs: Songs, segments: int, length: int) -> dict:
    """A batch without padding."""
    draws = draw_segments(
        np.arange(len(songs)), songs.lengths, length, seed=0, epoch=1, shuffle=True
    )
    return Batches(songs, draws, segments, length, mask_percent=0.3)[0]
