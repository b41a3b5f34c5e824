"""Tables as text."""

import csv

from m2bert.base.tables import WIDTH, Table, csv_text, figure, markdown_text, terminal_text

NAME = "a task with a very long name | of one's own"
TABLE = Table(
    heading="Scores",
    titles=["task", "of all\nruns"],
    cells=[["melody", "0.900"], [NAME, "12.000"]],
    notes=["words " * 40],
    records=[{"task": "melody", "score": 0.9}, {"task": 'say "a, b"', "score": None}],
    texts=1,
)


def test_a_terminal_gets_aligned_columns_that_fit():
    text = terminal_text(TABLE)
    assert text.splitlines()[:7] == [
        "Scores",
        "",
        "                    of all",
        "task                  runs",
        "------------------  ------",
        "melody               0.900",
        "a task with a v...  12.000",
    ]
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("words") == 40


def test_markdown_gets_whole_names_in_as_many_cells():
    lines = markdown_text(TABLE).splitlines()
    assert lines[2:4] == ["| task | of all runs |", "| --- | ---: |"]
    assert lines[5] == r"| a task with a very long name \| of one's own | 12.000 |"


def test_csv_holds_the_records_and_figures_have_three_decimals():
    assert csv_text(TABLE.records) == 'task,score\nmelody,0.9\n"say ""a, b""",\n'
    assert [figure(0.12345), figure(1, sign="+"), figure(None, "-")] == ["0.123", "+1.000", "-"]


def test_text_is_no_formula_and_numbers_stay_numbers():
    texts = ["=1", "+1", "-1", "@1", "\t=1", "1=", ""]
    rows = csv.reader(csv_text([{"a": text, "b": -1.5} for text in texts]).splitlines())
    assert [row[0] for row in rows] == ["a", "'=1", "'+1", "'-1", "'@1", "'\t=1", "1=", ""]
    assert csv_text([{"a": -1.5}]) == "a\n-1.5\n"
