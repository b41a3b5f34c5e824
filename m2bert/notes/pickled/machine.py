"""What a pickle may be made of, and the state of one that is being read."""

import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from m2bert.base.errors import UserError

Shape = tuple[int, ...]
BUFFER = 1 << 16
# Bounds on what a damaged or hostile file can make this reader allocate or nest.
_LONGEST = 1 << 24  # bytes of one string
_DEEPEST = 16  # lists within lists
_LONGEST_REPEATED = 64  # values of one row that is written once and referred to later

# How the values of a row are written where all rows are alike, and can be read as one array: as
# numpy's format of BININT1's or BINFLOAT's argument.
RowLayout = tuple[str, ...]
CP_ROW: RowLayout = ("u1", "u1", "u1", "u1")
BEATS_ROW: RowLayout = (">f8", ">f8", "u1")
BARE: RowLayout = ()  # no rows: the values stand in the item itself


def check_shape(shape: Shape) -> None:
    if not all(type(length) is int for length in shape) or min(shape, default=0) < 0:
        raise ValueError(f"the shape {shape} is not one of an array")
    if not 1 <= len(shape) <= _DEEPEST or (shape[0] > 0 and 0 in shape[1:]):
        raise ValueError(f"an array of the shape {shape} holds no items")


# What a pickle of numpy objects is made of besides values. None of it may end up in a list.


class Arguments(tuple):
    """A tuple with something other than values in it."""


class Array:
    """An array of numpy's, named but not yet filled."""


@dataclass
class Dtype:
    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        if not re.fullmatch("[<>=|][biuf][1248]", self.order + self.code):
            raise ValueError(f"values of numpy's type {self.code[:20]!r}")
        return np.dtype(self.order + self.code)


@dataclass
class Symbol:
    build: Callable | None  # from the arguments of a call; None for what is never called


def _new_array(*_: Any) -> Array:
    return Array()


def _new_dtype(code: str, *_: Any) -> Dtype:
    return Dtype(code)


def _scalar(dtype: Dtype, data: bytes) -> int | float:
    return np.frombuffer(data, dtype.numpy()).item()


def array_values(_: int, shape: Shape, dtype: Dtype, fortran: bool, data: bytes) -> list:
    check_shape(shape)
    flat = np.frombuffer(data, dtype.numpy())
    return flat.reshape(shape, order="F" if fortran else "C").tolist()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


_SYMBOLS = {
    ("numpy", "ndarray"): Symbol(None),
    ("numpy", "dtype"): Symbol(_new_dtype),
    ("numpy.core.multiarray", "_reconstruct"): Symbol(_new_array),
    ("numpy._core.multiarray", "_reconstruct"): Symbol(_new_array),
    ("numpy.core.multiarray", "scalar"): Symbol(_scalar),
    ("numpy._core.multiarray", "scalar"): Symbol(_scalar),
    ("_codecs", "encode"): Symbol(_encode),  # how protocol 2, which has no bytes, writes them
}

_SIMPLE = {int, float, bool, str, type(None)}
# A block of notes, from the fast path, is the one array that occurs.
VALUES = _SIMPLE | {list, tuple, np.ndarray}


class Interpreter:
    """The state between two instructions of a pickle (`instructions.run`).

    `header_shape` is the array's shape by the file's header, None for a pickle without one. Rows of
    the layout `blocks_of` may come as blocks, (rows, values), in an item; with `BARE`, integers
    may come as blocks, (integers,).
    """

    def __init__(
        self,
        path: Path,
        file: BufferedReader,
        header_shape: Shape | None,
        blocks_of: RowLayout | None,
    ):
        self.path = path
        self.file = file
        self.header_shape = header_shape
        self.blocks_of = blocks_of
        self.stack: list = []  # what was built since the last mark
        self.marks: list[list] = []  # the stacks below it
        self.outermost: list = []  # stays empty: what is put in it is handed out
        self.opened = False  # whether the instruction that makes the outermost list has come
        self.shape: Shape | None = None  # of the outermost list's array, None if it has none
        self.batch: list | None = None  # the stack of what goes to the outermost list next
        self.finished: list = []
        self.count = 0
        self.constants: dict[int, Any] = {}  # names and the like, to which any item may refer
        self.memo: dict[int, Any] = {}  # what belongs to the items in hand
        # the same for rows read by the fast path: their indexes, and the rows
        self.runs: list[tuple[np.ndarray | range, np.ndarray]] = []
        self.memoized = 0

    def shaped_items(self) -> Iterator[Any]:
        """Take whole items from `finished`, where an array of several dimensions lies flat."""
        inner = self.shape[1:] if self.shape else ()
        size = math.prod(inner)
        complete = len(self.finished) // size * size
        for first in range(0, complete, size):
            item = self.finished[first : first + size]
            for length in reversed(inner):
                item = [item[start : start + length] for start in range(0, len(item), length)]
            yield item[0]
        del self.finished[:complete]

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise UserError(f"{self.path} is cut short")
        return data

    def read_string(self, length_format: str) -> bytes:
        (length,) = struct.unpack(length_format, self.read(struct.calcsize(length_format)))
        if length > _LONGEST:
            raise ValueError(f"a string of {length} bytes")
        return self.read(length)

    def open_outermost(self) -> None:
        """Begin the first list of the pickle: the outermost one, bare or an array's content."""
        match self.stack:
            case []:
                self.shape = None
            case [1, tuple() as shape, Dtype(code="O8" | "O4"), bool()]:
                check_shape(shape)
                self.shape = shape
            case _:
                raise ValueError("no list of items")
        if self.header_shape not in (None, self.shape):
            raise ValueError(f"shape {self.header_shape} in the header, {self.shape} in the data")
        self.opened = True
        self.stack.append(self.outermost)

    def push_mark(self) -> None:
        if len(self.marks) >= _DEEPEST:
            raise ValueError("lists nested too deeply")
        if self.stack is self.batch:
            # The last three may yet become one tuple, the instructions take no more; those
            # before them are complete items.
            self.hand_out(self.batch[:-3])
            del self.batch[:-3]
        below, self.stack = self.stack, []
        self.marks.append(below)
        if below and below[-1] is self.outermost:
            self.batch = self.stack

    def pop_mark(self) -> list:
        above, self.stack = self.stack, self.marks.pop()
        return above

    def extend(self, values: list) -> None:
        """Put values into the list on top of the stack."""
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("values put into something that is no list")
        if target is self.outermost:
            self.hand_out(values)
            return
        _check_values(values)
        target += values

    def hand_out(self, items: list) -> None:
        if items:
            _check_values(items)
            self.count += len(items)
            if self.shape and self.count > math.prod(self.shape):
                raise ValueError(f"more objects than an array of the shape {self.shape} holds")
            self.finished += items
            self.memo.clear()
            self.runs.clear()

    def push_symbol(self, module: str, name: str) -> None:
        if (module, name) not in _SYMBOLS:
            self.refuse_name(module, name)
        self.stack.append(_SYMBOLS[module, name])

    def refuse_name(self, module: str, name: str) -> NoReturn:
        named = f"{module}.{name}"[:100]
        raise UserError(f"{self.path} refers to {named}; files that name code are not read")

    def read_line(self) -> str:
        line = self.file.readline(1000)
        if not line.endswith(b"\n"):
            raise UserError(f"{self.path} is cut short or damaged: a name without an end")
        return line[:-1].decode()

    def remember(self, index: int) -> None:
        value = self.stack[-1]
        (self.constants if _is_constant(value) else self.memo)[index] = value

    def recall(self, index: int) -> Any:
        if index in self.constants:
            return self.constants[index]
        for indexes, block in self.runs:
            self.memo.update(zip(np.array(indexes).tolist(), block.tolist(), strict=True))
        self.runs.clear()
        if index not in self.memo:
            raise UserError(
                f"{self.path}: near byte {self.file.tell()} an item refers back to a list of an "
                "item before it, which is no longer held; write the file with each item on its own"
            )
        value = self.memo[index]
        if type(value) in (list, tuple):
            # A copy of a short row cannot make a small file a huge list. A list that refers to
            # itself is still empty when it does.
            short = 0 < len(value) <= _LONGEST_REPEATED
            if not short or not _SIMPLE.issuperset(map(type, value)):
                raise ValueError("an empty, long or nested list that is referred to again")
            return value[:]
        return value

    def take_rows(self, layout: RowLayout) -> bool:
        """Push the run of rows that begins here as one block, (rows, values), if there is one.

        The fast path: a row, with the EMPTY_LIST that has just been read, is always the same
        instructions, so a run of rows is an array with a fixed stride.
        """
        buffered = self.file.peek()
        run = _ROW_RUNS.get((layout, buffered[:1]))
        taken = run.pattern.match(buffered) if run else None
        if run is None or taken is None:
            return False
        self.file.read(taken.end())
        rows = np.frombuffer(b"]" + taken[0], run.row)
        indexes: np.ndarray | range
        if run.has_index:
            indexes = rows["index"]
        else:
            indexes = range(self.memoized, self.memoized + len(rows))
            self.memoized += len(rows)
        block = np.stack([rows[column] for column in run.columns], axis=1)
        self.runs.append((indexes, block))
        self.stack.append(block)
        return True

    def take_small_integers(self) -> None:
        """Push the integers of the run of BININT1 that begins here; the fast path for labels."""
        taken = _SMALL_INTEGERS.match(self.file.peek())
        if taken is None:
            return
        values = self.file.read(taken.end())[1::2]
        if self.blocks_of == BARE and self.stack is not self.batch:
            self.stack.append(np.frombuffer(values, np.uint8))
        else:
            self.stack += values


@dataclass(frozen=True)
class _RowRun:
    """A run of rows of one layout: `pattern` finds it, after its first EMPTY_LIST.

    `row` says where in a row's bytes the values lie, and the index in the memo if it has one.
    """

    pattern: re.Pattern
    row: np.dtype
    columns: list[str]
    has_index: bool


def _row_run(layout: RowLayout, memoize: bytes, index_format: str | None) -> _RowRun:
    values = [(_INSTRUCTION_OF[number_format], number_format) for number_format in layout]
    # EMPTY_LIST, its place in the memo, MARK, the values, APPENDS
    instructions = [(b"]", None), (memoize, index_format), (b"(", None), *values, (b"e", None)]
    expression, offsets, formats = b"", [], []
    offset = 0
    for code, number_format in instructions:
        size = np.dtype(number_format).itemsize if number_format else 0
        expression += re.escape(code) + b"." * size
        if number_format:
            offsets.append(offset + 1)
            formats.append(number_format)
        offset += 1 + size
    columns = [f"value {number}" for number in range(len(layout))]
    names = ["index", *columns] if index_format else columns
    row = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": offset})
    first = expression.removeprefix(re.escape(b"]"))
    pattern = re.compile(first + b"(?:" + expression + b")*+", re.DOTALL)
    return _RowRun(pattern, row, columns, has_index=index_format is not None)


_INSTRUCTION_OF = {"u1": b"K", ">f8": b"G"}  # BININT1, BINFLOAT
# By the layout and the instruction that gives a list its place in the memo.
_ROW_RUNS = {
    (layout, memoize): _row_run(layout, memoize, index_format)
    for layout in (CP_ROW, BEATS_ROW)
    for memoize, index_format in [
        (b"\x94", None),  # MEMOIZE, protocol 4 and later
        (b"r", "<u4"),  # LONG_BINPUT, before
        (b"q", "u1"),  # BINPUT, for the first 256
    ]
}
_SMALL_INTEGERS = re.compile(rb"(?:K.)++", re.DOTALL)  # BININT1
SHORT = 4  # values of a row; where there are more, a run of integers may follow


def _check_values(values: list) -> None:
    if not VALUES.issuperset(map(type, values)):
        raise TypeError("a list of something other than values")


def _is_constant(value: Any) -> bool:
    # Of True and False (numpy's, which go into the memo) and of each string of up to one byte there
    # is one object in a process, so any item may refer to it.
    if type(value) is bytes:
        return len(value) < 2
    return type(value) in (Symbol, Dtype, str, bool)


def _depth(value: Any) -> int:
    if not isinstance(value, list | tuple):
        return 0
    return 1 + max(map(_depth, value), default=0)


def check_depth(value: Any) -> None:
    # What is built between marks is bounded by their number, but these need no mark.
    if _depth(value) > _DEEPEST:
        raise ValueError("lists nested too deeply")
