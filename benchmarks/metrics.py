"""How long does the validation score of chord roots and local keys take on one core?

python -m benchmarks.metrics [--segments 193]
"""

import argparse
from time import perf_counter

import numpy as np
import torch

from benchmarks.timing import RUNS, median_seconds
from m2bert.base.errors import UserError, run_command
from m2bert.finetuning.metrics import clean_grid_accuracy, grid_accuracy
from tests.helpers.slow_grid import slow_grid_accuracy

LENGTH, BATCH_SIZE, CLASSES, NOTES_PER_BAR = 1024, 6, 36, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=193, help="as in AugmentedNet's validation")
    args = parser.parse_args()

    torch.set_num_threads(1)
    arrays = made_up_set(args.segments)
    tensors = [torch.from_numpy(array) for array in arrays]
    published_s, published = median_seconds(lambda: grid_accuracy(*tensors, BATCH_SIZE))
    clean_s, _ = median_seconds(lambda: clean_grid_accuracy(*tensors, BATCH_SIZE))
    begin = perf_counter()
    expected = slow_grid_accuracy(*arrays, BATCH_SIZE)
    loop_s = perf_counter() - begin
    if abs(expected - published.item()) > 1e-9:
        raise UserError(f"the loop finds {expected}, the vectorised score is {published.item()}")

    print(f"{args.segments} segments of {LENGTH} notes; medians of {RUNS} runs, of the loop one")
    for name, seconds in (("published", published_s), ("clean", clean_s), ("loop", loop_s)):
        print(f"{name:<12}{1000 * seconds:10.1f} ms{loop_s / seconds:10.0f} x")


def made_up_set(segments: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Notes in bars of twelve, labels and predictions."""
    rng = np.random.default_rng(0)
    notes = rng.integers(0, 64, (segments, LENGTH, 4)).astype(np.uint8)
    place = np.arange(LENGTH) % NOTES_PER_BAR
    notes[..., 0] = place > 0
    notes[..., 1] = place * 16 // NOTES_PER_BAR
    return notes, *rng.integers(0, CLASSES, (2, segments, LENGTH)).astype(np.int16)


if __name__ == "__main__":
    run_command(main)
