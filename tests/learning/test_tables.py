"""CSV files with labels of notes."""

import re

import pytest

from m2bert.base.errors import UserError
from m2bert.learning.tables import check_labels, read_label_table
from tests.helpers.tables import write_csv

ROWS = [("0", "60", "Bäume"), ("1.5", "61", "'=x"), ("1e2", "62", "tief, ganz")]


@pytest.mark.parametrize(
    ("encoding", "delimiter", "decimal"),
    [
        ("utf-8", ",", "."),
        ("utf-8-sig", ",", ","),
        ("utf-8-sig", ";", ","),
        ("utf-16", "\t", ","),
        ("utf-16", "\t", "."),
        ("cp1252", ";", ","),
    ],
)
def test_read_table_reads_what_spreadsheets_write(tmp_path, encoding, delimiter, decimal):
    rows = [(onset.replace(".", decimal), *rest) for onset, *rest in ROWS]
    rows[1:1] = [(), ("", " ", "")]  # blank rows count
    header = (" Onset_Beats", "PITCH ", "Voice", "")
    path = write_csv(tmp_path / "a.csv", rows, header, encoding, delimiter)
    table = read_label_table(path, "voice")
    assert (table.unit, table.onset.tolist()) == ("beats", [0, 1.5, 100])
    assert table.pitch.tolist() == [60, 61, 62]
    assert table.label.tolist() == ["Bäume", "=x", "tief, ganz"]
    assert table.row.tolist() == [2, 5, 6]
    assert table.by_hand.all()
    assert table.sha256 is None


def test_read_table_prefers_ticks_and_reads_names_of_pitches(tmp_path):
    header = (
        "onset_seconds",
        "onset_beats",
        "onset_ticks",
        "pitch",
        "duration_ticks",
        "a",
        "track",
    )
    pitches = {"C4": 60, "c#4": 61, "Db4": 61, "B♭3": 58, "cb4": 59, "C-1": 0, "60.0": 60}
    rows = [("x", "x", "480", pitch, "yes", "piano") for pitch in pitches]
    table = read_label_table(write_csv(tmp_path / "a.csv", rows, header), "A")
    assert (table.unit, table.onset[0]) == ("ticks", 480)
    assert table.pitch.tolist() == list(pitches.values())


def test_read_table_finds_labels_that_were_chosen_by_hand(tmp_path):
    header = ("onset_ticks", "pitch", "melody", "melody_probability", "sha256")
    cells = [("melody", "0.9"), ("bridge", ""), ("", ""), ("bridge", " ")]
    rows = [("0", "60", *pair, "AB12") for pair in cells]
    corrected = read_label_table(write_csv(tmp_path / "a.csv", rows, header), "melody")
    assert corrected.by_hand.tolist() == [False, True, False, True]
    assert corrected.sha256 == "ab12"
    plain = [row[:-1] for row in rows]
    table = read_label_table(write_csv(tmp_path / "b.csv", plain, header[:-1]), "melody")
    assert table.by_hand.tolist() == [True, True, False, True]
    assert table.label.tolist() == ["melody", "bridge", None, "bridge"]


NOTE = "0,60,low\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("\n;;\n", "has no rows"),
        ("<!doctype html>", "it is a web page"),
        ("PK\3\4", "a workbook, not a CSV file"),
        ("onset_beats,pitch,voice\n", "has no rows"),
        (f"onset,pitch,voice\n{NOTE}", "no column onset_ticks, onset_beats or onset_seconds (it "),
        (f"onset_beats,note,voice\n{NOTE}", "no column pitch"),
        (f"onset_beats,pitch,label\n{NOTE}", "no column voice (it has onset_beats, pitch, label)"),
        (f"onset_beats,pitch,voice,Voice \n{NOTE}", "two columns voice"),
        (f"onset_beats,pitch,voice\n\n{NOTE}x,60,low\n", "row 4: the cell of onset_beats is not"),
        ("onset_beats,pitch,voice\nnan,60,low\n", "row 2: the cell of onset_beats is not a number"),
        ("onset_beats,pitch,voice\n0,60.5,low\n", "row 2: the cell of pitch is not a pitch"),
        ("onset_beats,pitch,voice\n0,128,low\n", "row 2: the cell of pitch is not a pitch"),
        ("onset_beats,pitch,voice\n0,B-4,low\n", "row 2: the cell of pitch is not a pitch"),
        ("onset_beats,pitch,voice\n0,G#9,low\n", "row 2: the cell of pitch is not a pitch"),
        ("onset_beats,pitch,voice\n1,5,60,low\n", "row 2: 4 cells, but the table has 3 columns"),
        ("onset_beats,pitch,voice,sha256\n0,60,a,1\n0,60,a,2\n", "rows of 2 songs"),
    ],
)
def test_read_table_reports_bad_tables(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        read_label_table(path, "voice")
    assert str(path) in str(error.value)


def test_read_table_reports_files_that_are_not_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\x81\xff")
    with pytest.raises(UserError, match="is not text"):
        read_label_table(path, "voice")
    with pytest.raises(UserError, match="No such file"):
        read_label_table(tmp_path / "b.csv", "voice")


def test_check_labels_reports_labels_that_differ_in_case_or_spaces(tmp_path):
    def table(name, *labels):
        rows = [("0", "60", label) for label in labels]
        return read_label_table(write_csv(tmp_path / name, rows), "voice")

    good = table("a.csv", "Melody", "Melody", "", "second  voice")
    check_labels([good, table("b.csv", "Melody", "other")])
    for bad in ("melody", "Melody ", "second voice"):
        with pytest.raises(UserError, match="differ only in case or spaces") as error:
            check_labels([good, table("b.csv", "other", bad)])
        assert repr(bad) in str(error.value)
        assert "b.csv, row 3" in str(error.value)
        assert "a.csv, row " in str(error.value)
    with pytest.raises(UserError, match="'left/right' contains a slash"):
        check_labels([table("b.csv", "left/right")])
