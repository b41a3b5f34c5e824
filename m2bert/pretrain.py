"""Pre-training: corpora in, a model folder out (docs/METHOD.md, "Training").

    python -m m2bert.pretrain --save_dir runs/base --data_root data/pretrain

The same command resumes the run where it was stopped. Several processes, started by `torchrun`,
divide the same global batches among themselves.
"""

import argparse
from pathlib import Path

from m2bert.base.arguments import PRECISIONS, non_negative_int, not_negative, positive_int, seed
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
        description="Pre-train M2BERT; the same command resumes a run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--save_dir", type=Path, required=True, help="folder of the run")
    add("--data_root", type=Path, required=True, help="folder of the corpora (NAME.npy)")
    add("--datasets", nargs="+", default=REDUCED, help="names of the corpora")
    add("--exclude_songs", type=Path, help="file that lists songs to leave out")
    add("--preset", choices=PRESETS, default="base", help="size of the model")
    add("--init_ckpt", type=Path, help="model folder or .ckpt of the original to start from")
    of = Objective()  # the paper's
    add("--pianoroll", choices=PIANOROLL_BINS, default=of.pianoroll, help="pianoroll objective")
    add("--corruption", choices=CORRUPTIONS, default=of.corruption, help="how notes are corrupted")
    add(
        "--rc_range",
        type=positive_int,
        nargs=3,
        default=list(of.rc_range),
        help="greatest changes of position, pitch and duration under rc",
    )
    add(
        "--mask_percent",
        type=float,
        default=of.mask_percent,
        help="fraction of the notes that is corrupted",
    )
    add("--max_seq_len", type=positive_int, default=WINDOW, help="notes of a segment")
    add(
        "--batch_size",
        type=positive_int,
        default=12,
        help="segments of a step, all processes together",
    )
    add(
        "--accumulation_steps",
        type=positive_int,
        default=1,
        help="parts that a step is computed in",
    )
    add("--max_steps", type=positive_int, help="stop after so many steps in total")
    add("--seed", type=seed, default=2021, help="seed of everything random")
    add("--precision", choices=PRECISIONS, help="default: bf16 on a GPU that has it")
    add("--compile", action="store_true", help="compile the step with torch.compile")
    add("--cpu", action="store_true", help="train on the CPU although there is a GPU")
    what = "processes that read batches ahead (1; 0 on a GPU, where a step hides the reading)"
    add("--num_workers", type=non_negative_int, help=what)
    add("--log_steps", type=positive_int, default=50, help="steps between two lines of metrics")
    add("--save_minutes", type=not_negative, default=10, help="minutes between two saved states")
    add_flags(parser, PRETRAINING)
    args = parser.parse_args()
    args.recipe = chosen(args, PRETRAINING)
    if not 0 < args.mask_percent <= 1:
        parser.error("--mask_percent must be above 0 and at most 1")
    if len(set(args.datasets)) < len(args.datasets):
        parser.error("--datasets names a corpus twice")
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
