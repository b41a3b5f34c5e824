"""Classes of pieces from folders."""

import os
from unicodedata import normalize

import pytest

from m2bert.base.errors import UserError
from m2bert.learning.folders import pieces_in, read_labelled_pieces
from tests.helpers.midi_files import write_midi


def write_songs(folder, count=3, first=60):
    """Songs of one note, each of another pitch."""
    for number in range(count):
        write_midi(folder / f"{number}.mid", [(0, 480, first + number)])


def test_pieces_in_lists_songs_with_the_names_of_their_folders(tmp_path):
    names = ["😀", "ゆっくり", normalize("NFD", "fröhlich")]
    for name in names:
        write_songs(tmp_path / name, 2)
        write_songs(tmp_path / name / "album", 1)
        write_midi(tmp_path / name / "._0.mid")
    for name in (".git", "__MACOSX"):
        write_songs(tmp_path / name)
    (tmp_path / "README.md").touch()
    pieces = pieces_in(tmp_path)
    found = {(path.relative_to(tmp_path).as_posix(), name) for path, name in pieces}
    assert len(pieces) == len(found)
    assert found == {
        (f"{name}/{song}", normalize("NFC", name))
        for name in names
        for song in ("0.mid", "1.mid", "album/0.mid")
    }


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has no folders of classes, but two are needed: put the songs"),
        ({".": 2}, r"2 files outside the folders of classes, such as .*0\.mid"),
        ({"a": 3, "b": 3, ".": 1}, r"1 file outside the folders of classes, such as .*0\.mid"),
        ({"a": 3}, "has one folder of a class, but two are needed"),
        ({"a": 3, "b": 0}, "the class 'b' has too few different songs in .*: 0 of at least 3"),
        ({"a": 1, "b": 1}, "the class 'a' has too few different songs in .*: 1 of at least 3"),
        ({"a": 3, "A": 3}, "'A' .* and 'a' .* differ only in case or spaces"),
        ({"a": 3, "a ": 3}, "'a' .* and 'a ' .* differ only in case or spaces"),
    ],
)
def test_pieces_in_reports_folders_that_cannot_be_used(tmp_path, counts, message):
    for name, count in counts.items():
        (tmp_path / name).mkdir(exist_ok=True)
        write_songs(tmp_path / name, count)
    with pytest.raises(UserError, match=message):
        pieces_in(tmp_path)


def test_pieces_in_needs_a_folder(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        pieces_in(tmp_path / "missing")


def test_pieces_in_reads_names_that_are_not_utf8(tmp_path):
    for name in (b"\xff", b"b"):
        write_songs(tmp_path / os.fsdecode(name))
    assert {name for _, name in pieces_in(tmp_path)} == {"\\xff", "b"}


def test_read_labelled_pieces_skips_unreadable_files_and_keeps_equal_songs(tmp_path, capsys):
    for first, name in ((30, "a"), (60, "b")):
        write_songs(tmp_path / name, 4, first)
    (tmp_path / "a/0.mid").write_text("no music")
    write_midi(tmp_path / "b/copy.mid", [(0, 480, 60)])
    songs = pieces_in(tmp_path)
    paths, notes, labels = zip(*read_labelled_pieces(songs, workers=2), strict=True)
    assert list(paths) == [path for path, _ in songs[1:]]
    assert list(labels) == 3 * ["a"] + 5 * ["b"]
    assert {cp.shape for cp in notes} == {(1, 4)}
    assert "a/0.mid: unreadable" in capsys.readouterr().out


def test_read_labelled_pieces_reports_a_song_in_two_classes(tmp_path):
    write_songs(tmp_path / "a")
    write_songs(tmp_path / "b", first=62)
    with pytest.raises(UserError, match=r"a/2\.mid and .*b/0\.mid have the same notes"):
        read_labelled_pieces(pieces_in(tmp_path), workers=1)


def test_read_labelled_pieces_needs_three_different_songs_per_class(tmp_path):
    write_songs(tmp_path / "a")
    write_songs(tmp_path / "b", first=80)
    write_midi(tmp_path / "b/1.mid", [(0, 480, 80)])
    with pytest.raises(UserError, match="in the files that can be read: 2 of at least 3"):
        read_labelled_pieces(pieces_in(tmp_path), workers=1)
