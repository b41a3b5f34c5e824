"""The instructions of pickles, and what each does."""

import math
import pickletools
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from m2bert.base.errors import UserError
from m2bert.notes.pickled.machine import (
    SHORT,
    VALUES,
    Arguments,
    Array,
    Dtype,
    Interpreter,
    Symbol,
    array_values,
    check_depth,
)


def _refuse(machine: Interpreter, code: bytes) -> None:
    name = _NAMES.get(code)
    if name is None:
        raise ValueError("an unknown instruction")
    raise UserError(
        f"{machine.path} uses the pickle instruction {name}, which lists of numbers "
        "do not need; files that may name code or hold other objects are not read"
    )


def _proto(machine: Interpreter) -> None:
    version = machine.read(1)[0]
    if not 2 <= version <= 5:
        raise ValueError(f"pickle protocol {version}")


def _frame(machine: Interpreter) -> None:
    machine.read(8)  # frames help a reader that fetches ahead; the file is buffered as it is


def _stop(machine: Interpreter) -> None:
    if machine.marks or len(machine.stack) != 1 or machine.stack[0] is not machine.outermost:
        raise ValueError("no list of items")


def _constant(value: Any) -> Callable[[Interpreter], None]:
    return lambda machine: machine.stack.append(value)


def _number(number_format: str) -> Callable[[Interpreter], None]:
    packed = struct.Struct(number_format)

    def push(machine: Interpreter) -> None:
        machine.stack.append(packed.unpack(machine.read(packed.size))[0])

    return push


def _small_integer(machine: Interpreter) -> None:
    machine.stack.append(machine.read(1)[0])
    if len(machine.stack) > SHORT:
        machine.take_small_integers()


def _long(machine: Interpreter) -> None:
    machine.stack.append(int.from_bytes(machine.read_string("B"), "little", signed=True))


def _bytes(length_format: str) -> Callable[[Interpreter], None]:
    return lambda machine: machine.stack.append(machine.read_string(length_format))


def _text(length_format: str) -> Callable[[Interpreter], None]:
    return lambda machine: machine.stack.append(machine.read_string(length_format).decode())


def _empty_list(machine: Interpreter) -> None:
    if not machine.opened:
        machine.open_outermost()
    elif not (machine.blocks_of and machine.take_rows(machine.blocks_of)):
        machine.stack.append([])


def _append(machine: Interpreter) -> None:
    value = machine.stack.pop()
    check_depth(value)
    machine.extend([value])


def _appends(machine: Interpreter) -> None:
    values = machine.pop_mark()
    machine.extend(values)


def _push_tuple(machine: Interpreter, values: list) -> None:
    check_depth(values)
    plain = VALUES.issuperset(map(type, values))
    machine.stack.append(tuple(values) if plain else Arguments(values))


def _tuple(machine: Interpreter) -> None:
    _push_tuple(machine, machine.pop_mark())


def _tuple_of(size: int) -> Callable[[Interpreter], None]:
    def push(machine: Interpreter) -> None:
        values = [machine.stack.pop() for _ in range(size)]
        _push_tuple(machine, values[::-1])

    return push


def _put(index_format: str) -> Callable[[Interpreter], None]:
    packed = struct.Struct(index_format)
    return lambda machine: machine.remember(packed.unpack(machine.read(packed.size))[0])


def _memoize(machine: Interpreter) -> None:
    machine.remember(machine.memoized)
    machine.memoized += 1


def _get(index_format: str) -> Callable[[Interpreter], None]:
    packed = struct.Struct(index_format)

    def push(machine: Interpreter) -> None:
        machine.stack.append(machine.recall(packed.unpack(machine.read(packed.size))[0]))

    return push


def _global(machine: Interpreter) -> None:
    module = machine.read_line()
    machine.push_symbol(module, machine.read_line())


def _inst(machine: Interpreter) -> None:
    module = machine.read_line()
    machine.refuse_name(module, machine.read_line())


def _stack_global(machine: Interpreter) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.push_symbol(module, name)


def _reduce(machine: Interpreter) -> None:
    arguments, symbol = machine.stack.pop(), machine.stack.pop()
    if type(symbol) is not Symbol or symbol.build is None:
        raise TypeError("a call of something that is no name")
    machine.stack.append(symbol.build(*arguments))


def _build(machine: Interpreter) -> None:
    state, target = machine.stack.pop(), machine.stack.pop()
    if type(target) is Dtype:
        target.order = state[1]
        machine.stack.append(target)
    elif type(target) is Array:
        whole = state[4] is machine.outermost
        machine.stack.append(machine.outermost if whole else array_values(*state))
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
    "MARK": Interpreter.push_mark,
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
_NAMES = {operation.code.encode("latin-1"): operation.name for operation in pickletools.opcodes}
_INSTRUCTIONS = {code: _BY_NAME[name] for code, name in _NAMES.items() if name in _BY_NAME}
_STOP = b"."


def run(machine: Interpreter) -> Iterator[Any]:
    """Go through a pickle's instructions and yield the items of its outermost list.

    Raises `UserError` for an instruction, a name or a value that lists of numbers do not have.
    """
    instructions = {code: partial(act, machine) for code, act in _INSTRUCTIONS.items()}
    code = b""
    while code != _STOP:
        code = machine.read(1)
        try:
            (instructions.get(code) or partial(_refuse, machine, code))()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(
                f"{machine.path} is damaged near byte {machine.file.tell()}, or holds something "
                f"other than lists of numbers ({str(error)[:200]})"
            ) from error
        if machine.finished:
            yield from machine.shaped_items()
    if machine.shape and machine.count != math.prod(machine.shape):
        raise UserError(
            f"{machine.path} is damaged: an array of the shape {machine.shape} does not hold "
            f"{machine.count} objects"
        )
