"""Shared by the readers of the sources: pieces, tables, and items, which are written as in
SMCBenchmark: object arrays of lists of [onset, offset, pitch] (floats in beats, and an int); labels
of note tasks are lists of ints, those of piece tasks a plain int64 array."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_creation.benchmark.sets import DataSet
from m2bert.base.errors import UserError
from m2bert.base.files import write_errors_of
from m2bert.notes.cp import BEATS_PER_BAR

Written = tuple[list[str], dict[str, int]]
"""The files of a part, below the folder that they were written to, and counts for the record."""


class Piece(NamedTuple):
    """A piece of a source: its part, such as "train" or "fold_0", its name, its files below the
    source's folder, and in piece tasks its label."""

    part: str
    name: str
    files: tuple[str, ...]
    label: int = -1


class Item(NamedTuple):
    """A piece, or one of its instruments. notes: (notes, 3) float64, [onset, offset, pitch] rows
    with times in beats; labels: by task, (notes,) or () integers; corrected: how many labels the
    original gets wrong."""

    notes: np.ndarray
    labels: dict[str, np.ndarray]
    corrected: int = 0


def item_of(onset: np.ndarray, offset: np.ndarray, pitch: np.ndarray, **labels: np.ndarray) -> Item:
    """An item from its columns, (notes,) each. Raises `UserError` if there are no notes."""
    if not len(onset):
        raise UserError("no notes with positive duration")
    return Item(np.stack([onset, offset, pitch], axis=1).astype(float), labels)


def item_in_bars(notes: np.ndarray, lines: np.ndarray, **labels: np.ndarray) -> Item:
    """An item whose bars are scaled to four beats; a note keeps the scale of the bar in which it
    begins. Notes come bar by bar, in a bar in the given order; those without duration are omitted.

    notes: (3, notes), onset, duration and pitch; labels: (notes,); lines: where bars begin and the
    last one ends. Raises `UserError` for notes before the first bar line or after the last.
    """
    onset, duration, pitch = notes
    if not (np.diff(lines) > 0).all():
        raise UserError("bar lines do not ascend")
    bar = np.searchsorted(lines, onset, side="right") - 1
    outside = (duration > 0) & ((bar < 0) | (bar >= len(lines) - 1))
    if outside.any():
        bars = f"outside the bars, {lines[0]:g} to {lines[-1]:g}"
        raise UserError(f"{outside.sum()} notes, the first at {onset[outside][0]:g}, {bars}")
    order = np.argsort(bar, kind="stable")
    order = order[duration[order] > 0]
    bar, onset, duration = bar[order], onset[order], duration[order]
    begin, length = lines[bar], lines[bar + 1] - lines[bar]
    start, end = (BEATS_PER_BAR * (bar + (t - begin) / length) for t in (onset, onset + duration))
    return item_of(start, end, pitch[order], **{task: its[order] for task, its in labels.items()})


def outer_bars(lines: np.ndarray, before: int) -> np.ndarray:
    """Bar lines with one more after the last, and `before` (0 or 1) before the first, at the
    distance of the next two."""
    if len(lines) < 2:
        raise UserError(f"{len(lines)} bar lines")
    return np.pad(lines, (before, 1), "reflect", reflect_type="odd")


def read_table(path: Path, names: Sequence[str], delimiter: str = ",") -> list[list[str]]:
    """A table's named columns, as text. Raises `UserError` if one is missing or there is no row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    if absent := set(names) - set(header):
        raise UserError(f"{path.name} has no column {min(absent)}")
    if not any(rows):
        raise UserError(f"{path.name} has no rows")
    return [[row[header.index(name)] for row in rows if row] for name in names]


def write_part(data_set: DataSet, part: str, items: Sequence[Item], folder: Path) -> Written:
    """Write the files of a part. A task without labels has no file."""
    notes = [[[on, off, int(pitch)] for on, off, pitch in item.notes.tolist()] for item in items]
    arrays = {data_set.files(part)[0]: np.fromiter(notes, dtype=object)}
    for task in data_set.tasks:
        labels = [item.labels[task.name].tolist() for item in items if task.name in item.labels]
        if labels:
            dtype = object if data_set.level == "note" else np.int64
            arrays[task.file_names(part)[1]] = np.fromiter(labels, dtype=dtype)
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with write_errors_of(folder / name):
            np.save(folder / name, array)
    corrected = sum(item.corrected for item in items)
    counts = {"items": len(items), "notes": sum(map(len, notes))}
    return list(arrays), counts | {"labels that the original gets wrong": corrected}
