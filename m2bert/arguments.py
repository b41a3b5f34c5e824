"""Kinds of numbers on the command line, for argparse's `type`."""

import argparse

from m2bert.windows import check_stride


def whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def count(text: str) -> int:
    if whole(text) == 0:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return int(text)


def stride(text: str) -> int:
    try:
        return check_stride(whole(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def not_negative(text: str) -> float:
    if not float(text) >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return float(text)
