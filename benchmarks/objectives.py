"""How long do corruption and dense pianoroll targets of a 12 x 1024 batch take on one core?

python -m benchmarks.objectives --data_root data/pretrain --datasets pop909
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import RUNS, median_seconds
from m2bert.base.errors import run_command
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.objectives import Objective, pianoroll_targets
from m2bert.pretraining.segments import Batches, Songs, draw_segments

REPEATS = 10
BATCH_SIZE, LENGTH = 12, 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, default=Path("data/pretrain"))
    parser.add_argument("--datasets", nargs="+", default=["pop909"])
    args = parser.parse_args()

    torch.set_num_threads(1)
    batch = full_batch(Songs([open_corpus(args.data_root, name) for name in args.datasets]))
    notes, keys = batch["notes"], batch["keys"]
    objective = Objective()
    target = pianoroll_targets(notes, "full", batch["bars"])
    steps = {
        "corruption": lambda: objective.corrupt(notes, keys),
        "targets, a block a bar": lambda: pianoroll_targets(notes, "full", batch["bars"]),
        "targets written out for every note": target.dense,
    }
    seconds = {name: median_seconds(step, REPEATS)[0] for name, step in steps.items()}
    print(f"{BATCH_SIZE} x {LENGTH} notes, {batch['bars']} bars at most; medians of {RUNS} runs")
    for name, value in {**seconds, "all": sum(seconds.values())}.items():
        print(f"{name:<38}{1000 * value:7.1f} ms")


def full_batch(songs: Songs, batch_size: int = BATCH_SIZE) -> dict:
    """A batch of whole segments from the songs that are long enough."""
    long = np.flatnonzero(songs.lengths > LENGTH)
    draws = draw_segments(long, songs.lengths[long], LENGTH, seed=0, epoch=1, shuffle=True)
    return Batches(songs, draws, batch_size, LENGTH, mask_percent=0.3)[0]


if __name__ == "__main__":
    run_command(main)
