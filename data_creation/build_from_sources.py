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
from data_creation.benchmark.sources.table import SOURCES, TARGETS
from m2bert.base.arguments import count
from m2bert.base.errors import UserError, run_command, show_lines_at_once, tell


def main() -> int:
    arguments = vars(parse_arguments())
    show_lines_at_once(escape=True)
    failed = []
    for name in arguments["dataset"]:
        place, target = SOURCES[name].place, TARGETS[name].place
        try:
            build(
                name,
                arguments[place[0]] / place[1],
                arguments[target[0]] / target[1],
                workers=arguments["num_workers"],
                strict=arguments["strict"],
                overwrite=arguments["overwrite"],
            )
        except UserError as error:
            failed.append(name)
            tell(error)
    if failed:
        tell(UserError(f"not made, or not all of it: {', '.join(failed)} (see above)"))
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.build_from_sources",
        description="Align POP909, and make SMCBenchmark's arrays, from their sources. What was "
        "made of the same files before is left alone; a bad piece is named and left out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    folders = {
        "pop909_dir": ("POP909", "holds POP909's folders 001 to 909"),
        "sources_dir": ("sources", "holds a folder for each other source"),
        "dataset_dir": ("dataset_dir", "holds the corpora, pop909_processed among them"),
        "smc_dir": ("SMC", "where the benchmark's arrays go"),
    }
    published = [name for name in SOURCES if name in DATA_SETS]
    parser.add_argument(
        "--dataset", nargs="+", choices=SOURCES, default=published, help="what to make"
    )
    for name, (default, help) in folders.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(default), help=help)
    parser.add_argument("--num_workers", type=count, default=os.cpu_count(), help="processes")
    strict = "a piece that cannot be used is an error"
    parser.add_argument("--strict", action="store_true", help=strict)
    overwrite = "make everything anew; also replaces files that were not made here"
    parser.add_argument("--overwrite", action="store_true", help=overwrite)
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main, goes_on=True)
