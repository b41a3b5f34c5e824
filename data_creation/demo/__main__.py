"""Command: `python -m data_creation.demo` writes the demo music."""

import argparse
from collections import Counter
from pathlib import Path

from data_creation.demo.benchmark import FOLDER
from data_creation.demo.write import FEWEST_LABELLED_SONGS, RECORD, write_demo
from m2bert.base.arguments import count, seed
from m2bert.base.errors import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write synthetic piano music with labels in the published folder layouts."
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--songs", type=count, default=100, help="of all corpora (default: 100)")
    parser.add_argument("--seed", type=seed, default=0, help="another seed, other music")
    args = parser.parse_args()
    demo = write_demo(args.output_dir, args.songs, args.seed)
    for corpus, files in Counter(song["corpus"] for song in demo["songs"]).items():
        notes = sum(song["notes"] for song in demo["songs"] if song["corpus"] == corpus)
        print(f"{corpus:9}{files:4} songs{notes:7,} notes")
    print(f"{args.output_dir / RECORD} describes each song")
    if demo["benchmark"]:
        print(f"labels for the twelve tasks: {args.output_dir / FOLDER}")
    else:
        print(f"labels for the twelve tasks: only from --songs {FEWEST_LABELLED_SONGS} on")


if __name__ == "__main__":
    run_command(main, goes_on=True)
