"""Entry: source data sets -> POP909 aligned to its beats, and SMCBenchmark's arrays.

    python -m data_creation.build_from_sources --dataset pop909_processed --pop909_dir POP909
    python -m data_creation.build_from_sources --sources_dir sources --smc_dir SMC

The first makes `dataset_dir/pop909_processed`, the second the data sets of all tasks whose sources
are there (`docs/sources.md` says what lies where). Killed at any time, the same command goes on
with the parts that are not made.
"""

import argparse
import os
from pathlib import Path

from data_creation.benchmark.sets import DATA_SETS
from data_creation.benchmark.sources.build import build
from data_creation.benchmark.sources.table import SOURCES
from m2bert.base.arguments import count
from m2bert.base.errors import UserError, run_command, show_lines_at_once, tell


def main() -> None:
    arguments = vars(parse_arguments())
    show_lines_at_once(escape=True)
    settings = {flag: arguments[flag] for flag in ("num_workers", "strict", "overwrite")}
    failed = []
    for name in arguments["dataset"]:
        ends = SOURCES[name].place, SOURCES[name].target
        try:
            build(name, *(arguments[flag] / below for flag, below in ends), **settings)
        except UserError as error:
            failed.append(name)
            tell(error)
    if failed:
        raise UserError(f"not made, or not all of it: {', '.join(failed)} (see above)")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.build_from_sources",
        description="Align POP909, and make SMCBenchmark's arrays, from their sources. What was "
        "made of the same files before is left alone; a bad piece is named and left out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add, names = parser.add_argument, [name for name in SOURCES if name in DATA_SETS]
    add("--dataset", nargs="+", choices=SOURCES, default=names, help="what to make")
    for flag, default, help in (
        ("--pop909_dir", "POP909", "holds POP909's folders 001 to 909"),
        ("--sources_dir", "sources", "holds a folder for each other source"),
        ("--dataset_dir", "dataset_dir", "holds the corpora, pop909_processed among them"),
        ("--smc_dir", "SMC", "where the benchmark's arrays go"),
    ):
        add(flag, type=Path, default=Path(default), help=help)
    add("--num_workers", type=count, default=os.cpu_count(), help="processes")
    add("--strict", action="store_true", help="a piece that cannot be used is an error")
    add("--overwrite", action="store_true", help="make everything anew, whoever made it")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main, goes_on=True)
