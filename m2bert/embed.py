"""Vectors of your own music: MIDI files or scores in, an npz of vectors out.

    python -m m2bert.embed FILES_OR_FOLDERS --out vectors.npz
    python -m m2bert.embed --nearest song.mid vectors.npz

The worker processes that read files import this module too; without torch they start faster.
"""

import argparse
import os
from pathlib import Path

from m2bert.base.arguments import (
    OVERWRITE,
    PRECISION,
    PRECISIONS,
    checked,
    command_line,
    positive_int,
)
from m2bert.base.errors import run_command
from m2bert.model.config import LAST_LAYER, PRESETS
from m2bert.notes.file_search import SUFFIX_LIST
from m2bert.notes.levels import LEVELS
from m2bert.notes.windows import STRIDE, check_stride


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.embed",
        description="Compute embeddings of MIDI files and scores, one per piece, bar or note.",
    )
    add = parser.add_argument
    what = f"MIDI files and scores, and folders: every {SUFFIX_LIST} below them"
    add("files", type=Path, nargs="+", metavar="FILE_OR_FOLDER", help=what)
    what = "pre-trained model: a run, model folder or .ckpt (default: the bundled encoder)"
    add("--ckpt", type=Path, help=what)
    target = parser.add_mutually_exclusive_group(required=True)
    what = "the .npz to write, with a .json beside it"
    target.add_argument("--out", type=npz_path, help=what)
    what = "list the songs nearest to SONG; FILE_OR_FOLDER is then the .npz written by --out"
    target.add_argument("--nearest", type=Path, metavar="SONG", help=what)
    add("--level", choices=LEVELS, default="piece", help="unit that gets a vector (default: piece)")
    add("--index_layer", type=int, default=LAST_LAYER, help="layer to read (default: 12, the last)")
    what = f"notes from the start of one window to that of the next (default: {STRIDE})"
    add("--stride", type=checked(check_stride), default=STRIDE, help=what)
    add("--any_key", action="store_true", help="mean of 12 transpositions: the key hardly matters")
    add("--batch_size", type=positive_int, help="windows per batch (default: 2, on a GPU 32)")
    add("--preset", choices=PRESETS, help="size of the .ckpt (default: inferred from its weights)")
    add("--precision", choices=PRECISIONS, help=PRECISION)
    add("--cpu", action="store_true", help="use the CPU even if there is a GPU")
    add(
        "--num_workers",
        type=positive_int,
        default=os.cpu_count(),
        help="processes that read files (default: one per CPU core)",
    )
    add("--overwrite", action="store_true", help=OVERWRITE)
    args = parser.parse_args(command_line())
    if args.nearest and [path.suffix for path in args.files] != [".npz"]:
        parser.error("--nearest needs one .npz file written by `m2bert.embed --out`")
    return args


def npz_path(text: str) -> Path:
    if not text.endswith(".npz"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end with .npz")
    return Path(text)


def main() -> None:
    args = parse_arguments()
    # here, as they import torch
    from m2bert.embedding.nearest import print_nearest
    from m2bert.embedding.pipeline import embed_files

    (print_nearest if args.nearest else embed_files)(args)


if __name__ == "__main__":
    run_command(main)
