"""Fine-tuning: a pre-trained model and the benchmark's data in, a result for every run out
(docs/METHOD.md, "Fine-tuning").

    python -m m2bert.finetune --ckpt runs/pretrain --data_root data/finetune --task melody

A run is a task, a seed and, in a cross-validation, a fold. The same command keeps finished runs and
continues with the others. Several commands at a time divide the runs among themselves.
"""

import argparse
from pathlib import Path

from m2bert.base.arguments import (
    PRECISION,
    PRECISIONS,
    non_negative_int,
    positive,
    positive_int,
    repeated,
    seed,
    show_defaults,
)
from m2bert.base.devices import device_and_precision
from m2bert.base.errors import run_command, show_lines_at_once
from m2bert.base.recipes import FINETUNING, add_flags, chosen
from m2bert.finetuning.plan import plan_runs, set_up
from m2bert.finetuning.queue import fine_tune, introduce
from m2bert.model.config import LAST_LAYER, PRESETS
from m2bert.tasks import TASKS


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.finetune",
        description="Fine-tune a pre-trained model on tasks of SMCBenchmark. The same command "
        "keeps finished runs and continues with the others.",
        allow_abbrev=False,  # the script looks for --save_root
    )
    add = parser.add_argument
    what = f"tasks: {', '.join(TASKS)}, and those of the task files in --data_root (default: all)"
    add("--task", nargs="+", metavar="NAME", help=what)
    add("--ckpt", type=Path, help="model folder, pre-training run, or .ckpt of the original")
    add("--nopretrain", action="store_true", help="start from random weights")
    add("--data_root", type=Path, nargs="+", required=True, help="folders of the fine-tuning data")
    add("--save_root", type=Path, default=Path("runs/finetune"), help="folder of the results")
    add("--freeze", action="store_true", help="train only the head: a quick probe of a checkpoint")
    add(
        "--transpose",
        type=non_negative_int,
        default=0,
        help="transpose training segments by at most N semitones (default: 0)",
    )
    add("--balance", action="store_true", help="class weights inverse to frequencies in the loss")
    what = "weight of a task's last class (beat, downbeat, motif) in the loss (default: 1)"
    add("--last_class_weight", type=positive, help=what)
    what = "stop after N epochs without a better validation score (--schedule is not shortened)"
    add("--patience", type=positive_int, metavar="N", help=what)
    add("--seed", type=seed, nargs="+", help="random seeds (default: the benchmark's)")
    what = "test folds of the cross-validated tasks (default: all)"
    add("--fold", type=non_negative_int, nargs="+", metavar="K", help=what)
    add("--preset", choices=PRESETS, help="size of the model with --nopretrain (default: base)")
    add("--index_layer", type=int, default=LAST_LAYER, help="layer to read; 12 is the last")
    add(
        "--batch_size",
        type=positive_int,
        help="segments per training batch (default: 6, for piece tasks 12)",
    )
    add("--save_ckpt", action="store_true", help="save the model of each run's best epoch")
    add("--precision", choices=PRECISIONS, help=PRECISION)
    add("--cpu", action="store_true", help="train on the CPU even if there is a GPU")
    # published scripts give these two; classes are those of the task, and data is in memory
    add("--class_num", type=positive_int, help=argparse.SUPPRESS)
    add("--num_workers", type=non_negative_int, help=argparse.SUPPRESS)
    add_flags(parser, FINETUNING)
    show_defaults(parser)
    args = parser.parse_args()
    args.recipe = chosen(args, FINETUNING)
    for flag in ("task", "seed", "fold"):
        if twice := repeated(getattr(args, flag) or []):
            parser.error(f"--{flag}: {twice[0]} is given twice")
    if args.freeze and args.transpose:
        parser.error("--transpose and --freeze cannot be used together")
    if args.balance and args.last_class_weight:
        parser.error("--balance and --last_class_weight cannot be used together")
    if args.ckpt is None and not args.nopretrain:
        parser.error("give a pre-trained model with --ckpt, or --nopretrain")
    return args


def main() -> int:
    show_lines_at_once()
    args = parse_arguments()
    device, args.precision = device_and_precision(args.cpu, args.precision)
    setup = set_up(args, device)
    runs = plan_runs(args)
    introduce(setup, runs)
    return fine_tune(runs, setup)


if __name__ == "__main__":
    run_command(main, resumable=True)
