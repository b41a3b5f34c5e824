"""Tables as text: aligned for a terminal, as Markdown or as CSV."""

import csv
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO

WIDTH = 120
"""Width of the notes below a table in a terminal, in characters."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of text that a spreadsheet takes for a formula."""

Columns = Sequence[tuple[str, Callable[[dict], str]]]
"""Titles, which may have several lines, and functions that return a record's cell."""


@dataclass(frozen=True)
class Table:
    """A table with its heading and notes. Columns without any text are not shown.

    Attributes:
        records: the rows, with the same keys; None is a missing value.
        texts: how many of the first columns are aligned to the left; the others hold numbers.
    """

    heading: str
    columns: Columns
    records: Sequence[dict]
    notes: Sequence[str] = ()
    texts: int = 3

    def cells(self) -> list[tuple[str, list[str]]]:
        """The title and the cells of each column that has text."""
        columns = ((title, list(map(cell, self.records))) for title, cell in self.columns)
        return [(title, cells) for title, cells in columns if any(cells)]


def terminal_text(table: Table) -> str:
    """The table with aligned columns, heading and notes."""
    columns = table.cells()
    height = max(title.count("\n") for title, _ in columns)
    padded = []
    for place, (title, cells) in enumerate(columns):
        head = ("\n" * (height - title.count("\n")) + title).split("\n")
        width = max(map(len, [*head, *cells]))
        align = str.ljust if place < table.texts else str.rjust
        padded.append([align(text, width) for text in [*head, "-" * width, *cells]])
    lines = ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]
    wrap = textwrap.TextWrapper(
        WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([table.heading, "", *lines, "", *map(wrap.fill, table.notes)])


def markdown_text(table: Table) -> str:
    """The table in Markdown, with heading and notes."""
    titles, columns = zip(*table.cells(), strict=True)
    rule = ["---"] * table.texts + ["---:"] * (len(titles) - table.texts)
    grid = [[title.replace("\n", " ") for title in titles], rule, *zip(*columns, strict=True)]
    rows = (f"| {' | '.join(map(_escape, cells))} |" for cells in grid)
    notes = (f"- {note}" for note in table.notes)
    return "\n".join([f"# {table.heading}", "", *rows, "", *notes]) + "\n"


def _escape(cell: str) -> str:
    return cell.replace("|", r"\|")


def csv_text(records: Sequence[dict]) -> str:
    """At least one record as CSV; all have the same keys, None becomes an empty cell, and text that
    spreadsheets would take for a formula begins with an apostrophe."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows(map(_no_formula, record.values()) for record in records)
    return out.getvalue()


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_SIGNS) else value


def decimals(value: float | None, sign: str = "") -> str:
    """A score with three decimals, as in the paper; None is empty. sign: "+" shows the sign of
    positive numbers, too."""
    return "" if value is None else f"{value:{sign}.3f}"
