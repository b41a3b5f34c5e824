"""Tables as text."""

import csv
from operator import itemgetter

from m2bert.base.tables import WIDTH, Table, csv_text, decimals, markdown_text, terminal_text

TABLE = Table(
    heading="Scores",
    columns=[
        ("task", itemgetter("task")),
        ("of all\nruns", lambda row: decimals(row["score"])),
        ("sd", lambda row: ""),
    ],
    records=[{"task": "melody", "score": 0.9}, {"task": 'say "a | b"', "score": None}],
    notes=["words " * 40],
    texts=1,
)


def test_terminal_text_aligns_columns_and_omits_empty_ones():
    lines = terminal_text(TABLE).splitlines()
    assert lines[:7] == [
        "Scores",
        "",
        "             of all",
        "task           runs",
        "-----------  ------",
        "melody        0.900",
        'say "a | b"',
    ]
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(lines).count("words") == 40


def test_markdown_text_escapes_what_separates_cells():
    lines = markdown_text(TABLE).splitlines()
    assert lines[2:4] == ["| task | of all runs |", "| --- | ---: |"]
    assert lines[5] == r'| say "a \| b" |  |'


def test_csv_text_has_the_records_and_no_formulas():
    assert csv_text(TABLE.records) == 'task,score\nmelody,0.9\n"say ""a | b""",\n'
    texts = ["=1", "+1", "-1", "@1", "\t=1", "1=", ""]
    rows = csv.reader(csv_text([{"a": text, "b": -1.5} for text in texts]).splitlines())
    assert [row[0] for row in rows] == ["a", "'=1", "'+1", "'-1", "'@1", "'\t=1", "1=", ""]
    assert csv_text([{"a": -1.5}]) == "a\n-1.5\n"
