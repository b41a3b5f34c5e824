"""The one reader of object arrays that others pickled: `.npy` files of lists, and pickled lists.

A pickle is a program, and the usual way to read one runs it. This reader goes through the
program's instructions itself and can build nothing but numbers, strings, None, lists and tuples;
numpy's own names are recognised by their spelling, and whatever else a file names is refused. The
items of the outermost list are handed out one after another, so memory does not grow with the file.
"""

import math
import os
from collections.abc import Callable, Iterator
from io import BufferedReader
from itertools import chain, groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from m2bert.base.errors import UserError
from m2bert.notes.pickled.instructions import run
from m2bert.notes.pickled.machine import (
    BARE,
    BEATS_ROW,
    BUFFER,
    CP_ROW,
    Interpreter,
    RowLayout,
    Shape,
    check_shape,
)

_NPY_MAGIC = b"\x93NUMPY"
_PICKLE_MAGIC = b"\x80"  # the instruction PROTO, with which every pickle since protocol 2 begins


def read_items(path: Path | str) -> Iterator[list | tuple | int | float | str | None]:
    """Yield the items of a pickled object array, a pickled list or a plain numeric array.

    `path` is a `.npy` file of dtype object or of a numeric dtype, or a pickle (protocol 2 to 5) of
    a list. An array of more than one dimension gives one nested list an item, and arrays among
    the items become lists; numpy's numbers become Python's.

    Raises:
        UserError: for a file of another kind, cut short or damaged, one that names code, or one
            that refers back from one item to another.
    """
    return _read(Path(path), None)


def read_songs(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the songs of a published pre-training corpus, each (notes, 4) uint8.

    The file holds an object array of songs, each a list of [bar, position, pitch, duration]
    (`docs/METHOD.md`, corpora). Whether the ids are in the vocabulary is not checked here.

    Raises:
        UserError: as `read_items`, and for a song that is not a list of four whole numbers from
            0 to 255 a note.
    """
    for index, song in enumerate(_read(Path(path), CP_ROW)):
        yield _as_notes(song, f"song {index} (counted from 0) of {path}")


def read_note_lists(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the items of a benchmark's note file, each (notes, 3) float64.

    The file holds an object array of items, each a list of [onset, offset, pitch]
    (`docs/METHOD.md`, "Benchmark data"). Whether the numbers make sense is not checked here.

    Raises:
        UserError: as `read_items`, and for an item that is not a list of three numbers a note.
    """
    for index, item in enumerate(_read(Path(path), BEATS_ROW)):
        yield _as_table(item, len(BEATS_ROW), f"item {index} (counted from 0) of {path}")


def read_labels(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the items of a benchmark's label file, each int64: (labels,), or () of a sole label.

    The file holds an object array of lists of whole numbers, a label a note, or an array of whole
    numbers, a label a piece. Whether there is such a class is not checked here.

    Raises:
        UserError: as `read_items`, and for an item that is neither.
    """
    for index, item in enumerate(_read(Path(path), BARE)):
        yield _as_integers(item, f"item {index} (counted from 0) of {path}")


def is_pickled(path: Path | str) -> bool:
    """Tell from its header whether the `.npy` file at `path` holds pickled objects."""
    with open(path, "rb") as file:
        return _read_header(Path(path), file)[2].hasobject


def _read(path: Path, blocks_of: RowLayout | None) -> Iterator[Any]:
    with open(path, "rb", buffering=BUFFER) as file:
        assert isinstance(file, BufferedReader)  # as it has a buffer
        start = file.read(len(_NPY_MAGIC))
        file.seek(0)
        if start[:1] == _PICKLE_MAGIC:
            yield from run(Interpreter(path, file, None, blocks_of))
            return
        if start != _NPY_MAGIC:
            raise UserError(f"{path} is neither a .npy file nor a pickle of protocol 2 or later")
        shape, fortran_order, dtype = _read_header(path, file)
        if dtype == np.dtype(object):
            yield from run(Interpreter(path, file, shape, blocks_of))
        else:
            yield from _read_numeric(path, file.tell(), shape, fortran_order, dtype)


def _read_header(path: Path, file: BinaryIO) -> tuple[Shape, bool, np.dtype]:
    """Read the header of a `.npy` file; `file` is then at the data."""
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("not format version 1.0")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        check_shape(shape)
    except Exception as error:  # numpy parses the header as Python and raises whatever that raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is not a .npy file or its header is damaged: {reason[:200]}"
        ) from error
    return shape, fortran_order, dtype


def _read_numeric(
    path: Path, offset: int, shape: Shape, fortran_order: bool, dtype: np.dtype
) -> Iterator[list | int | float]:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise UserError(f"{path} holds values of the type {dtype}, not lists or numbers")
    if offset + math.prod(shape) * dtype.itemsize > os.path.getsize(path):
        raise UserError(f"{path} is cut short: its header says {shape} values of {dtype}")
    if math.prod(shape):
        values = np.memmap(path, dtype, "r", offset, shape, "F" if fortran_order else "C")
        for item in values:
            yield item.tolist()


def _as_notes(song: Any, name: str) -> np.ndarray:
    """Join a song's rows, lists of four or blocks of (rows, 4) uint8, to (notes, 4) uint8."""
    try:
        if not isinstance(song, list | tuple):
            raise TypeError
        if any(type(row) is not np.ndarray and len(row) != 4 for row in song):
            raise ValueError
        values = bytearray().join(map(bytes, song))  # bytes() takes integers of 0..255 only
    except (TypeError, ValueError):
        message = f"{name} is not a list of notes, each four whole numbers from 0 to 255"
        raise UserError(message) from None
    return np.frombuffer(values, np.uint8).reshape(-1, 4)


def _as_table(item: Any, width: int, name: str) -> np.ndarray:
    """Join an item's rows, lists of numbers or blocks (rows, width), to (rows, width) float64."""

    def as_block(rows: list) -> np.ndarray:
        if any(len(row) != width for row in rows):
            raise ValueError
        values = list(chain.from_iterable(rows))
        if not {int, float}.issuperset(map(type, values)):
            raise TypeError
        return np.array(values, float).reshape(-1, width)

    try:
        return np.concatenate([np.empty((0, width)), *_blocks(item, as_block)])
    except (OverflowError, TypeError, ValueError):
        raise UserError(f"{name} is not a list of notes, each {width} numbers") from None


def _as_integers(item: Any, name: str) -> np.ndarray:
    """Join an item's integers, some in blocks, to (integers,) int64; a sole integer to ()."""

    def as_block(values: list) -> np.ndarray:
        if not {int}.issuperset(map(type, values)):
            raise TypeError
        return np.array(values, np.int64)

    try:
        if type(item) is int:
            return as_block([item])[0]
        return np.concatenate([np.empty(0, np.int64), *_blocks(item, as_block)])
    except (OverflowError, TypeError, ValueError):
        raise UserError(f"{name} is neither a whole number nor a list of them") from None


def _blocks(item: Any, as_block: Callable[[list], np.ndarray]) -> Iterator[np.ndarray]:
    """The blocks of an item, and what stands between them as blocks."""
    if not isinstance(item, list | tuple):
        raise TypeError
    for are_blocks, values in groupby(item, lambda value: type(value) is np.ndarray):
        if are_blocks:
            yield from values
        else:
            yield as_block(list(values))
