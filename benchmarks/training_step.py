"""How long does a training step take, and how long does reading its batch?

python -m benchmarks.training_step --data_root data/pretrain --datasets pop909 --preset tiny
"""

import argparse
from pathlib import Path

from benchmarks.objectives import full_batch
from benchmarks.timing import RUNS, median_seconds
from m2bert.base.devices import choose_device
from m2bert.base.errors import run_command
from m2bert.base.processes import Processes
from m2bert.model.config import PRESETS, preset
from m2bert.model.encoder import M2BertForPreTraining, training_flops_per_note
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.metrics import measure_peak
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.segments import Batches, Songs, draw_segments
from m2bert.pretraining.step import Trainer

LENGTH = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, default=Path("data/pretrain"))
    parser.add_argument("--datasets", nargs="+", default=["pop909"])
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--batch_size", type=int, default=12)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()

    songs = Songs([open_corpus(args.data_root, name) for name in args.datasets])
    print(f"reading a batch of {args.batch_size} x {LENGTH}: {1000 * reading(songs, args):.2f} ms")
    device = choose_device(cpu=False)
    model = M2BertForPreTraining(preset(args.preset))
    trainer = Trainer(
        model,
        Objective(),
        Processes(device),
        precision=args.precision,
        lr=2e-5,
        seed=0,
        compile_mode="default" if args.compile else None,
    )
    batch = full_batch(songs, args.batch_size)
    # reading the figures waits for the device
    step_s, _ = median_seconds(lambda: trainer.train_step(batch, step=0).tolist())
    notes_per_second = batch["real"] / step_s
    print(f"training step ({args.preset}, {args.precision}): {1000 * step_s:.1f} ms", end="")
    print(f", {notes_per_second:,.0f} notes/s; median of {RUNS} steps")
    peak = measure_peak(device, args.precision)
    if peak:
        share = notes_per_second * training_flops_per_note(model.config, LENGTH) / peak
        print(f"{share:.1%} of {peak / 1e12:.0f} TFLOP/s measured in large matrix products")


def reading(songs: Songs, args: argparse.Namespace) -> float:
    """Seconds to read a batch in this process: the mean of an epoch's first, median of runs."""
    draws = draw_segments(range(len(songs)), songs.lengths, LENGTH, seed=0, epoch=1, shuffle=True)
    batches = Batches(songs, draws, args.batch_size, LENGTH, mask_percent=0.3)
    steps = range(min(100, len(batches)))
    return median_seconds(lambda: [batches[step] for step in steps])[0] / len(steps)


if __name__ == "__main__":
    run_command(main)
