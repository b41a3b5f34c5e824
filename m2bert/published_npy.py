"""The one reader of object arrays that others pickled: `.npy` files of lists, and pickled lists.

A pickle is a program, and the usual way to read one runs it. This reader goes through the
program's instructions itself and can build nothing but numbers, strings, None, lists and tuples;
numpy's own names are recognised by their spelling, and whatever else a file names is refused. The
items of the outermost list are handed out one after another, so memory does not grow with the file.
"""

import math
import os
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from m2bert.errors import UserError

Shape = tuple[int, ...]

_NPY_MAGIC = b"\x93NUMPY"
_PICKLE_MAGIC = b"\x80"  # the instruction PROTO, with which every pickle since protocol 2 begins
_BUFFER = 1 << 16
# Bounds on what a damaged or hostile file can make this reader allocate or nest.
_LONGEST = 1 << 24  # bytes of one string
_DEEPEST = 16  # lists within lists
_LONGEST_REPEATED = 64  # values of one row that is written once and referred to later

# How the values of a row are written where all rows are alike, and can be read as one array: as
# numpy's format of BININT1's or BINFLOAT's argument.
RowLayout = tuple[str, ...]
_CP_ROW = ("u1", "u1", "u1", "u1")
_BEATS_ROW = (">f8", ">f8", "u1")
_BARE = ()  # no rows: the values stand in the item itself


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
    for index, song in enumerate(_read(Path(path), _CP_ROW)):
        yield _as_notes(song, f"song {index} (counted from 0) of {path}")


def read_note_lists(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the items of a benchmark's note file, each (notes, 3) float64.

    The file holds an object array of items, each a list of [onset, offset, pitch]
    (`docs/METHOD.md`, "Benchmark data"). Whether the numbers make sense is not checked here.

    Raises:
        UserError: as `read_items`, and for an item that is not a list of three numbers a note.
    """
    for index, item in enumerate(_read(Path(path), _BEATS_ROW)):
        yield _as_table(item, len(_BEATS_ROW), f"item {index} (counted from 0) of {path}")


def read_labels(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the items of a benchmark's label file, each int64: (labels,), or () of a sole label.

    The file holds an object array of lists of whole numbers, a label a note, or an array of whole
    numbers, a label a piece. Whether there is such a class is not checked here.

    Raises:
        UserError: as `read_items`, and for an item that is neither.
    """
    for index, item in enumerate(_read(Path(path), _BARE)):
        yield _as_integers(item, f"item {index} (counted from 0) of {path}")


def is_pickled(path: Path | str) -> bool:
    """Tell from its header whether the `.npy` file at `path` holds pickled objects."""
    with open(path, "rb") as file:
        return _read_header(Path(path), file)[2].hasobject


def _read(path: Path, blocks_of: RowLayout | None) -> Iterator[Any]:
    with open(path, "rb", buffering=_BUFFER) as file:
        start = file.read(len(_NPY_MAGIC))
        file.seek(0)
        if start[:1] == _PICKLE_MAGIC:
            yield from _Interpreter(path, file, None, blocks_of).items()
            return
        if start != _NPY_MAGIC:
            raise UserError(f"{path} is neither a .npy file nor a pickle of protocol 2 or later")
        shape, fortran_order, dtype = _read_header(path, file)
        if dtype == np.dtype(object):
            yield from _Interpreter(path, file, shape, blocks_of).items()
        else:
            yield from _read_numeric(path, file.tell(), shape, fortran_order, dtype)


def _read_header(path: Path, file: BinaryIO) -> tuple[Shape, bool, np.dtype]:
    """Read the header of a `.npy` file; `file` is then at the data."""
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("not format version 1.0")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        _check_shape(shape)
    except Exception as error:  # numpy parses the header as Python and raises whatever that raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is not a .npy file or its header is damaged: {reason[:200]}"
        ) from error
    return shape, fortran_order, dtype


def _check_shape(shape: Shape) -> None:
    if not all(type(length) is int for length in shape) or min(shape, default=0) < 0:
        raise ValueError(f"the shape {shape} is not one of an array")
    if not 1 <= len(shape) <= _DEEPEST or (shape[0] > 0 and 0 in shape[1:]):
        raise ValueError(f"an array of the shape {shape} holds no items")


def _read_numeric(
    path: Path, offset: int, shape: Shape, fortran_order: bool, dtype: np.dtype
) -> Iterator[list | int | float]:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise UserError(f"{path} holds values of the type {dtype}, not lists or numbers")
    if offset + math.prod(shape) * dtype.itemsize > os.path.getsize(path):
        raise UserError(f"{path} is cut short: its header says {shape} values of {dtype}")
    if math.prod(shape):
        order = "F" if fortran_order else "C"
        for item in np.memmap(path, dtype, "r", offset, shape, order):
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


# What a pickle of numpy objects is made of besides values. None of it may end up in a list.


class _Arguments(tuple):
    """A tuple with something other than values in it."""


class _Array:
    """An array of numpy's, named but not yet filled."""


@dataclass
class _Dtype:
    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        if not re.fullmatch("[<>=|][biuf][1248]", self.order + self.code):
            raise ValueError(f"values of numpy's type {self.code[:20]!r}")
        return np.dtype(self.order + self.code)


@dataclass
class _Symbol:
    build: Callable | None  # from the arguments of a call; None for what is never called


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_dtype(code: str, *_: Any) -> _Dtype:
    return _Dtype(code)


def _scalar(dtype: _Dtype, data: bytes) -> int | float:
    return np.frombuffer(data, dtype.numpy()).item()


def _array_values(_: int, shape: Shape, dtype: _Dtype, fortran: bool, data: bytes) -> list:
    _check_shape(shape)
    order = "F" if fortran else "C"
    return np.frombuffer(data, dtype.numpy()).reshape(shape, order=order).tolist()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


_SYMBOLS = {
    ("numpy", "ndarray"): _Symbol(None),
    ("numpy", "dtype"): _Symbol(_new_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _Symbol(_new_array),
    ("numpy._core.multiarray", "_reconstruct"): _Symbol(_new_array),
    ("numpy.core.multiarray", "scalar"): _Symbol(_scalar),
    ("numpy._core.multiarray", "scalar"): _Symbol(_scalar),
    ("_codecs", "encode"): _Symbol(_encode),  # how protocol 2, which has no bytes, writes them
}

_SIMPLE = {int, float, bool, str, type(None)}
# A block of notes, from the fast path, is the one array that occurs.
_VALUES = _SIMPLE | {list, tuple, np.ndarray}


class _Interpreter:
    """Goes through one pickle's instructions, each a function of `_INSTRUCTIONS`.

    `header_shape` is the array's shape by the file's header, None for a pickle without one. Rows of
    the layout `blocks_of` may come as blocks, (rows, values), in an item; with `_BARE`, integers
    may come as blocks, (integers,).
    """

    def __init__(
        self, path: Path, file: BinaryIO, header_shape: Shape | None, blocks_of: RowLayout | None
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
        self.runs: list[tuple[Any, np.ndarray]] = []  # the same for rows read by the fast path
        self.memoized = 0

    def items(self) -> Iterator[Any]:
        instructions = {code: partial(run, self) for code, run in _INSTRUCTIONS.items()}
        code = b""
        while code != _STOP:
            code = self.read(1)
            try:
                (instructions.get(code) or partial(_refuse, self, code))()
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise UserError(
                    f"{self.path} is damaged near byte {self.file.tell()}, or holds something "
                    f"other than lists of numbers ({str(error)[:200]})"
                ) from error
            if self.finished:
                yield from self.shaped_items()
        if self.shape and self.count != math.prod(self.shape):
            raise UserError(
                f"{self.path} is damaged: an array of the shape {self.shape} does not hold "
                f"{self.count} objects"
            )

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
            case [1, tuple() as shape, _Dtype(code="O8" | "O4"), bool()]:
                _check_shape(shape)
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

    def take_rows(self) -> bool:
        """Push the run of rows that begins here as one block, (rows, values), if there is one.

        The fast path: a row, with the EMPTY_LIST that has just been read, is always the same
        instructions, so a run of rows is an array with a fixed stride.
        """
        buffered = self.file.peek()
        run = _ROW_RUNS.get((self.blocks_of, buffered[:1]))
        taken = run.pattern.match(buffered) if run else None
        if taken is None:
            return False
        self.file.read(taken.end())
        rows = np.frombuffer(b"]" + taken[0], run.row)
        if "index" in run.row.names:
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
        if self.blocks_of == _BARE and self.stack is not self.batch:
            self.stack.append(np.frombuffer(values, np.uint8))
        else:
            self.stack += values


@dataclass(frozen=True)
class _RowRun:
    """A run of rows of one layout: `pattern` finds it, after its first EMPTY_LIST.

    `row` says where in a row's bytes the values lie, and the index in the memo if it is written.
    """

    pattern: re.Pattern
    row: np.dtype
    columns: list[str]


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
    return _RowRun(re.compile(first + b"(?:" + expression + b")*+", re.DOTALL), row, columns)


_INSTRUCTION_OF = {"u1": b"K", ">f8": b"G"}  # BININT1, BINFLOAT
# By the layout and the instruction that gives a list its place in the memo.
_ROW_RUNS = {
    (layout, memoize): _row_run(layout, memoize, index_format)
    for layout in (_CP_ROW, _BEATS_ROW)
    for memoize, index_format in [
        (b"\x94", None),  # MEMOIZE, protocol 4 and later
        (b"r", "<u4"),  # LONG_BINPUT, before
        (b"q", "u1"),  # BINPUT, for the first 256
    ]
}
_SMALL_INTEGERS = re.compile(rb"(?:K.)++", re.DOTALL)  # BININT1
_SHORT = 4  # values of a row; where there are more, a run of integers may follow


def _check_values(values: list) -> None:
    if not _VALUES.issuperset(map(type, values)):
        raise TypeError("a list of something other than values")


def _is_constant(value: Any) -> bool:
    # Of True and False (numpy's, which go into the memo) and of each string of up to one byte there
    # is one object in a process, so any item may refer to it.
    if type(value) is bytes:
        return len(value) < 2
    return type(value) in (_Symbol, _Dtype, str, bool)


def _depth(value: Any) -> int:
    if not isinstance(value, list | tuple):
        return 0
    return 1 + max(map(_depth, value), default=0)


def _check_depth(value: Any) -> None:
    # What is built between marks is bounded by their number, but these need no mark.
    if _depth(value) > _DEEPEST:
        raise ValueError("lists nested too deeply")


def _refuse(machine: _Interpreter, code: bytes) -> None:
    instruction = pickletools.code2op.get(code.decode("latin-1"))
    if instruction is None:
        raise ValueError("an unknown instruction")
    raise UserError(
        f"{machine.path} uses the pickle instruction {instruction.name}, which lists of numbers "
        "do not need; files that may name code or hold other objects are not read"
    )


def _proto(machine: _Interpreter) -> None:
    version = machine.read(1)[0]
    if not 2 <= version <= 5:
        raise ValueError(f"pickle protocol {version}")


def _frame(machine: _Interpreter) -> None:
    machine.read(8)  # frames help a reader that fetches ahead; the file is buffered as it is


def _stop(machine: _Interpreter) -> None:
    if machine.marks or len(machine.stack) != 1 or machine.stack[0] is not machine.outermost:
        raise ValueError("no list of items")


def _constant(value: Any) -> Callable[[_Interpreter], None]:
    return lambda machine: machine.stack.append(value)


def _number(number_format: str) -> Callable[[_Interpreter], None]:
    packed = struct.Struct(number_format)

    def push(machine: _Interpreter) -> None:
        machine.stack.append(packed.unpack(machine.read(packed.size))[0])

    return push


def _small_integer(machine: _Interpreter) -> None:
    machine.stack.append(machine.read(1)[0])
    if len(machine.stack) > _SHORT:
        machine.take_small_integers()


def _long(machine: _Interpreter) -> None:
    machine.stack.append(int.from_bytes(machine.read_string("B"), "little", signed=True))


def _bytes(length_format: str) -> Callable[[_Interpreter], None]:
    return lambda machine: machine.stack.append(machine.read_string(length_format))


def _text(length_format: str) -> Callable[[_Interpreter], None]:
    return lambda machine: machine.stack.append(machine.read_string(length_format).decode())


def _empty_list(machine: _Interpreter) -> None:
    if not machine.opened:
        machine.open_outermost()
    elif not (machine.blocks_of and machine.take_rows()):
        machine.stack.append([])


def _append(machine: _Interpreter) -> None:
    value = machine.stack.pop()
    _check_depth(value)
    machine.extend([value])


def _appends(machine: _Interpreter) -> None:
    values = machine.pop_mark()
    machine.extend(values)


def _push_tuple(machine: _Interpreter, values: list) -> None:
    _check_depth(values)
    plain = _VALUES.issuperset(map(type, values))
    machine.stack.append(tuple(values) if plain else _Arguments(values))


def _tuple(machine: _Interpreter) -> None:
    _push_tuple(machine, machine.pop_mark())


def _tuple_of(size: int) -> Callable[[_Interpreter], None]:
    def push(machine: _Interpreter) -> None:
        values = [machine.stack.pop() for _ in range(size)]
        _push_tuple(machine, values[::-1])

    return push


def _put(index_format: str) -> Callable[[_Interpreter], None]:
    packed = struct.Struct(index_format)
    return lambda machine: machine.remember(packed.unpack(machine.read(packed.size))[0])


def _memoize(machine: _Interpreter) -> None:
    machine.remember(machine.memoized)
    machine.memoized += 1


def _get(index_format: str) -> Callable[[_Interpreter], None]:
    packed = struct.Struct(index_format)

    def push(machine: _Interpreter) -> None:
        machine.stack.append(machine.recall(packed.unpack(machine.read(packed.size))[0]))

    return push


def _global(machine: _Interpreter) -> None:
    module = machine.read_line()
    machine.push_symbol(module, machine.read_line())


def _inst(machine: _Interpreter) -> None:
    module = machine.read_line()
    machine.refuse_name(module, machine.read_line())


def _stack_global(machine: _Interpreter) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.push_symbol(module, name)


def _reduce(machine: _Interpreter) -> None:
    arguments, symbol = machine.stack.pop(), machine.stack.pop()
    if type(symbol) is not _Symbol or symbol.build is None:
        raise TypeError("a call of something that is no name")
    machine.stack.append(symbol.build(*arguments))


def _build(machine: _Interpreter) -> None:
    state, target = machine.stack.pop(), machine.stack.pop()
    if type(target) is _Dtype:
        target.order = state[1]
        machine.stack.append(target)
    elif type(target) is _Array:
        whole = state[4] is machine.outermost
        machine.stack.append(machine.outermost if whole else _array_values(*state))
    else:
        raise TypeError("the state of something that has none")


_BY_NAME = {
    "PROTO": _proto,
    "FRAME": _frame,
    "STOP": _stop,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    "BININT": _number("<i"),
    "BININT1": _small_integer,
    "BININT2": _number("<H"),
    "BINFLOAT": _number(">d"),
    "LONG1": _long,
    "SHORT_BINUNICODE": _text("B"),
    "BINUNICODE": _text("<I"),
    "BINUNICODE8": _text("<Q"),
    "SHORT_BINBYTES": _bytes("B"),
    "BINBYTES": _bytes("<I"),
    "BINBYTES8": _bytes("<Q"),
    "MARK": _Interpreter.push_mark,
    "EMPTY_LIST": _empty_list,
    "APPEND": _append,
    "APPENDS": _appends,
    "TUPLE": _tuple,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "BINPUT": _put("B"),
    "LONG_BINPUT": _put("<I"),
    "MEMOIZE": _memoize,
    "BINGET": _get("B"),
    "LONG_BINGET": _get("<I"),
    "GLOBAL": _global,
    "INST": _inst,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}
_INSTRUCTIONS = {
    operation.code.encode("latin-1"): _BY_NAME[operation.name]
    for operation in pickletools.opcodes
    if operation.name in _BY_NAME
}
_STOP = b"."
