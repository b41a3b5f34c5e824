"""Kinds of numbers on the command line, for argparse's `type`."""

import argparse
from collections.abc import Callable

PRECISIONS = ("fp32", "bf16", "auto")
"""Of `--precision`: "auto" is bf16 where that is measured to be quicker (`devices`)."""


def whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def count(text: str) -> int:
    if whole(text) == 0:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return int(text)


def checked(check: Callable[[int], int]) -> Callable[[str], int]:
    """A whole number that `check` returns, or refuses by a `ValueError` whose sentence is shown."""

    def convert(text: str) -> int:
        number = whole(text)
        try:
            return check(number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def not_negative(text: str) -> float:
    if not float(text) >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return float(text)
