"""What the readers of the sources share: pieces, items, tables."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_creation.benchmark.published import Item, write_part
from data_creation.benchmark.sets import DATA_SETS


class LeftOut(Exception):
    """A piece that cannot be used; the message says why."""


class Piece(NamedTuple):
    """A piece of a source: its part, such as "train" or "fold_0", its name, the files (below the
    source's folder) that it is read from, and in piece tasks its label."""

    part: str
    name: str
    files: tuple[str, ...]
    label: int = -1


def item_of(onset: np.ndarray, offset: np.ndarray, pitch: np.ndarray, **labels: np.ndarray) -> Item:
    """An item from its columns, (notes,) each. Raises `LeftOut` if there are no notes."""
    if not len(onset):
        raise LeftOut("no note lasts")
    return Item(np.stack([onset, offset, pitch], axis=1).astype(float), labels)


def read_columns(path: Path, names: Sequence[str], delimiter: str = ",") -> list[list[str]]:
    """The named columns of a table with a header, as text. Raises `LeftOut` if one of them is not
    there, or there is no row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    if absent := set(names) - set(header):
        raise LeftOut(f"{path.name} has no column {min(absent)}")
    if not any(rows):
        raise LeftOut(f"{path.name} has no rows")
    return [[row[header.index(name)] for row in rows if row] for name in names]


def write_arrays(
    name: str, part: str, read: list[tuple[Piece, list[Item]]], output_dir: Path
) -> dict[str, Any]:
    """Write what was read of the pieces of a part; returns what the record says of it: "files",
    "counts", and "pieces", the name of each item's piece."""
    items = [item for _, its in read for item in its]
    notes, mended = sum(len(item.notes) for item in items), sum(item.mended for item in items)
    counts = {"items": len(items), "notes": notes, "labels that the original gets wrong": mended}
    files = write_part(output_dir, DATA_SETS[name], part, items)
    return {"files": files, "counts": counts, "pieces": [p.name for p, its in read for _ in its]}
