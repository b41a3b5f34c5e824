"""Writes arrays as SMCBenchmark publishes them: object arrays, pickled.

A file of notes holds items, each a list of [onset, offset, pitch]: floats in beats, and an int. The
labels of a note task are lists of ints, one a note; those of a piece task a plain int64 array, one
an item.
"""

from collections.abc import Sequence
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
    notes = ([[on, off, int(pitch)] for on, off, pitch in item.notes.tolist()] for item in items)
    arrays = {data_set.tasks[0].file_names(part)[0]: np.fromiter(notes, dtype=object)}
    for task in data_set.tasks:
        labels = [item.labels[task.name].tolist() for item in items if task.name in item.labels]
        if labels:
            dtype = object if data_set.level == "note" else np.int64
            arrays[task.file_names(part)[1]] = np.fromiter(labels, dtype=dtype)
    for name, array in arrays.items():
        with replacing(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    return list(arrays)
