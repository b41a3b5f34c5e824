"""Arguments of the commands: types, shared help texts, defaults."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

PRECISIONS = ("fp32", "bf16")
"""Choices of `--precision`; `devices.choose_precision` has the default."""

PRECISION = "precision of the computation (default: bf16 on a GPU that supports it, else fp32)"
"""The help of `--precision`."""

OVERWRITE = "also replace files that you changed or that no command wrote"
"""The help of `--overwrite`."""

MOST = 10**9
"""The greatest whole number of flags without a limit of their own."""


def show_defaults(parser: argparse.ArgumentParser) -> None:
    """Add the defaults of the flags that have one to their help."""
    for action in parser._actions:
        default = action.default
        if default not in (None, False, [], argparse.SUPPRESS):
            text = " ".join(map(str, default)) if isinstance(default, list) else default
            action.help = f"{action.help} (default: {text})"


def non_negative_int(text: str, most: int = MOST) -> int:
    """A whole number of at least 0."""
    if not (text.isdecimal() and text.isascii()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    if len(text) > 30 or int(text) > most:  # int() itself rejects thousands of digits
        raise argparse.ArgumentTypeError(f"{text} is too large: at most {most}")
    return int(text)


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    if non_negative_int(text) == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def seed(text: str) -> int:
    """A seed: a whole number of at most 63 bits."""
    return non_negative_int(text, most=2**63 - 1)


def checked(check: Callable[[int], int]) -> Callable[[str], int]:
    """A converter of whole numbers that returns `check(number)`, which raises `ValueError` with a
    sentence for the user."""

    def convert(text: str) -> int:
        number = non_negative_int(text)
        try:
            return check(number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _number(which: str, is_valid: Callable[[float], bool]) -> Callable[[str], float]:
    """A converter of the numbers for which `is_valid` holds."""

    def convert(text: str) -> float:
        with suppress(ValueError):
            if is_valid(number := float(text)):
                return number
        raise argparse.ArgumentTypeError(f"{text!r} is not a number {which}")

    return convert


fraction = _number("from 0 to below 1", lambda number: 0 <= number < 1)
not_negative = _number("of at least 0", lambda number: 0 <= number < math.inf)
positive = _number("greater than 0", lambda number: 0 < number < math.inf)


def repeated(values: Sequence) -> list:
    """The values that are given more than once."""
    return [value for value in values if values.count(value) > 1]


def command_line() -> list[str]:
    """The arguments of this command; files whose names begin with a dash are not flags."""
    return [
        f"./{text}" if text[0:1] == "-" and Path(text).is_file() else text for text in sys.argv[1:]
    ]
