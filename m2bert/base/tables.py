"""Tables as text: aligned for a terminal, as Markdown or as CSV."""

import csv
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

WIDTH = 120
"""Characters in a line of a terminal; tables and notes are made to fit."""

TEXT_CELL = 18
"""Most characters of a text cell in a terminal; longer names of users' own tasks are cut."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""How text begins that a spreadsheet takes for a formula."""


@dataclass(frozen=True)
class Table:
    """A table with its heading and notes.

    Attributes:
        heading: one line above the table.
        titles: one title for each column; a title may have several lines.
        cells: the text of each cell, row by row.
        notes: sentences below the table.
        records: the rows as dicts with the same keys, for programs; None is a missing figure.
        texts: how many of the first columns hold text, which is aligned to the left; the other
            columns hold figures, which are aligned to the right.
    """

    heading: str
    titles: Sequence[str]
    cells: Sequence[Sequence[str]]
    notes: Sequence[str]
    records: Sequence[dict]
    texts: int = 3


def terminal_text(table: Table) -> str:
    """The table with aligned columns, heading and notes. Long text cells are cut."""
    split = [title.split("\n") for title in table.titles]
    height = max(map(len, split))
    header = list(zip(*([""] * (height - len(lines)) + lines for lines in split), strict=True))
    body = [[*map(_cut, row[: table.texts]), *row[table.texts :]] for row in table.cells]
    widths = [max(map(len, column)) for column in zip(*header, *body, strict=True)]

    def line(cells: Sequence[str]) -> str:
        texts = map(str.ljust, cells[: table.texts], widths)
        figures = map(str.rjust, cells[table.texts :], widths[table.texts :])
        return "  ".join([*texts, *figures]).rstrip()

    rule = "  ".join("-" * width for width in widths)
    notes = [
        textwrap.fill(
            note, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for note in table.notes
    ]
    return "\n".join([table.heading, "", *map(line, header), rule, *map(line, body), "", *notes])


def _cut(cell: str) -> str:
    return cell if len(cell) <= TEXT_CELL else f"{cell[: TEXT_CELL - 3]}..."


def markdown_text(table: Table) -> str:
    """The table in Markdown, with heading and notes."""

    def line(cells: Sequence[str]) -> str:
        escaped = [cell.replace("|", r"\|") for cell in cells]
        return f"| {' | '.join(escaped)} |"

    titles = [title.replace("\n", " ") for title in table.titles]
    rule = ["---"] * table.texts + ["---:"] * (len(titles) - table.texts)
    lines = map(line, [titles, rule, *table.cells])
    notes = (f"- {note}" for note in table.notes)
    return "\n".join([f"# {table.heading}", "", *lines, "", *notes]) + "\n"


def csv_text(records: Sequence[dict]) -> str:
    """At least one record as CSV; all have the same keys, and None becomes an empty cell.

    An apostrophe is put before text that spreadsheets would take for a formula.
    """
    out = StringIO()
    writer = csv.DictWriter(out, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: _no_formula(value) for key, value in record.items()})
    return out.getvalue()


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_SIGNS) else value


def figure(value: float | None, absent: str = "", sign: str = "") -> str:
    """A score with three decimals, as in the paper.

    absent: the text for None; sign: "+" to show the sign of positive numbers too.
    """
    return absent if value is None else f"{value:{sign}.3f}"
