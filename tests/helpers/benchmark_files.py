"""SMCBenchmark's files, in miniature, for tests."""

from copy import deepcopy
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DataSet
from tests.helpers.pickles import object_array


def random_item(rng: np.random.Generator, notes: int) -> list[list]:
    """Notes in order, on a grid of 16ths and triplets."""
    onset = np.sort(rng.integers(0, 8 * notes, notes)) / 12
    offset = onset + rng.integers(1, 60, notes) / 12
    pitch = rng.integers(0, 128, notes)
    order = np.lexsort((pitch, onset))
    columns = (column[order].tolist() for column in (onset, offset, pitch))
    return [list(note) for note in zip(*columns, strict=True)]


def random_labels(data_set: DataSet, items: list) -> list[list]:
    """Random labels of the items for each task, as in its label file."""
    rng, sizes = np.random.default_rng(0), [len(task.classes) for task in data_set.tasks]
    if data_set.level == "piece":
        return [rng.integers(0, size, len(items)).tolist() for size in sizes]
    return [[rng.integers(0, size, len(item)).tolist() for item in items] for size in sizes]


def write_part(smc_dir: Path, data_set: DataSet, part: str, items: list, labels: list) -> None:
    """Write a part's files as published; items are copied."""
    folder = smc_dir / data_set.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(data_set.files(part), (items, *labels), strict=True):
        is_objects = content is items or data_set.level == "note"
        array = object_array(map(deepcopy, content)) if is_objects else np.array(content)
        np.save(folder / name, array)


def write_data_set(smc_dir: Path, data_set: DataSet, items: int = 3) -> None:
    """Write all parts of a data set with random items and labels."""
    rng = np.random.default_rng(len(data_set.name))
    for part in data_set.parts:
        notes = [random_item(rng, n) for n in rng.integers(1, 700, items).tolist()]
        if data_set.beats_in_bars:
            notes = [[[on % 4, off - on + on % 4, p] for on, off, p in item] for item in notes]
        write_part(smc_dir, data_set, part, notes, random_labels(data_set, notes))
