"""From the results of fine-tuning to the table (docs/METHOD.md, "Results").

python -m m2bert.results runs/base
python -m m2bert.results --compare runs/scratch runs/base
"""

import argparse
from pathlib import Path

from m2bert.base.arguments import OVERWRITE
from m2bert.base.errors import print_result, run_command
from m2bert.base.files import write_text
from m2bert.base.outputs import output_files
from m2bert.base.tables import Table, csv_text, markdown_text, terminal_text
from m2bert.scores.comparison import comparison_table
from m2bert.scores.results import read_results
from m2bert.scores.table import score_table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.results",
        description="Make the benchmark's table of a folder of results, or compare two folders.",
    )
    add = parser.add_argument
    add("runs_dir", type=Path, nargs="?", help="folder of results (--save_root of fine-tuning)")
    add("--compare", type=Path, nargs=2, metavar=("A", "B"), help="two such folders to compare")
    add("--save_dir", type=Path, help="folder for tables and pictures; default: RUNS_DIR or B")
    add("--plot", action="store_true", help="also draw what the table shows")
    add("--overwrite", action="store_true", help=OVERWRITE)
    args = parser.parse_args()
    if (args.runs_dir is None) == (args.compare is None):
        parser.error("give either one folder of results, or --compare and two of them")
    return args


def publish(table: Table, folder: Path, name: str) -> None:
    """Print the table and write it as Markdown and CSV."""
    print(terminal_text(table), flush=True)
    write_text(folder / f"{name}.md", markdown_text(table))
    write_text(folder / f"{name}.csv", csv_text(table.records))


def main() -> None:
    args = parse_arguments()
    save_dir = args.save_dir or (args.compare[1] if args.compare else args.runs_dir)
    name = "comparison" if args.compare else "results"
    written = [f"{name}.md", f"{name}.csv"]
    if args.compare:
        results_a, results_b = map(read_results, args.compare)
        table = comparison_table(results_a, results_b, *args.compare)
    else:
        results = read_results(args.runs_dir)
        table = score_table(results, args.runs_dir)
    with output_files(save_dir, written, args.overwrite) as folder:
        publish(table, folder, name)
        if args.plot:
            from m2bert.scores import plots  # needs matplotlib

            if args.compare:
                plots.plot_comparison(
                    table.records, table.heading, folder / "plots" / "comparison.png"
                )
            else:
                plots.plot_scores(table.records, folder / "plots" / "scores.png")
                plots.plot_confusions(results, folder / "plots")
    print_result(f"written: {', '.join(str(save_dir / file) for file in written)}")
    if args.plot:
        print_result(f"drawn: {save_dir / 'plots'}")


if __name__ == "__main__":
    run_command(main)
