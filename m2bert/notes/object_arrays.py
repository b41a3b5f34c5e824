"""Object arrays and lists that others pickled, read without running them.

A pickle is a program, and the usual way to read one runs it. Here the standard library's reader
may follow only the instructions that lists of numbers and text need, and every name that a file
mentions is looked up in a short table of stand-ins; whatever else it names is refused. For files
that fit in memory as Python objects (about twelve times the file); the published pre-training
arrays, which don't, are read by `published_songs`.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from m2bert.base.errors import UserError
from m2bert.base.files import fault

_LONGEST_REPEATED = 64  # values of one row that is written once and referred to later


def read_items(path: Path | str) -> list:
    """The items of a pickled object array, a pickled list or a plain numeric array.

    `path` is a `.npy` file of dtype object or of a numeric dtype, or a pickle (protocol 2 to 5) of
    a list. An array of more than one dimension gives one nested list for each item, and arrays
    among the items become lists; numpy's numbers become Python's.

    Raises:
        UserError: for a file of another kind, cut short or damaged, one that names code, or one
            that refers to a long list more than once.
    """
    path = Path(path)
    file = io.BytesIO(path.read_bytes())
    shape = None
    try:
        if not file.getvalue().startswith(pickle.PROTO):  # with which every pickle begins
            shape, fortran, dtype = read_header(path, file)
            if not dtype.hasobject:
                return _Array().fill(shape, _Dtype(dtype.str), fortran, file.read())
        items = _Reader(path, file).load()
        if type(items) not in (list, _Array):
            raise ValueError("no list of items")
        if shape is not None and shape != getattr(items, "shape", None):
            raise ValueError(f"no array of the shape {shape} that its header gives")
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file raises in the library's reader or in numpy
        raise UserError(
            f"{path} is cut short or damaged, or holds something other than lists of numbers and "
            f"text ({fault(path, error)})"
        ) from error
    return items


def read_note_lists(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the items of a benchmark's note file, each (notes, 3) float64.

    The file holds an object array of items, each a list of [onset, offset, pitch]
    (`docs/METHOD.md`, "Benchmark data"). Whether the numbers make sense is not checked here.

    Raises:
        UserError: as `read_items`, and for an item that is not a list of three numbers a note.
    """
    return _converted(path, _note_list, "is not a list of notes, each 3 numbers")


def read_labels(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the items of a benchmark's label file as int64, (labels,) for a list, () for a number.

    The file holds an object array of lists of whole numbers, a label a note, or an array of whole
    numbers, a label a piece. Whether there is such a class is not checked here.

    Raises:
        UserError: as `read_items`, and for an item that is neither.
    """
    return _converted(path, _label_list, "is neither a whole number nor a list of them")


def is_pickled(path: Path | str) -> bool:
    """Tell from its header whether the `.npy` file at `path` holds pickled objects."""
    with open(path, "rb") as file:
        return read_header(Path(path), file)[2].hasobject


def read_header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read a `.npy` file's shape, whether it is in Fortran order, and its dtype; `file` is then at
    the data. Raises `UserError` if it is no such file."""
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("not format version 1.0")
        return np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # numpy parses the header as Python and raises whatever that raises
        raise UserError(
            f"{path} is not a .npy file or its header is damaged: {fault(path, error)}"
        ) from error


def _converted(path: Path | str, convert: Callable[[Any], np.ndarray], fault: str) -> Iterator:
    for index, item in enumerate(read_items(path)):
        try:
            yield convert(item)
        except (OverflowError, TypeError, ValueError):
            raise UserError(f"item {index} (counted from 0) of {path} {fault}") from None


def _note_list(item: Any) -> np.ndarray:
    if any(len(row) != 3 for row in item):
        raise ValueError
    return _numbers(list(chain.from_iterable(item)), {int, float}, float).reshape(-1, 3)


def _label_list(item: Any) -> np.ndarray:
    return np.array(item, np.int64) if type(item) is int else _numbers(item, {int}, np.int64)


def _numbers(values: Any, types: set[type], dtype: type) -> np.ndarray:
    if not isinstance(values, list | tuple) or not types.issuperset(map(type, values)):
        raise TypeError
    return np.array(values, dtype)


# What a pickle of numpy objects is made of besides values. The library's reader fills an object
# with `__setstate__`.


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

    def fill(self, shape: tuple, dtype: _Dtype, fortran: bool, data: bytes | list) -> "_Array":
        if isinstance(data, list):  # an object array's values lie in the order of their indexes
            flat, fortran = np.fromiter(data, object, len(data)), False
        else:
            flat = dtype.values(data)
        if min(shape, default=-1) < 0 or 0 in shape[1:]:
            raise ValueError(f"an array of the shape {shape} holds no items")
        self[:] = flat.reshape(shape, order="F" if fortran else "C").tolist()
        self.shape = shape
        return self


def _scalar(dtype: _Dtype, data: bytes) -> int | float:
    return dtype.values(data).item()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


_STAND_INS: dict[str, Callable] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _encode,  # how protocol 2, which has no bytes, writes them
}
for _core in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _STAND_INS |= {f"{_core}._reconstruct": _Array, f"{_core}.scalar": _scalar}

_INSTRUCTIONS = re.findall(
    r"\w+",
    """
    PROTO FRAME STOP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINFLOAT LONG1
    SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8
    MARK EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD""",
)
INSTRUCTION_NAMES = {ord(instruction.code): instruction.name for instruction in pickletools.opcodes}


class _Dispatch(dict):
    def __missing__(self, code: int) -> Callable:
        name = INSTRUCTION_NAMES.get(code, "which is unknown")
        raise ValueError(f"the pickle instruction {name}, which lists of numbers do not need")


class _Memo(dict):
    """Values that the file may refer to again. Of lists, only short rows of plain values may be:
    they are copied, so longer ones could make a small file a huge list. A list that holds itself,
    which is still empty when the file refers to it, is refused."""

    def __getitem__(self, place: int) -> Any:
        value = super().__getitem__(place)
        if not isinstance(value, list | tuple):
            return value
        nested = any(isinstance(part, list | tuple) for part in value)
        if nested or not 0 < len(value) <= _LONGEST_REPEATED:
            raise ValueError("an empty, long or nested list that is referred to again")
        return value[:]


# The library's reader in Python: unlike the one in C it has a table of instructions that can be
# cut down, and allocates nothing at a file's word (a place in the memo, a length).
class _Reader(pickle._Unpickler):
    dispatch = _Dispatch(
        (code, load)
        for code, load in pickle._Unpickler.dispatch.items()
        if INSTRUCTION_NAMES[code] in _INSTRUCTIONS
    )

    def __init__(self, path: Path, file: BinaryIO) -> None:
        super().__init__(file)
        self.path, self.memo = path, _Memo()

    def find_class(self, module: str, name: str) -> Callable:
        named = f"{module}.{name}"[:100]
        if named not in _STAND_INS:
            raise UserError(f"{self.path} refers to {named}; files that name code are not read")
        return _STAND_INS[named]


class _ReaderOfDicts(_Reader):
    dispatch = _Dispatch(
        _Reader.dispatch
        | {
            code[0]: pickle._Unpickler.dispatch[code[0]]
            for code in (pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS)
        }
    )


def read_pickle(path: Path | str) -> Any:
    """The value of a pickle (protocol 2 to 4) of tuples, lists, dicts, arrays, numbers and text;
    arrays become lists, numpy's numbers Python's.

    Raises:
        UserError: as `read_items`.
    """
    path = Path(path)
    file = io.BytesIO(path.read_bytes())
    try:
        return _ReaderOfDicts(path, file).load()
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file raises in the library's reader or in numpy
        raise UserError(f"{path} is cut short or damaged, or holds something else") from error
