"""Command: `python -m data_creation.demo` writes the demo music."""

import argparse
from collections import Counter
from pathlib import Path

from data_creation.demo.benchmark import FOLDER
from data_creation.demo.write import RECORD, write_demo
from m2bert.base.errors import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.demo",
        description="Write synthetic piano music with labels in the published folder layouts.",
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="a new or empty folder")
    folder = parser.parse_args().output_dir
    notes: Counter[str] = Counter()
    for song in write_demo(folder)["songs"]:
        notes[song["corpus"]] += song["notes"]
    for corpus, count in notes.items():
        print(f"{corpus:9}{count:7,} notes")
    print(f"{folder / RECORD} describes each song; labels for the twelve tasks: {folder / FOLDER}")


if __name__ == "__main__":
    run_command(main)
