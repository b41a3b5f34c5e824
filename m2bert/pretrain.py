"""Pre-training: corpora in, a model folder out (docs/METHOD.md, "Training").

    python -m m2bert.pretrain --save_dir runs/base --data_root data/pretrain

The same command resumes the run where it was stopped. Several processes, started by `torchrun`,
divide the same global batches among themselves.
"""

import argparse
from pathlib import Path

from m2bert.base.arguments import (
    PRECISION,
    PRECISIONS,
    non_negative_int,
    not_negative,
    positive_int,
    repeated,
    seed,
    show_defaults,
)
from m2bert.base.devices import choose_precision, enough_memory
from m2bert.base.errors import UserError, run_command
from m2bert.base.processes import start_processes
from m2bert.base.recipes import PRETRAINING, add_flags, chosen
from m2bert.model.config import PIANOROLL_BINS, PRESETS
from m2bert.notes.windows import WINDOW
from m2bert.pretraining.objectives import CORRUPTIONS, Objective
from m2bert.pretraining.run import PretrainingRun

REDUCED = ["pop909", "pianist8", "pop1k7", "ASAP", "emopia"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.pretrain",
        description="Pre-train M2BERT. The same command resumes a run.",
    )
    add = parser.add_argument
    add("--save_dir", type=Path, required=True, help="folder of the run")
    add("--data_root", type=Path, required=True, help="folder of the corpora (NAME.npy)")
    add("--datasets", nargs="+", default=REDUCED, help="names of the corpora")
    add("--exclude_songs", type=Path, help="file that lists songs to exclude")
    add("--preset", choices=PRESETS, default="base", help="size of the model")
    add(
        "--init_ckpt",
        type=Path,
        help="start from the weights of this model folder or original .ckpt",
    )
    paper = Objective()
    add("--pianoroll", choices=PIANOROLL_BINS, default=paper.pianoroll, help="pianoroll objective")
    add(
        "--corruption",
        choices=CORRUPTIONS,
        default=paper.corruption,
        help="token correction or masked language modelling",
    )
    add(
        "--rc_range",
        type=positive_int,
        nargs=3,
        default=list(paper.rc_range),
        help="ranges of rc for Position, Pitch and Duration: changes from -N to N - 1",
    )
    add(
        "--mask_percent",
        type=float,
        default=paper.mask_percent,
        help="fraction of notes to corrupt",
    )
    add("--max_seq_len", type=positive_int, default=WINDOW, help="notes per segment")
    add("--batch_size", type=positive_int, default=12, help="segments per step, over all processes")
    add(
        "--accumulation_steps",
        type=positive_int,
        default=1,
        help="number of parts in which a step is computed",
    )
    add("--max_steps", type=positive_int, help="total number of steps after which to stop")
    add("--seed", type=seed, default=2021, help="random seed")
    add("--precision", choices=PRECISIONS, help=PRECISION)
    add("--compile", action="store_true", help="compile the step with torch.compile")
    add("--cpu", action="store_true", help="train on the CPU even if there is a GPU")
    what = "background processes that read batches (default: 1 on a CPU, 0 on a GPU)"
    add("--num_workers", type=non_negative_int, help=what)
    add("--log_steps", type=positive_int, default=50, help="steps between lines of metrics")
    add("--save_minutes", type=not_negative, default=10, help="minutes between checkpoints")
    add_flags(parser, PRETRAINING)
    show_defaults(parser)
    args = parser.parse_args()
    args.recipe = chosen(args, PRETRAINING)
    if not 0 < args.mask_percent <= 1:
        parser.error("--mask_percent must be above 0 and at most 1")
    if twice := repeated(args.datasets):
        parser.error(f"--datasets: {twice[0]} is given twice")
    return args


def main() -> int:
    args = parse_arguments()
    processes = start_processes(args.cpu)
    args.precision = choose_precision(args.precision, processes.device)
    parts = processes.world_size * args.accumulation_steps
    with processes.fail_together():
        if args.batch_size % parts:
            raise UserError(
                f"--batch_size {args.batch_size} cannot be split evenly over {parts} parts "
                f"({processes.world_size} processes times --accumulation_steps)"
            )
    if args.num_workers is None:
        args.num_workers = 1 if processes.device.type == "cpu" else 0
    with enough_memory(
        "--accumulation_steps computes a step in parts, and smaller presets need less"
    ):
        run = PretrainingRun(args, processes)
        status = run.go()
    run.folder.close()
    processes.end()
    return status


if __name__ == "__main__":
    run_command(main, resumable=True)
