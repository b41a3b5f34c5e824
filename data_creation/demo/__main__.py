"""Entry: `python -m data_creation.demo` writes the demo music."""

import argparse
from pathlib import Path

from data_creation.demo.benchmark import FEWEST_LABELLED_SONGS
from data_creation.demo.write import (
    DEMO_CORPORA,
    FINISHED,
    write_demo,
)
from m2bert.base.errors import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write synthetic piano music with labels in the published folder layouts."
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--songs", type=int, default=100, help="of all corpora (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other music")
    args = parser.parse_args()
    demo = write_demo(args.output_dir, args.songs, args.seed)
    _print_table(args.output_dir, demo)


def _print_table(output_dir: Path, demo: dict) -> None:
    print(f"{'corpus':10}{'files':>6}{'notes':>8}  folder")
    for name, total in demo["corpora"].items():
        folder = output_dir / DEMO_CORPORA[name].path.partition("/")[0]
        print(f"{name:10}{total['files']:6}{total['notes']:8}  {folder}")
    notes = sum(total["notes"] for total in demo["corpora"].values())
    print(f"{'all':10}{len(demo['songs']):6}{notes:8}  {output_dir}")
    print(f"labels of every note: {output_dir / 'annotations'}; of songs: {FINISHED} there")
    if not demo["benchmark"]:
        print(f"labels for the twelve tasks: only from --songs {FEWEST_LABELLED_SONGS} on")
        return
    print(f"\n{'data set':10}{'items':>6}{'notes':>8}  folder")
    for name, parts in demo["benchmark"].items():
        items = sum(len(part["songs"]) for part in parts.values())
        notes = sum(part["notes"] for part in parts.values())
        folder = output_dir / Path(next(iter(parts.values()))["files"][0]).parent
        print(f"{name:10}{items:6}{notes:8}  {folder}")


if __name__ == "__main__":
    run_command(main, goes_on=True)
