"""From the results of fine-tuning to the table (docs/METHOD.md, "Results").

python -m m2bert.results runs/base
python -m m2bert.results --compare runs/scratch runs/base
"""

import argparse
from pathlib import Path

from m2bert.base.errors import run_command
from m2bert.base.files import write_text
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
    args = parser.parse_args()
    if (args.runs_dir is None) == (args.compare is None):
        parser.error("give either one folder of results, or --compare and two of them")
    return args


def publish(table: Table, path: Path) -> None:
    """Print the table and write it to `path` with the endings .md and .csv."""
    print(terminal_text(table), flush=True)
    markdown, figures = path.with_suffix(".md"), path.with_suffix(".csv")
    write_text(markdown, markdown_text(table))
    write_text(figures, csv_text(table.records))
    print(f"written: {markdown}, {figures}")


def main() -> None:
    args = parse_arguments()
    if args.compare:
        folder_a, folder_b = args.compare
        save_dir = args.save_dir or folder_b
        results_a, results_b = map(read_results, args.compare)
        table = comparison_table(results_a, results_b, folder_a, folder_b)
        publish(table, save_dir / "comparison")
        if args.plot:
            from m2bert.scores.plots import plot_comparison  # needs matplotlib

            picture = save_dir / "plots" / "comparison.png"
            plot_comparison(table.records, table.heading, picture)
            print(f"drawn: {picture}")
    else:
        save_dir = args.save_dir or args.runs_dir
        results = read_results(args.runs_dir)
        table = score_table(results, args.runs_dir)
        publish(table, save_dir / "results")
        if args.plot:
            from m2bert.scores.plots import plot_confusions, plot_scores  # needs matplotlib

            plot_scores(table.records, save_dir / "plots" / "scores.png")
            plot_confusions(results, save_dir / "plots")
            print(f"drawn: {save_dir / 'plots'}")


if __name__ == "__main__":
    run_command(main)
