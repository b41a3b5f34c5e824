"""The labels of a song's notes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.learning.matching import labels_of_notes, labels_of_tracks, rows_of_notes
from m2bert.learning.tables import UNITS, LabelTable, read_label_table
from m2bert.notes.reader import read_song
from m2bert.notes.song import Notes, Song, Track, in_order
from tests.helpers.midi_files import write_midi
from tests.helpers.tables import write_csv

GRID = 60  # ticks


def song_of(notes, tracks=("right", "left", "drums")) -> Song:
    """A song of notes (track, start, duration, pitch), the last track drums; it gets faster."""
    notes = sorted(notes, key=lambda note: (note[0], note[1] + note[2]))
    table = np.array(notes, np.int64).reshape(-1, 4)
    track, start, duration, pitch = table.T
    columns = np.stack([start, start + duration, pitch, np.full_like(pitch, 64)])
    lengths = np.bincount(track, minlength=len(tracks)).tolist()
    found = Notes(*in_order(columns, lengths), 480, ())
    return Song(
        Path("a song.mid"),
        found,
        tuple(Track(name, 0, name == "drums") for name in tracks),
        tempos=((0, 90.0), (960, 133.0)),
    )


def names_of(song: Song) -> np.ndarray:
    """A label for each note, equal for notes that are equal."""
    notes = song.notes
    return np.array(
        [str(note) for note in zip(notes.track, notes.start, notes.pitch, notes.end, strict=True)],
        object,
    )


def table_of(song: Song, unit: str, digits: int, order) -> LabelTable:
    """A table of the notes `order` with their `names_of`, its times rounded."""
    notes = song.notes
    clock = {"ticks": lambda ticks: ticks, "beats": song.beats, "seconds": song.seconds}[unit]
    start, end = clock(notes.start), clock(notes.end)
    return LabelTable(
        path=Path("a table.csv"),
        column="voice",
        row=np.arange(len(order)) + 2,
        unit=unit,
        onset=np.round(start[order].astype(float), digits),
        pitch=notes.pitch[order],
        label=names_of(song)[order],
        by_hand=np.ones(len(order), bool),
        track=notes.track[order] + 1.0,
        duration=np.round((end - start)[order].astype(float), digits),
        sha256=None,
    )


def grid(most: int):
    return st.integers(0, most).map(lambda step: step * GRID)


notes = st.lists(
    st.tuples(st.integers(0, 2), grid(40), grid(3), st.integers(60, 62)), min_size=1, max_size=60
)


@given(notes, st.sampled_from(UNITS), st.integers(2, 6), st.data())
def test_labels_of_notes_belong_to_their_notes_in_any_order_of_rows(notes, unit, digits, data):
    song = song_of(notes)
    order = np.array(data.draw(st.permutations(range(len(song)))))
    labels, names = labels_of_notes(song, table_of(song, unit, digits, order)), names_of(song)
    assert (labels[~song.is_drum] == names[~song.is_drum]).all()
    assert not labels[song.is_drum].any()

    filtered = table_of(song, unit, digits, order[: len(order) // 2 + 1])
    rows = rows_of_notes(song, filtered)
    used = rows[rows >= 0]
    assert sorted(used) == list(range(len(filtered.row)))
    assert (filtered.label[used] == names[rows >= 0]).all()


def unisons() -> Song:
    """Simultaneous notes of one pitch: of two tracks, two durations, and drums."""
    return song_of([(0, 0, 480, 60), (1, 0, 480, 60), (1, 0, 960, 60), (2, 0, 480, 60)])


def test_rows_of_notes_matches_simultaneous_notes_of_one_pitch():
    song, order = unisons(), np.array([2, 3, 0, 1])
    table = table_of(song, "beats", 2, order)
    nothing = np.full(4, np.nan)
    assert rows_of_notes(song, table).tolist() == [2, 3, 0, 1]
    # tracks may be counted from 0
    assert rows_of_notes(song, replace(table, track=table.track - 1)).tolist() == [2, 3, 0, 1]
    without_tracks = rows_of_notes(song, replace(table, track=nothing))
    assert without_tracks[2] == 0  # the long one
    # equal rows are used in their order, drums last
    bare = replace(table, track=nothing, duration=nothing)
    assert rows_of_notes(song, bare).tolist() == [0, 1, 2, 3]


def test_labels_of_notes_needs_no_rows_of_drums():
    song = unisons()
    table = replace(table_of(song, "ticks", 0, np.arange(3)), track=np.full(3, np.nan))
    assert labels_of_notes(song, table).tolist() == [*names_of(song)[:3], None]


@pytest.fixture
def scale(tmp_path) -> Song:
    return read_song(write_midi(tmp_path / "scale.mid"))  # one note per beat


def table_in(tmp_path, rows) -> LabelTable:
    return read_label_table(write_csv(tmp_path / "scale.csv", rows), "voice")


ALL = [(str(beat), str(60 + beat), "low" if beat < 4 else "high ") for beat in range(8)]


def test_labels_of_notes_reports_rows_and_notes_without_partner(tmp_path, scale):
    assert labels_of_notes(scale, table_in(tmp_path, ALL)).tolist() == 4 * ["low"] + 4 * ["high"]
    for rows, message, missing in [
        ([*ALL, ("7.03", "67", "x"), ("1", "62", "x")], "scale.csv, row 10 and 1 more: ", []),
        ([*ALL[:5], ("5", "65", " "), *ALL[6:]], "row 7: the cell of voice is empty", [5]),
        (ALL[1:-1], "no row for 2 of 8 notes of .*, the first with pitch 60 at 0 beats", [0, 7]),
    ]:
        table = table_in(tmp_path, rows)
        with pytest.raises(UserError, match=message):
            labels_of_notes(scale, table)
        labels = labels_of_notes(scale, table, allow_missing=True)
        assert np.flatnonzero(~labels.astype(bool)).tolist() == missing


def test_labels_of_notes_rejects_tables_of_other_songs(tmp_path, scale):
    other = [(onset, str(int(pitch) + 1), label) for onset, pitch, label in ALL]
    far = [("1e300", pitch, label) for _, pitch, label in ALL]
    for rows in (other, far, [("-5", "0", "x")]):
        for allow_missing in (False, True):
            with pytest.raises(UserError, match=r"of another song than .*: \d of \d rows"):
                labels_of_notes(scale, table_in(tmp_path, rows), allow_missing)
    table = table_in(tmp_path, ALL)
    assert labels_of_notes(scale, replace(table, sha256=sha256(scale.path))).all()
    with pytest.raises(UserError, match=r"of another song .* \(another sha256\)"):
        labels_of_notes(scale, replace(table, sha256="ab"))


def test_labels_of_tracks_are_their_names():
    song = song_of([(0, 0, 60, 60), (1, 0, 60, 60), (2, 0, 60, 60)], (" MELODY", "", "drums"))
    assert labels_of_tracks(song, allow_missing=True).tolist() == ["MELODY", None, None]
    with pytest.raises(UserError, match="track 2 has no name"):
        labels_of_tracks(song)
