"""How long does opening a corpus of 5 million notes take, and how much memory?

python -m benchmarks.corpus_opening
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.made_up_corpus import song_lengths, write_corpus
from m2bert.base.errors import run_command
from m2bert.pretraining.corpus import open_corpus

NOTES = 5_000_000
SONGS = 3700
RUNS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), "benchmark", song_lengths(SONGS, NOTES))
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            runs = [pool.apply(measure, (folder,)) for _ in range(RUNS)]
    print(f"{NOTES:,} notes; medians of {RUNS} fresh processes")
    print(f"{'step':<34}{'ms':>10}{'MB more in memory':>20}")
    for index, step in enumerate(["opening", "one song copied (mean of 1,000)", "every note read"]):
        milliseconds, megabytes = (
            median(run[index][column] for run in runs) for column in range(2)
        )
        print(f"{step:<34}{milliseconds:10.4f}{megabytes:20.2f}")


def measure(folder: str) -> list[tuple[float, float]]:
    """(milliseconds, megabytes more in memory) of each step."""
    before = resident_bytes()
    corpus, opening_s = timed(lambda: open_corpus(folder, "benchmark"))
    opened = resident_bytes()
    songs = np.random.default_rng(0).integers(0, len(corpus), 1000)
    _, songs_s = timed(lambda: [corpus.song(song).copy() for song in songs])
    songs_read = resident_bytes()
    _, all_s = timed(lambda: corpus.notes.max())
    return [
        (1000 * opening_s, (opened - before) / 1e6),
        (1000 * songs_s / len(songs), (songs_read - before) / 1e6),
        (1000 * all_s, (resident_bytes() - before) / 1e6),
    ]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def timed(step: Callable) -> tuple:
    begin = perf_counter()
    result = step()
    return result, perf_counter() - begin


if __name__ == "__main__":
    run_command(main)
