"""Pickled object arrays and lists, read without running code.

Only the instructions that lists of numbers and text need are allowed, and every length must lie
within the file. The names that numpy's arrays mention are replaced by the classes below; any other
name is an error. Files must fit in memory as Python objects (about twelve times their size);
`published_songs` reads larger ones.
"""

import gc
import io
import pickle
import pickletools
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from m2bert.base.errors import UserError
from m2bert.base.files import placeholder_at


def read_items(path: Path | str) -> list:
    """The items of a `.npy` file, of dtype object or numeric, or of a pickled list (protocol 2 to
    5). Arrays become nested lists, numpy's numbers Python's.

    Raises `UserError` for a file of another kind, a damaged one, one that names code, and one whose
    lists refer to each other so often that their values cannot all be in the file.
    """
    items = read_pickle(path)
    _check_list(Path(path), items)
    return items


def read_pickle(path: Path | str) -> Any:
    """The value of a pickle of tuples, lists, dicts, arrays, numbers and text; otherwise as
    `read_items`."""
    value = _load(Path(path))
    values, most = [value], _most_values(Path(path))
    while values:
        found = values.pop()
        if isinstance(found, list | tuple | dict):
            most -= len(found)
            if most < 0:
                raise UserError(f"{path} {_TOO_MANY_REFERENCES}")
            values += found.values() if isinstance(found, dict) else found
    return value


def read_note_lists(path: Path | str) -> list[np.ndarray]:
    """The items of a benchmark's note file, lists of [onset, offset, pitch], each as (notes, 3)
    float64. Raises `UserError` as `read_items`, and for an item of another kind."""
    return _converted(Path(path), _note_list, "is not a list of notes, each 3 numbers")


def read_labels(path: Path | str) -> list[np.ndarray]:
    """The items of a benchmark's label file as int64, (labels,) for a list of labels of notes, ()
    for the label of a piece. Raises `UserError` as `read_items`, and for an item that is neither.
    """
    return _converted(Path(path), _label_list, "is neither a whole number nor a list of them")


def is_pickled(path: Path | str) -> bool:
    """Whether the `.npy` file at `path` contains pickled objects, by its header."""
    with open(path, "rb") as file:
        return read_header(Path(path), file)[2].hasobject


def read_header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read a `.npy` file's shape, whether it is in Fortran order, and its dtype; `file` is then at
    the data. Raises `UserError` for another file."""
    try:
        if np.lib.format.read_magic(file) == (1, 0):
            return np.lib.format.read_array_header_1_0(file)
    except Exception:  # of any kind: numpy parses the header as Python
        pass
    why = placeholder_at(path)
    raise UserError(f"{path} is not a .npy file or its header is damaged{why and f' ({why})'}")


def _load(path: Path) -> Any:
    data, shape = path.read_bytes(), None
    if not data.startswith(pickle.PROTO):  # with which every pickle begins
        file = io.BytesIO(data)
        shape, fortran, dtype = read_header(path, file)
        data = file.read()
    try:
        if shape is not None and not dtype.hasobject:
            array = _Array()
            array.fill(shape, _Dtype(dtype.str), fortran, data)
            return array
        _check_instructions(path, data)
        value = _Unpickler(path, data).load()
        if shape is not None and shape != getattr(value, "shape", None):
            raise ValueError(f"no array of the shape {shape} that its header gives")
        return value
    except UserError:
        raise
    except Exception as error:  # of any kind in pickle and numpy, for damaged files
        why = placeholder_at(path)
        raise UserError(
            f"{path} is cut short or damaged, or contains something other than lists of numbers "
            f"and text{why and f' ({why})'}"
        ) from error


def _check_list(path: Path, items: Any) -> None:
    if type(items) not in (list, _Array):
        raise UserError(f"{path} contains no list of items")


def _most_values(path: Path) -> int:
    """Of values and lists: arrays of bytes give several for each byte."""
    return 16 * path.stat().st_size


_TOO_MANY_REFERENCES = "is damaged: its lists refer to each other too often"


def _converted(path: Path, convert: Callable[[Any], np.ndarray], message: str) -> list[np.ndarray]:
    arrays: list[np.ndarray] = []
    most = _most_values(path)
    collects = gc.isenabled()
    gc.disable()  # which would visit millions of new lists again and again
    try:
        items = _load(path)
        _check_list(path, items)
        for item in items:
            arrays.append(convert(item))
            most -= arrays[-1].size
            if most < 0:
                raise UserError(f"{path} {_TOO_MANY_REFERENCES}")
    except (OverflowError, TypeError, ValueError):
        raise UserError(f"item {len(arrays)} (counted from 0) of {path} {message}") from None
    finally:
        if collects:
            gc.enable()
    return arrays


def _note_list(item: Any) -> np.ndarray:
    if not {3}.issuperset(map(len, item)):
        raise ValueError
    return _numbers(list(chain.from_iterable(item)), {int, float}, float).reshape(-1, 3)


def _label_list(item: Any) -> np.ndarray:
    return np.array(item, np.int64) if type(item) is int else _numbers(item, {int}, np.int64)


def _numbers(values: Any, types: set[type], dtype: type) -> np.ndarray:
    if not isinstance(values, list | tuple) or not types.issuperset(map(type, values)):
        raise TypeError
    return np.fromiter(values, dtype, len(values))


# Instructions

INSTRUCTION_NAMES = {ord(instruction.code): instruction.name for instruction in pickletools.opcodes}

# The allowed ones by the bytes of their argument; those of texts, bytes and long integers by the
# bytes of its length; then GLOBAL. LONG_BINPUT makes room for all places of the memo up to its own:
# at most 2^24 here.
_SIZED = {1: b"\x80Khq", 0: b"N\x88\x89(]ae)t\x85\x86\x87}su\x93Rb", 8: b"G\x95", 4: b"Jj", 2: b"M"}
_COUNTED = {b"\x8a": 1, b"\x8c": 1, b"C": 1, b"X": 4, b"B": 4, b"\x8d": 8, b"\x8e": 8}
_MEMO_PUT = rb"(?:\x94|q.|r.{3}\0)"
_INSTRUCTIONS = re.compile(
    rb"(?:\]%s\((?:G.{8}|K.)*+e|%s|%s|c[^\n]*\n[^\n]*\n)*+"  # first a row of numbers, for speed
    % (
        _MEMO_PUT,
        _MEMO_PUT,
        b"|".join(b"[%s].{%d}" % (re.escape(codes), size) for size, codes in _SIZED.items()),
    ),
    re.DOTALL,
)


def _check_instructions(path: Path, data: bytes) -> None:
    """Raise an error unless all instructions are allowed and lie within `data`."""
    at = 0
    while (instructions := _INSTRUCTIONS.match(data, at)) is not None:
        at = instructions.end()
        code = data[at : at + 1]
        if code in (pickle.STOP, b""):
            return
        if code in b"".join(_SIZED.values()):
            raise ValueError("cut short")
        if code not in _COUNTED:
            name = INSTRUCTION_NAMES.get(code[0], "which is unknown")
            raise UserError(
                f"{path} is damaged or contains the pickle instruction {name}, which lists of "
                "numbers do not need; files that name code are not read"
            )
        begin = at + 1 + _COUNTED[code]
        at = begin + int.from_bytes(data[at + 1 : begin], "little")
        if at > len(data):
            raise ValueError("cut short")


class _Unpickler(pickle.Unpickler):
    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        named = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        allowed = {
            "numpy.ndarray": _Array,
            "numpy.dtype": _Dtype,
            "numpy.core.multiarray._reconstruct": _Array,
            "numpy.core.multiarray.scalar": self.scalar,
            "_codecs.encode": self.encode,  # how protocol 2, which has no bytes, writes them
        }
        if named not in allowed:
            raise UserError(
                f"{self.path} refers to {named[:100]}; files that name code are not read"
            )
        return allowed[named]

    # Methods, since a pickle cannot set their attributes.
    def scalar(self, dtype: "_Dtype", data: bytes) -> int | float:
        return dtype.values(data).item()

    def encode(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise ValueError(f"bytes written as {encoding!r}")
        return text.encode("latin1")


# In place of numpy's classes, whose state a pickle could set to any address of memory.


class _Dtype:
    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def values(self, data: bytes) -> np.ndarray:
        if not re.fullmatch("[<>=|]?[biuf][1248]", self.order + self.code):
            raise ValueError(f"values of numpy's type {self.code[:20]!r}")
        return np.frombuffer(data, self.order + self.code)


class _Array(list):
    """The values of an array and its shape. It is empty until `__setstate__` fills it."""

    shape: tuple[int, ...] | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple) -> None:
        self.fill(*state[1:])

    def fill(self, shape: tuple, dtype: _Dtype, fortran: bool, data: bytes | list) -> None:
        if isinstance(data, list):  # an object array's values lie in the order of their indexes
            flat, fortran = np.fromiter(data, object, len(data)), False
        else:
            flat = dtype.values(data)
        if min(shape, default=-1) < 0 or 0 in shape[1:]:
            raise ValueError(f"an array of the shape {shape} holds no items")
        self[:] = flat.reshape(shape, order="F" if fortran else "C").tolist()
        self.shape = shape
