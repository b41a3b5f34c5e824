"""Functions for argparse's `type` that convert and check numbers of the command line."""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

PRECISIONS = ("fp32", "bf16")
"""Choices of `--precision`; `devices.choose_precision` has the default."""

OVERWRITE = "also replace files that you changed or that no command wrote"
"""The help of `--overwrite`."""

MOST = 10**9
"""The greatest whole number of flags without a limit of their own."""


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
        raise argparse.ArgumentTypeError(f"{text} is too few: at least 1 is needed")
    return int(text)


def seed(text: str) -> int:
    """A seed: a whole number of at most 63 bits."""
    return non_negative_int(text, most=2**63 - 1)


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    if not 0 <= (number := _number(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return number


def checked(check: Callable[[int], int]) -> Callable[[str], int]:
    """A converter of whole numbers that returns `check(number)`. For a bad number `check` raises
    `ValueError` with a sentence for the user."""

    def convert(text: str) -> int:
        number = non_negative_int(text)
        try:
            return check(number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def not_negative(text: str) -> float:
    """A finite number of at least 0."""
    if not 0 <= (number := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return number


def positive(text: str) -> float:
    """A finite number greater than 0."""
    if not 0 < (number := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    return number


def _number(text: str) -> float:
    """The number, or NaN, for which no comparison holds."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def command_line() -> list[str]:
    """The arguments of this command; a file whose name begins with a dash is not a flag."""
    return [
        f"./{text}" if text[0:1] == "-" and Path(text).is_file() else text for text in sys.argv[1:]
    ]
