"""Command: results of fine-tuning -> tables (docs/METHOD.md, "Results").

python -m m2bert.results runs/base
python -m m2bert.results runs/scratch runs/base runs/other
python -m m2bert.results --compare runs/scratch runs/base
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m2bert.base.arguments import OVERWRITE
from m2bert.base.errors import print_result, run_command
from m2bert.base.files import write_text
from m2bert.base.outputs import output_files
from m2bert.base.pictures import save_figure
from m2bert.base.tables import Table, csv_text, markdown_text, terminal_text
from m2bert.scores.classes import class_table, confusions
from m2bert.scores.comparison import comparison_table
from m2bert.scores.results import Results, read_results, source_name, tasks_of
from m2bert.scores.table import columns_table, score_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 40
"""The scores of more classes are written to files, but not printed."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.results",
        description="Print the benchmark's table of fine-tuned models: one model in detail, or "
        "several models as columns.",
    )
    add = parser.add_argument
    what = "folder of fine-tuning results (--save_root), or a file of results (NAME.jsonl)"
    add("results", type=Path, nargs="+", metavar="RESULTS", help=what)
    add(
        "--compare",
        action="store_true",
        help="differences between two models, with confidence intervals",
    )
    what = "folder for tables and plots (default: RESULTS, with --compare the second one)"
    add("--save_dir", type=Path, help=what)
    add(
        "--plot",
        action="store_true",
        help="also plot the scores, or with --compare the differences",
    )
    add("--overwrite", action="store_true", help=OVERWRITE)
    args = parser.parse_args()
    if args.compare and len(args.results) != 2:
        parser.error("--compare needs two folders or files of results")
    if args.compare or len(args.results) == 1:
        args.save_dir = args.save_dir or (args.results[-1] if args.results[-1].is_dir() else None)
        if args.plot and not args.save_dir:
            parser.error("--plot needs --save_dir where results are in a file")
    elif args.plot:
        parser.error("--plot needs one folder or file of results, or --compare and two")
    return args


def make_tables(args: argparse.Namespace, models: Sequence[Results]) -> dict[str, Table]:
    """The tables by the names of their files."""
    if args.compare:
        return {"comparison": comparison_table(models[0], models[1], *args.results)}
    if len(models) > 1:
        names = list(map(source_name, args.results))
        unique = names if len(set(names)) == len(names) else map(str, args.results)
        return {"results": columns_table(dict(zip(unique, models, strict=True)))}
    (source,) = args.results
    return {"results": score_table(models[0], source), "classes": class_table(models[0], source)}


def draw(tables: dict[str, Table], results: Results) -> dict[str, "Figure"]:
    """The plots by the names of their files."""
    from m2bert.scores import plots  # slow to import

    if table := tables.get("comparison"):
        return {"comparison": plots.comparison_figure(table.records, table.heading)}
    figures = {"scores": plots.scores_figure(tables["results"].records)}
    tasks = tasks_of(results)
    for task, confusion in confusions(results).items():
        figures[f"confusion_{task}"] = plots.confusion_figure(tasks[task], *confusion)
    return figures


def main() -> None:
    args = parse_arguments()
    models = [read_results(source) for source in args.results]
    tables = make_tables(args, models)
    for name, table in tables.items():
        if name != "classes" or len(table.records) <= MOST_CLASSES:
            print_result(f"{terminal_text(table)}\n")
    if not args.save_dir:
        return
    names = [f"{name}{suffix}" for name in tables for suffix in (".md", ".csv")]
    with output_files(args.save_dir, names, args.overwrite) as folder:
        for name, table in tables.items():
            write_text(folder / f"{name}.md", markdown_text(table))
            write_text(folder / f"{name}.csv", csv_text(table.records))
        if args.plot:
            (folder / "plots").mkdir()
            for name, figure in draw(tables, models[0]).items():
                save_figure(figure, folder / "plots" / f"{name}.png")
    print_result(f"written: {', '.join(str(args.save_dir / name) for name in names)}")
    if args.plot:
        print_result(f"plotted: {args.save_dir / 'plots'}")


if __name__ == "__main__":
    run_command(main)
