"""A task of your own: labelled songs in, a model out that annotates others (docs/learn.md).

    python -m m2bert.learn my_folder --out models/mine                   # classes of pieces
    python -m m2bert.learn my_songs --label voice --out models/voice     # labels of notes
    python -m m2bert.learn corrected --label melody --start_from models/melody --out models/mine

The same command resumes after an interruption.
"""

import argparse
import os
import re
from pathlib import Path

from m2bert.base.arguments import PRECISION, PRECISIONS, positive_int, seed
from m2bert.base.errors import run_command

METRIC_NAMES = ("accuracy", "macro_f1")
OF_NEW_TASKS = ("name", "ckpt", "split", "balance", "metric", "baseline", "epochs", "prepare_only")
"""Options that --start_from does not use."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.learn",
        description="Learn labels of your own from labelled music. The same command resumes after "
        "an interruption.",
    )
    add = parser.add_argument
    what = "a folder with a folder of songs for each class; with --label, songs and their tables"
    add("folders", type=Path, nargs="+", metavar="FOLDER", help=what)
    add("--out", type=Path, required=True, help="folder of the model")
    what = "learn labels of notes: a column of the tables, or track_name for the names of tracks"
    add("--label", metavar="COLUMN", help=what)
    what = "continue training this classifier with tables of its labels, such as corrections"
    add("--start_from", type=Path, metavar="MODEL", help=what)
    add("--name", help="name of the task (default: the name of --out)")
    add("--ckpt", type=Path, help="pre-trained encoder to start from (default: the bundled one)")
    what = "regular expression for file names; songs with the same first group stay together"
    add("--group_by", metavar="REGEX", type=regular_expression, help=what)
    what = "table of files and parts (train, valid, test), as an earlier --out has it"
    add("--split", type=Path, metavar="FILE", help=what)
    what = "skip notes without a label, and rows without a note"
    add("--allow_missing", action="store_true", help=what)
    add("--balance", action="store_true", help="give each class the same weight in the loss")
    what = "score by which the best model is chosen (default: accuracy)"
    add("--metric", choices=METRIC_NAMES, help=what)
    what = "also fit two logistic regressions on the same split, to compare with"
    add("--baseline", action="store_true", help=what)
    what = "maximum number of epochs of fine-tuning (default: 10, or more if 300 steps take more)"
    add("--epochs", type=positive_int, help=what)
    add("--seed", type=seed, nargs="+", default=[2021], help="random seed (default: 2021)")
    what = "only write arrays and a task file for m2bert.finetune to --out"
    add("--prepare_only", action="store_true", help=what)
    add("--folds", type=positive_int, default=0, help="with --prepare_only: cross-validation")
    add("--precision", choices=PRECISIONS, help=PRECISION)
    add("--cpu", action="store_true", help="use the CPU even if there is a GPU")
    what = "processes that read files (default: one per CPU core)"
    add("--num_workers", type=positive_int, default=os.cpu_count(), help=what)
    args = parser.parse_args()
    if not args.prepare_only and (args.folds or len(args.seed) > 1):
        parser.error("--folds and several seeds need --prepare_only, then m2bert.finetune")
    if 0 < args.folds < 3:
        parser.error("--folds must be at least 3: for training, validation and testing")
    if args.folds and args.split:
        parser.error("--folds cannot be used with --split")
    if args.start_from and not args.label:
        parser.error("--start_from needs --label, the column of the tables")
    others = [name for name in OF_NEW_TASKS if getattr(args, name)]
    if args.start_from and others:
        parser.error(f"--{others[0]} cannot be used with --start_from")
    if not args.label and len(args.folders) > 1:
        parser.error("give one folder, with a folder of songs for each class")
    return args


def regular_expression(text: str) -> re.Pattern[str]:
    """Type of an argument. Raises `argparse.ArgumentTypeError` if it is not valid."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a regular expression ({error})"
        ) from error


def main() -> None:
    args = parse_arguments()
    from m2bert.learning.pipeline import learn  # heavy: not in the processes that read files

    learn(args)


if __name__ == "__main__":
    run_command(main, resumable=True)
