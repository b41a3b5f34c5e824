"""Tables of labelled notes: CSV files of `annotate`, its page, spreadsheets and other programs."""

import codecs
import csv
import math
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from m2bert.base.errors import UserError
from m2bert.base.files import placeholder_in, why_unreadable
from m2bert.base.tables import FORMULA_SIGNS
from m2bert.learning.names import check_class_names, normalised

UNITS = ("ticks", "beats", "seconds")
"""Units of onsets, exact ones first."""

_SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The rows of a table, one per note; arrays are (rows,).

    Attributes:
        column: the name of the column of the labels.
        row: numbers in the file, from 1 as in a spreadsheet, int64.
        unit: of `onset` and `duration`, one of `UNITS`.
        onset: float64.
        pitch: MIDI numbers, int64.
        label: the text of the cells, object: a str, or None for an empty cell.
        by_hand: the labels that were chosen by hand, bool: in a table of corrections those without
            a probability, in others all.
        track, duration: as in the tables of `annotate`, float64; NaN for an empty cell.
        sha256: the checksum of the song, if the table has it.
    """

    path: Path
    column: str
    row: np.ndarray
    unit: str
    onset: np.ndarray
    pitch: np.ndarray
    label: np.ndarray
    by_hand: np.ndarray
    track: np.ndarray
    duration: np.ndarray
    sha256: str | None


def read_label_table(path: Path, label: str) -> LabelTable:
    """Read a CSV file in any usual encoding (UTF-8, UTF-16 with a byte order mark, cp1252), with
    commas, semicolons or tabs, and decimal points or commas.

    label: the name of the column of the labels. Raises `UserError` if the file cannot be read,
    lacks a column, or if an onset or pitch is not a number.
    """
    columns, row = read_columns(path)
    onset = next((name for name in map("onset_{}".format, UNITS) if name in columns), "")
    for name in (onset, "pitch", _key(label)):
        if name not in columns:
            names = ", ".join(filter(None, columns))
            what = name or "onset_ticks, onset_beats or onset_seconds"
            raise UserError(f"{path} has no column {what} (it has {names})")
    songs = {cell.strip().lower() for cell in columns.get("sha256", [])} - {""}
    if len(songs) > 1:
        raise UserError(f"{path} has rows of {len(songs)} songs: make a table for each of them")
    labels = np.array([_label(cell) for cell in columns[_key(label)]], object)
    probability = columns.get(f"{_key(label)}_probability") if songs else None
    by_hand = [not cell.strip() for cell in probability or [""] * len(row)]
    unit = onset.removeprefix("onset_")
    return LabelTable(
        path=path,
        column=label,
        row=row,
        unit=unit,
        onset=_complete(path, row, onset, map(_number, columns[onset])),
        pitch=_complete(path, row, "pitch", map(_pitch, columns["pitch"])).astype(np.int64),
        label=labels,
        by_hand=np.array(by_hand) & labels.astype(bool),
        track=_optional(columns, "track", len(row)),
        duration=_optional(columns, f"duration_{unit}", len(row)),
        sha256=next(iter(songs), None),
    )


def check_labels(tables: Iterable[LabelTable]) -> None:
    """Raise `UserError` as `check_class_names` for the labels of all tables together."""
    check_class_names(
        (label, f"{table.path}, row {row}")
        for table in tables
        for label, row in dict(zip(table.label[::-1], table.row[::-1], strict=True)).items()
        if label is not None
    )


def read_columns(path: Path) -> tuple[dict[str, list[str]], np.ndarray]:
    """The cells of each column by its name, and the numbers of the rows, without blank ones."""
    numbers, rows = zip(*_rows(path), strict=True)
    names = [_key(cell) for cell in rows[0]]
    if len(rows) == 1:
        raise UserError(f"{path} has no rows below its header")
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise UserError(f"{path} has two columns {min(twice)}: remove or rename one")
    for number, cells in zip(numbers, rows, strict=True):
        if any(cells[len(names) :]):
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells, but the table has {len(names)} columns "
                "(with decimal commas, separate cells by semicolons)"
            )
    empty = [""] * len(names)
    cells = zip(*((row + empty)[: len(names)] for row in rows[1:]), strict=True)
    return dict(zip(names, map(list, cells), strict=True)), np.array(numbers[1:])


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, with their numbers from 1, by the delimiter that gives the
    header most cells."""
    text = _text(path)

    def rows(delimiter: str) -> Iterator[tuple[int, list[str]]]:
        cells = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
        return ((number, row) for number, row in enumerate(cells, 1) if "".join(row).strip())

    try:
        delimiter = max(",;\t", key=lambda mark: len(next(rows(mark), (1, []))[1]))
        return list(rows(delimiter)) or [(1, [])]
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file: it has cells of 100,000 characters") from error


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({why_unreadable(path, error)})") from error
    if reason := placeholder_in(data):
        raise UserError(f"{path} cannot be read ({reason})")
    if data.startswith(b"PK\x03\x04"):
        raise UserError(f"{path} is a workbook, not a CSV file: save it as CSV")
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "cp1252"]:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise UserError(f"{path} is not text: save it as CSV in UTF-8")


def _key(name: str) -> str:
    return normalised(name).strip().casefold()


def _label(cell: str) -> str | None:
    """The label of a cell; equal ones are one object, since there may be millions."""
    return sys.intern(normalised(plain_text(cell))) if cell.strip() else None


def plain_text(cell: str) -> str:
    """The text of a cell, without the apostrophe that keeps spreadsheets from computing it."""
    is_escaped = cell[:1] == "'" and cell[1:].startswith(FORMULA_SIGNS)
    return cell[is_escaped:]


def _number(cell: str) -> float:
    """The number in a cell, or NaN."""
    try:
        number = float(cell.replace(",", "."))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _pitch(cell: str) -> float:
    """The MIDI number of a pitch, or of its name: 61 for C#4 and Db4; else NaN."""
    name = cell.strip().capitalize().replace("♯", "#").replace("♭", "b")
    if not (named := re.fullmatch(r"([A-G])(#*|b*)(-1|\d)", name)):
        number = _number(cell)
        return number if number in range(128) else math.nan
    letter, accidentals, octave = named.groups()
    sharps = accidentals.count("#") - accidentals.count("b")
    number = 12 * (int(octave) + 1) + _SEMITONES[letter] + sharps
    return number if number in range(128) else math.nan


def _complete(path: Path, row: np.ndarray, column: str, numbers: Iterable[float]) -> np.ndarray:
    values = np.array(list(numbers))
    if len(bad := np.flatnonzero(np.isnan(values))):
        what = "pitch from 0 to 127 or like C#4" if column == "pitch" else "number"
        raise UserError(f"{path}, row {row[bad[0]]}: the cell of {column} is not a {what}")
    return values


def _optional(columns: dict[str, list[str]], name: str, rows: int) -> np.ndarray:
    return np.array([_number(cell) for cell in columns.get(name, [""] * rows)])
