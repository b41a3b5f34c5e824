"""Command: SMCBenchmark's arrays -> fine-tuning data, in segments of CP notes.

    python -m data_creation.prepare_smc --smc_dir SMC --output_dir data/finetune

makes the data sets of all tasks; `--dataset NAME` only those named, and `--items FILE` of some
parts only the items that FILE lists, as {"augnet_train": [0, 3, ...]}. For each part of a data set
(train, valid, test, or fold_0 to fold_4) there is then

    NAME_PART.npy             CP notes, uint8 (segments, 1024, 4), of piece tasks (segments, 512, 4)
    NAME_PART_LABELSans.npy   labels, uint8 (segments, 1024), of piece tasks (segments,)

and NAME.json, which counts the items, notes and segments of each part, and what the original's
conversion would lose and mix up in it. Complete data sets are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from tqdm import tqdm

from data_creation.benchmark.parts import Converted, convert_part, missing_files
from data_creation.benchmark.sets import DATA_SETS, DataSet
from m2bert.base.arguments import show_defaults
from m2bert.base.errors import UserError, print_error, run_command, show_lines_at_once
from m2bert.base.files import read_json, write_errors_of, write_json
from m2bert.base.outputs import output_files
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS


def main() -> int:
    arguments = parse_arguments()
    show_lines_at_once()
    if not arguments.smc_dir.is_dir():
        raise UserError(f"there is no folder {arguments.smc_dir}: give SMCBenchmark's --smc_dir")
    for name in arguments.dataset:
        if name not in DATA_SETS:
            raise UserError(f"there is no data set {name}; there are {', '.join(DATA_SETS)}")
    chosen = read_chosen(arguments.items) if arguments.items else {}
    names = ("stretch", "scores", "as_published", "overwrite")
    way = {name: getattr(arguments, name) for name in names}
    if arguments.scores and arguments.dataset != ["pm2s"]:
        raise UserError("--scores are for beats and downbeats: give --dataset pm2s")
    records, failed = [], []
    for name in arguments.dataset:
        try:
            data_set, incomplete = with_labels(DATA_SETS[name], arguments.smc_dir)
            records.append(
                make_data_set(data_set, arguments.smc_dir, arguments.output_dir, chosen, **way)
            )
            if incomplete:
                raise incomplete
        except UserError as error:
            failed.append(name)
            print_error(error)
    if records:
        print_table(records)
        print(f"in {arguments.output_dir}: NAME_PART.npy, NAME_PART_LABELSans.npy, NAME.json")
    if failed and len(arguments.dataset) > 1:
        print(f"failed: {', '.join(failed)} (see above)", file=sys.stderr)
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.prepare_smc",
        description="Convert SMCBenchmark's arrays to fine-tuning data. Complete data is kept.",
    )
    add, names = parser.add_argument, sorted({TASKS[name].corpus for name in BENCHMARK_TASKS})
    what = "folder of downstream_note and downstream_seq"
    add("--smc_dir", type=Path, default=Path("SMC"), help=what)
    what = "folder of the fine-tuning data"
    add("--output_dir", type=Path, default=Path("data/finetune"), help=what)
    add("--dataset", nargs="+", metavar="NAME", default=names, help="data sets to convert")
    what = "convert exactly as the original does, with lost notes and wrong labels"
    add("--as_published", action="store_true", help=what)
    add(
        "--items",
        type=Path,
        help="JSON file that lists the items to use, for some parts of the data",
    )
    what = "add copies of the training items with their times multiplied by these factors"
    add("--stretch", type=stretch_factor, nargs="+", default=[], metavar="FACTOR", help=what)
    what = "folders of scores to add to pm2s: played with the tempo curves of its training items"
    add("--scores", type=Path, nargs="+", default=[], metavar="FOLDER", help=what)
    what = "rebuild data sets; old files are kept until the new ones are complete"
    add("--overwrite", action="store_true", help=what)
    show_defaults(parser)
    return parser.parse_args()


def stretch_factor(text: str) -> float:
    if not 0.1 <= float(text) <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.1 to 10")
    return float(text)


def with_labels(data_set: DataSet, smc_dir: Path) -> tuple[DataSet, UserError | None]:
    """The data set of those of its tasks whose labels are there, and an error if labels of the
    benchmark's own tasks are missing. If there are no labels at all, the data set of all tasks."""
    missing = {t: missing_files(replace(data_set, tasks=(t,)), smc_dir) for t in data_set.tasks}
    labelled = tuple(task for task in missing if not missing[task])
    unlabelled = tuple(t for t in missing if missing[t] and t.name in BENCHMARK_TASKS)
    if not labelled:
        return replace(data_set, tasks=unlabelled or data_set.tasks), None
    error = None
    if unlabelled:
        without = ", ".join(task.name for task in unlabelled)
        path = missing[unlabelled[0]][0]
        error = UserError(f"{data_set.name} has no labels of {without}: there is no {path}")
    return replace(data_set, tasks=labelled), error


def make_data_set(
    data_set: DataSet,
    smc_dir: Path,
    output_dir: Path,
    chosen: dict[str, list[int]] | None = None,
    *,
    stretch: Sequence[float] = (),
    scores: Sequence[Path] = (),
    as_published: bool = False,
    overwrite: bool = False,
) -> dict:
    """Make one data set in `output_dir`, or keep it if it is complete; returns its NAME.json.

    chosen: items by part, as "augnet_train"; stretch, scores: of the part "train" (`convert_part`).
    """
    if output_dir.resolve() == (smc_dir / data_set.folder).resolve():
        raise UserError(f"--output_dir {output_dir} contains the data to convert: give another")
    names = {part: f"{data_set.name}_{part}" for part in data_set.parts}
    of_parts = {part: chosen[name] for part, name in names.items() if chosen and name in chosen}
    way: dict[str, Any] = {"as_published": as_published}
    if of_parts:
        way["items"] = of_parts
    if "train" in data_set.parts:
        copies: dict[str, list] = {"stretch": list(stretch), "scores": list(map(str, scores))}
        way |= {name: values for name, values in copies.items() if values}
    if kept := kept_record(data_set, output_dir, way, overwrite):
        return kept
    if absent := missing_files(data_set, smc_dir):
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UserError(f"{data_set.name} is missing: there is no {absent[0]}{more}")

    begin = monotonic()
    parts = tqdm(data_set.parts, desc=data_set.name, unit=" parts", disable=None, leave=False)
    record_name = f"{data_set.name}.json"
    files = [record_name, *(path.name for path in data_set.paths(output_dir))]
    with output_files(output_dir, files, overwrite) as temporary:
        written = {}
        for part in parts:
            its: dict[str, Any] = {"stretch": stretch, "scores": scores} if part == "train" else {}
            content = convert_part(data_set, part, smc_dir, as_published, of_parts.get(part), **its)
            written[part] = write_arrays(temporary, data_set.files(part), content)
        record = {"data_set": data_set.name, **way, "parts": written}
        write_json(temporary / record_name, record)
        # without it, a command that is killed while files are moved leaves no mixture
        (output_dir / record_name).unlink(missing_ok=True)

    notes = sum(entry["notes"] for entry in written.values())
    seconds = monotonic() - begin
    print(f"{data_set.name}: {notes:,} notes in {seconds:.1f} s ({notes / seconds:,.0f} notes/s)")
    return record


def read_chosen(path: Path) -> dict[str, list[int]]:
    """Read which items are to be used; raises `UserError` unless each part has a rising list."""
    chosen = read_json(path)
    for part, items in chosen.items():
        if not (isinstance(items, list) and all(type(item) is int for item in items)):
            raise UserError(f"{path}: {part} is not a list of whole numbers")
        if not items or items[0] < 0 or items != sorted(set(items)):
            raise UserError(f"{path}: the items of {part} must be rising numbers from 0")
    return chosen


def kept_record(
    data_set: DataSet, output_dir: Path, way: dict[str, Any], overwrite: bool
) -> dict | None:
    """The record of the data set if it is kept, None if it is to be made. Raises `UserError` if it
    was made in another way, or its name is that of a corpus."""
    record_path = output_dir / f"{data_set.name}.json"
    if not record_path.exists():
        return None
    record = read_json(record_path)
    if not {"as_published", "parts"} <= record.keys():
        raise UserError(
            f"{record_path} is of something other than fine-tuning data: give another folder"
        )
    if overwrite:
        return None
    for setting in ("as_published", "items", "stretch", "scores"):
        if record.get(setting) != way.get(setting):
            raise UserError(
                f"{data_set.name} in {output_dir} was made with another --{setting}: choose "
                "another --output_dir, or replace it with --overwrite"
            )
    made = [name for part in record["parts"].values() for name in part["files"]]
    wanted = [path.name for path in data_set.paths(output_dir)]
    if made != wanted or not all((output_dir / name).exists() for name in made):
        print(f"{data_set.name}: rebuilt, as files in {output_dir} are missing")
        return None
    print(f"{data_set.name}: complete in {output_dir}; --overwrite rebuilds it")
    return record


def write_arrays(folder: Path, names: list[str], content: Converted) -> dict:
    """Write the arrays of a part; returns its entry in the record."""
    files = {}
    for name, array in zip(names, (content.notes, *content.labels), strict=True):
        with write_errors_of(folder / name):
            np.save(folder / name, array, allow_pickle=False)
        files[name] = list(array.shape)
    return {**content.counts, "published_way": content.published, "files": files}


def print_table(records: list[dict]) -> None:
    rows = [
        (f"{record['data_set']:<11}{part:<8}", entry)
        for record in records
        for part, entry in record["parts"].items()
    ]
    print(f"\n{'data set':<11}{'part':<8}{'items':>7}{'notes':>12}{'segments':>10}")
    for name, entry in rows:
        print(f"{name}{entry['items']:7,}{entry['notes']:12,}{entry['segments']:10,}")
    print("\nThe original's conversion of the same items would give:")
    differences = [
        f"  {name}{count:,} {what}"
        for name, entry in rows
        for what, count in entry["published_way"].items()
        if count
    ]
    print("\n".join(differences or ["  no difference"]), end="\n\n")


if __name__ == "__main__":
    run_command(main, resumable=True)
