"""Writes arrays as SMCBenchmark publishes them: object arrays, pickled.

A file of notes holds items, each a list of [onset, offset, pitch]: floats in beats, and an int. The
labels of a note task are lists of ints, one a note; those of a piece task a plain int64 array, one
an item.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_creation.benchmark.sets import DataSet
from m2bert.base.files import replacing


class Item(NamedTuple):
    """A piece, or one of its instruments. notes: (notes, 3) float64, [onset, offset, pitch] rows
    with times in beats; labels: by task, (notes,) or, in piece tasks, () integers; mended: how many
    labels the original gets wrong."""

    notes: np.ndarray
    labels: dict[str, np.ndarray]
    mended: int = 0


def write_part(folder: Path, data_set: DataSet, part: str, items: Sequence[Item]) -> list[str]:
    """Write the files of a part; returns their names. A task without labels has no file."""
    notes_file, _ = data_set.tasks[0].file_names(part)
    arrays = {notes_file: _objects(_rows(item.notes) for item in items)}
    for task in data_set.tasks:
        labels = [item.labels[task.name].tolist() for item in items if task.name in item.labels]
        if labels:
            array = _objects(labels) if data_set.level == "note" else np.array(labels, np.int64)
            arrays[task.file_names(part)[1]] = array
    for name, array in arrays.items():
        with replacing(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    return list(arrays)


def _rows(notes: np.ndarray) -> list[list]:
    return [[onset, offset, int(pitch)] for onset, offset, pitch in notes.tolist()]


def _objects(items: Iterable[list]) -> np.ndarray:
    """An object array of lists, `(items,)`, whatever their lengths."""
    return np.fromiter(items, dtype=object)
