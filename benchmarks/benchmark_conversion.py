"""How fast do SMCBenchmark's note lists become fine-tuning data on one core?

python -m benchmarks.benchmark_conversion [--smc_dir SMC] [--dataset pop909] [--items 200]
"""

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.timing import RUNS, median_seconds
from data_creation.benchmark.items import cut_notes, order_as_published
from data_creation.benchmark.parts import convert_part, missing_files
from data_creation.benchmark.sets import DATA_SETS, DataSet
from m2bert.base.errors import UserError, run_command
from m2bert.notes.cp import (
    BEATS_PER_BAR,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    cp_notes_of_beats,
    order_by_onset,
)
from m2bert.notes.object_arrays import read_labels, read_note_lists
from tests.helpers.benchmark_files import object_array, random_item

NOTE_SETS = [name for name, data_set in DATA_SETS.items() if data_set.level == "note"]
NOTES_PER_ITEM = 1500
LOOPED_ITEMS = 10  # the loop takes time in the square of an item's length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smc_dir", type=Path, help="real data; else items are made up")
    parser.add_argument("--dataset", choices=NOTE_SETS, default="pop909")
    parser.add_argument("--items", type=int, default=200, help="how many are made up")
    arguments = parser.parse_args()

    data_set = DATA_SETS[arguments.dataset]
    if arguments.smc_dir:
        missing = missing_files(data_set, arguments.smc_dir)
        if missing:
            raise UserError(f"there is no {missing[0]}")
        compare(data_set, arguments.smc_dir)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_made_up_items(data_set, Path(folder), arguments.items)
            compare(data_set, Path(folder))


def compare(data_set: DataSet, smc_dir: Path) -> None:
    part = data_set.parts[0]
    paths = [smc_dir / data_set.folder / name for name in data_set.files(part)]
    read_s, items = median_seconds(lambda: list(read_note_lists(paths[0])))
    labels_s, labels = median_seconds(lambda: [list(read_labels(path)) for path in paths[1:]])
    convert_s, _ = median_seconds(
        lambda: [cut_notes(cp_notes_of_beats(item[order_by_onset(item)]), 1024) for item in items]
    )
    all_s, converted = median_seconds(lambda: convert_part(data_set, part, smc_dir, False))
    looped = items[:: max(1, len(items) // LOOPED_ITEMS)]
    loop_s, found = median_seconds(
        lambda: [notes_by_loops(item.tolist(), published_edges(item)) for item in looped]
    )
    for item, (index, cp) in zip(looped, found, strict=True):
        order = order_as_published(item)
        if index != order.tolist() or cp != cp_notes_of_beats(item[order]).tolist():
            raise UserError("the loop over bars and notes finds something else")

    notes, looped_notes = sum(map(len, items)), sum(map(len, looped))
    print(f"{data_set.name} {part}: {len(items)} items, {notes:,} notes; medians of {RUNS} runs")
    print(f"{'step':<40}{'s':>8}{'notes/s':>13}")
    for step, seconds, count in [
        ("reading the notes", read_s, notes),
        (f"reading the labels of {len(labels)} tasks", labels_s, notes),
        ("notes -> CP notes -> segments", convert_s, notes),
        ("all, with checks and comparison", all_s, converted.counts["notes"]),
        (f"loop over bars x notes ({len(looped)} items)", loop_s, looped_notes),
    ]:
        print(f"{step:<40}{seconds:8.3f}{count / seconds:13,.0f}")


def published_edges(item: np.ndarray) -> list[int]:
    """Where the original's bars begin and end, in beats."""
    return list(range(0, round(item[:, 1].max() + BEATS_PER_BAR), BEATS_PER_BAR))


def notes_by_loops(item: list[list], edges: list[int]) -> tuple[list[int], list[list[int]]]:
    """Indices and CP notes as the original finds them: each bar looks through all notes."""
    index, cp = [], []
    for first, end in pairwise(edges):
        inside = [i for i, (onset, _, _) in enumerate(item) if first <= onset < end]
        inside.sort(key=lambda i: (item[i][0], min(max(item[i][2], LOWEST_PITCH), HIGHEST_PITCH)))
        slots = [480 * first + 120 * slot for slot in range(16)]
        for i in inside:
            start, stop = 480 * item[i][0], 480 * item[i][1]
            position = min(range(16), key=lambda slot: abs(slots[slot] - start))
            duration = min(range(64), key=lambda bin: abs(60 * (bin + 1) - (stop - start)))
            pitch = min(max(item[i][2], LOWEST_PITCH), HIGHEST_PITCH) - LOWEST_PITCH
            cp.append([int(i != inside[0]), position, int(pitch), duration])
        index += inside
    return index, cp


def write_made_up_items(data_set: DataSet, smc_dir: Path, count: int) -> None:
    """Write files as published, of notes in order on a grid of 16ths and triplets."""
    rng = np.random.default_rng(0)
    (smc_dir / data_set.folder).mkdir()
    notes_name, *label_names = data_set.files(data_set.parts[0])
    lengths = rng.integers(NOTES_PER_ITEM // 2, NOTES_PER_ITEM * 3 // 2, count).tolist()
    items = [random_item(rng, length) for length in lengths]
    np.save(smc_dir / data_set.folder / notes_name, object_array(items))
    for name in label_names:
        labels = [rng.integers(1, 3, length).tolist() for length in lengths]
        np.save(smc_dir / data_set.folder / name, object_array(labels))


if __name__ == "__main__":
    run_command(main)
