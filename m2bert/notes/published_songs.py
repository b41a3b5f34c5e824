"""The published pre-training arrays, streamed.

They are pickled object arrays of songs, 300 million notes that would take 42 GB of memory as Python
numbers. Only the pickle instructions of such lists are read, one after another: a note is always
the same few bytes, so a run of notes is an array with a fixed stride. Nothing that a file names is
looked up.
"""

import io
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from m2bert.base.errors import UserError
from m2bert.notes.object_arrays import INSTRUCTION_NAMES, read_header

BUFFER = 1 << 18
_LONGEST = 16  # bytes of the longest instruction among songs, with room
_PREAMBLE = 1 << 12  # bytes in which the songs begin
# The words before the songs: numpy's names and what they are called with.
_WORDS = {
    *("numpy.core.multiarray", "numpy._core.multiarray", "_reconstruct", "numpy", "ndarray"),
    *("dtype", "O8", "O4", "|", "_codecs", "encode", "b", "latin1"),
}

# A list is EMPTY_LIST `]`, its place in the memo (MEMOIZE, BINPUT or LONG_BINPUT), then MARK `(`,
# its values and APPENDS `e` or a single value and APPEND `a`; a value of 0 to 255 is BININT1 `K`.
_MEMO = (rb"\x94", rb"q.", rb"r.{4}")
_NOTES = b"|".join(rb"(?:\]%s\((?:K.){4}e)++" % memo for memo in _MEMO)
_TOKEN = re.compile(
    b"(?P<notes>%s)|(?P<other>[](eatb.]|K.)|(?P<ignored>%s|\x95.{8})"  # FRAME
    % (_NOTES, b"|".join(_MEMO)),
    re.DOTALL,
)
_NOTE_SIZE = {ord("\x94"): 12, ord("q"): 13, ord("r"): 16}  # by the memo's instruction


def read_songs(path: Path | str) -> Iterator[np.ndarray]:
    """Yield the songs of a published pre-training corpus, each (notes, 4) uint8, ids unchecked.

    Raises `UserError` for a file of another kind, a damaged one, one that names code, one in which
    a list is referred to twice, and a song that is not a list of notes of four numbers in 0..255.
    """
    path = Path(path)
    with open(path, "rb") as file:
        shape, _, dtype = read_header(path, file)
        if len(shape) != 1 or not dtype.hasobject:
            raise UserError(f"{path} is an array of {dtype} {shape}, not one of songs (lists)")
        _go_to_songs(path, file)
        count = 0
        for song in _lists(path, _tokens(path, file)):
            yield _as_notes(song, f"song {count} (counted from 0) of {path}")
            count += 1
    if count != shape[0]:
        raise UserError(
            f"{path} is damaged: its header counts {shape[0]} songs, it contains {count}"
        )


def _go_to_songs(path: Path, file: BinaryIO) -> None:
    """Move `file` to the end of the first EMPTY_LIST, the array's list of songs."""
    start = file.tell()
    preamble = io.BytesIO(file.read(_PREAMBLE))
    try:
        for instruction, argument, place in pickletools.genops(preamble):
            if instruction.name == "EMPTY_LIST" and place is not None:
                file.seek(start + place + 1)
                return
            words = argument.split() if type(argument) is str else []
            if not _WORDS.issuperset(words):
                named = ".".join(words)[:100]
                raise UserError(f"{path} refers to {named}; files that name code are not read")
    except ValueError as error:
        raise UserError(f"{path} is cut short or damaged: {str(error)[:200]}") from error
    raise UserError(f"{path} contains no list of songs")


def _tokens(path: Path, file: BinaryIO) -> Iterator[re.Match]:
    """The instructions from here to STOP, runs of notes as one; without memo and frames."""
    data, place, at_end = b"", 0, False
    while True:
        while len(data) - place < _LONGEST and not at_end:
            more = file.read(BUFFER)
            data, place, at_end = data[place:] + more, 0, not more
        token = _TOKEN.match(data, place)
        if token is None:
            raise UserError(_message(path, data[place : place + 1]))
        place = token.end()
        if token["ignored"] is None:
            yield token
        if token["other"] == b".":
            return


def _message(path: Path, code: bytes) -> str:
    if not code or code in b"Kqr\x95":
        return f"{path} is cut short"
    name = INSTRUCTION_NAMES.get(code[0])
    if name in ("GLOBAL", "STACK_GLOBAL", "INST", "REDUCE"):
        return f"{path} names code among the songs; files that name code are not read"
    return f"{path} {_NOT_PUBLISHED} (found {name or code!r})"


_NOT_PUBLISHED = (
    "is damaged, or not in the published form: a list of songs, each a list of notes, each a list "
    "of its own of four whole numbers from 0 to 255"
)


def _lists(path: Path, tokens: Iterator[re.Match]) -> Iterator[Any]:
    """Yield the values of the outermost list; notes may come as arrays (notes, 4) uint8."""
    outermost: list = []
    stack: list = [outermost]
    marks: list[int] = []
    ends = b""
    try:
        for token in tokens:
            code = token[0][:1]
            if token["notes"]:
                size = _NOTE_SIZE[token[0][1]]
                stack.append(
                    np.frombuffer(token[0], np.uint8).reshape(-1, size)[:, size - 8 :: 2].copy()
                )
            elif code == b"K":
                stack.append(token[0][1])
            elif code == b"]":
                stack.append([])
            elif code == b"(":
                marks.append(len(stack))
            elif code in b"ae":
                start = marks.pop() if code == b"e" else len(stack) - 1
                values = stack[start:]
                del stack[start:]
                if stack[-1] is outermost:
                    yield from values
                else:
                    stack[-1].extend(values)
            else:
                ends += code
    except (AttributeError, IndexError) as error:
        raise UserError(f"{path} {_NOT_PUBLISHED}") from error
    if ends != b"tb." or marks or len(stack) != 1:
        raise UserError(f"{path} {_NOT_PUBLISHED}")


def _as_notes(song: Any, name: str) -> np.ndarray:
    """Join a song's notes, lists of four or arrays of (notes, 4) uint8, to (notes, 4) uint8."""
    notes = [np.empty((0, 4), np.uint8)]
    for part in song if type(song) is list else [None]:
        if type(part) is list and [type(value) for value in part] == [int] * 4:
            part = np.array([part], np.uint8)
        if type(part) is not np.ndarray:
            raise UserError(f"{name} is not a list of notes, each four whole numbers from 0 to 255")
        notes.append(part)
    return np.concatenate(notes)
