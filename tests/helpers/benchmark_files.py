"""SMCBenchmark's files, in miniature, for tests."""

from copy import deepcopy
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DataSet


def random_item(rng: np.random.Generator, notes: int) -> list[list]:
    """Notes in order, on a grid of 16ths and triplets."""
    onset = np.sort(rng.integers(0, 8 * notes, notes)) / 12
    offset = onset + rng.integers(1, 60, notes) / 12
    pitch = rng.integers(0, 128, notes)
    order = np.lexsort((pitch, onset))
    columns = (column[order].tolist() for column in (onset, offset, pitch))
    return [list(note) for note in zip(*columns, strict=True)]


def random_labels(rng: np.random.Generator, data_set: DataSet, items: list) -> list[list]:
    """Labels of the items for each task, as they stand in its label file."""
    sizes = [len(task.classes) for task in data_set.tasks]
    if data_set.level == "piece":
        return [rng.integers(0, size, len(items)).tolist() for size in sizes]
    return [[rng.integers(0, size, len(item)).tolist() for item in items] for size in sizes]


def write_part(smc_dir: Path, data_set: DataSet, part: str, items: list, labels: list) -> None:
    """Write a part's files as published."""
    folder = smc_dir / data_set.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(data_set.files(part), (items, *labels), strict=True):
        if data_set.level == "piece" and content is not items:
            np.save(folder / name, np.array(content))
        else:
            np.save(folder / name, object_array(content))


def object_array(items: list) -> np.ndarray:
    """An array of items that share no list, as a program that made each would save it."""
    array = np.empty(len(items), object)
    array[:] = [deepcopy(item) for item in items]
    return array


def write_data_set(smc_dir: Path, data_set: DataSet, items: int = 3) -> None:
    """Write all parts of a data set with random items and labels."""
    rng = np.random.default_rng(len(data_set.name))
    for part in data_set.parts:
        notes = [random_item(rng, n) for n in rng.integers(1, 700, items).tolist()]
        if data_set.beats_in_bars:
            notes = [[[on % 4, off - on + on % 4, p] for on, off, p in item] for item in notes]
        write_part(smc_dir, data_set, part, notes, random_labels(rng, data_set, notes))


def all_edges(item: np.ndarray) -> list[int]:
    """Edges of the bars, in beats, from the first note's, or beat 0, to the last note's."""
    first = int(min(item[:, 0].min(), 0) // 4 * 4)
    return list(range(first, int(item[:, 0].max() // 4 * 4) + 5, 4))
