"""Songs and their tables of labels."""

import pytest

from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.learning.pairs import songs_with_tables
from tests.helpers.midi_files import SCALE, write_midi
from tests.helpers.tables import HEADER, write_csv

ROWS = [("0", "60", "low")]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "music"


def write_songs(folder, *names):
    """Songs that differ in their last note."""
    for number, name in enumerate(names):
        write_midi(folder / name, [*SCALE, (4000, 4100 + number, 60)])


def write_tables(folder, *names):
    for name in names:
        write_csv(folder / name, ROWS)


def write_corrections(path, song):
    write_csv(path, [(*row, sha256(song)) for row in ROWS], (*HEADER, "sha256"))


def names_of(pairs):
    return {song.name: table.path.name for song, table in pairs}


def test_songs_with_tables_finds_the_latest_table_beside_each_song(folder, capsys):
    write_songs(folder, "a.mid", "b (1).MID", "sub/c.kar", "d.mid", "no table.mid", "._a.mid")
    write_tables(folder, "A.csv", "a.corrected.csv", "a.corrected (2).CSV", "a.corrected (10).csv")
    write_tables(folder, "b (1).csv", "sub/c.tsv", "sub/c (1).csv", "d.csv")
    write_csv(folder / "a.chords.csv", [("1", "C")], ("bar", "name"))  # by annotate
    pairs, skipped = songs_with_tables([folder, folder / "a.mid"], "voice")
    assert names_of(pairs) == {
        "a.mid": "a.corrected (10).csv",
        "b (1).MID": "b (1).csv",
        "c.kar": "c (1).csv",
        "d.mid": "d.csv",
    }
    assert [entry["file"] for entry in skipped] == [str(folder / "no table.mid")]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("labels from ")[1] for line in printed] == [
        "a.corrected (10).csv, the latest of 3 tables",
        "c (1).csv, the latest of 2 tables",
    ]


def test_songs_with_tables_finds_songs_by_checksum(folder, tmp_path):
    write_songs(folder, "a.mid", "b.mid", "c.mid", "d.mid")
    write_corrections(tmp_path / "x/other name.csv", folder / "a.mid")
    write_corrections(tmp_path / "x/b.corrected.csv", folder / "b.mid")
    write_corrections(folder / "d.corrected.csv", folder / "c.mid")  # the song was renamed
    write_tables(folder, "b.csv")
    pairs, skipped = songs_with_tables([tmp_path / "x", folder], "voice")
    assert names_of(pairs) == {
        "a.mid": "other name.csv",
        "b.mid": "b.corrected.csv",
        "c.mid": "d.corrected.csv",
    }
    assert [entry["file"] for entry in skipped] == [str(folder / "d.mid")]


@pytest.mark.parametrize(
    ("songs", "tables", "message"),
    [
        ([], ["a.csv"], "no MIDI files or scores in"),
        (["a.mid"], [], "no tables of labels in"),
        (["a.mid"], ["a.csv", "b.csv"], "b.csv has no song: put its song beside it"),
        (["a.mid", "a.kar"], ["a.csv"], r"a.csv is beside two songs, .*a.kar and .*a.mid"),
        (["a.mid"], ["a.csv", "a.tsv"], r"a.mid has two tables, .*a.csv and .*a.tsv"),
    ],
)
def test_songs_with_tables_reports_files_without_partner(folder, songs, tables, message):
    folder.mkdir()
    write_songs(folder, *songs)
    write_tables(folder, *tables)
    with pytest.raises(UserError, match=message):
        songs_with_tables([folder], "voice")


def test_songs_with_tables_reports_what_is_wrong_in_tables(folder, tmp_path):
    write_songs(folder, "a.mid", "b.mid")
    write_tables(folder, "a.csv")
    with pytest.raises(UserError, match=r"a\.csv has no column label"):
        songs_with_tables([folder], "label")
    write_csv(folder / "b.csv", [("x", "60", "low")])
    with pytest.raises(UserError, match=r"b\.csv, row 2"):
        songs_with_tables([folder], "voice")
    write_corrections(folder / "b.csv", folder / "b.mid")
    write_corrections(tmp_path / "b.csv", folder / "b.mid")
    with pytest.raises(UserError, match=r"b\.mid has two tables"):
        songs_with_tables([folder, tmp_path / "b.csv"], "voice")
    write_corrections(tmp_path / "x/a.csv", write_midi(tmp_path / "y/a.mid"))
    with pytest.raises(UserError, match="has no song: give its song's folder, too"):
        songs_with_tables([tmp_path / "x", folder / "a.mid"], "voice")
    with pytest.raises(UserError, match="there is no file or folder"):
        songs_with_tables([tmp_path / "missing"], "voice")
