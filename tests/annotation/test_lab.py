"""Beats, chords and keys of a song in .lab files and tables."""

from dataclasses import replace

import numpy as np
import pytest

from m2bert.annotation.annotated_song import AnnotatedSong
from m2bert.annotation.lab import write_beats_lab, write_chords_lab, write_keys_lab
from m2bert.annotation.tables import note_records, write_chords_csv
from m2bert.notes.reader import read_song
from tests.helpers.annotation_samples import annotate, annotated_waltz
from tests.helpers.midi_files import write_midi
from tests.helpers.tables import read_csv


@pytest.fixture
def waltz(tmp_path):
    return annotated_waltz(tmp_path / "waltz.mid")


def rows_of(write, annotation, path) -> list[tuple]:
    """The rows of a .lab file: numbers and a name."""
    write(annotation, path)
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [(*map(float, row[:-1]), row[-1]) for row in rows]


def test_beats_chords_and_keys_have_seconds_and_names(waltz, tmp_path):
    beats = rows_of(write_beats_lab, waltz, tmp_path / "beats.lab")
    assert beats == [(beat / 2, str(beat % 3 + 1)) for beat in range(9)]
    chords = rows_of(write_chords_lab, waltz, tmp_path / "chords.lab")
    assert chords == [(0, 1.5, "C:min"), (1.5, 3, "G:7/3"), (3, 4.5, "C:min")]
    keys = rows_of(write_keys_lab, waltz, tmp_path / "keys.lab")
    assert keys == [(0, 4.5, "C:min")]
    song = AnnotatedSong(waltz)
    assert song.beats == [(second, int(number)) for second, number in beats]
    times = [(chord.start, chord.end) for chord in song.chords]
    assert times == [(start, end) for start, end, _ in chords]
    assert [chord.name for chord in song.chords] == ["Cm", "G7/B", "Cm"]
    assert [key[:3] for key in song.keys] == [(0, 4.5, "C minor")]
    for segment in (*song.chords, *song.keys):
        assert segment.probability == pytest.approx(0.9, abs=0.01)


def test_tables_have_true_bars_and_chords(waltz, tmp_path):
    write_chords_csv(waltz, tmp_path / "chords.csv")
    first, second, _ = read_csv(tmp_path / "chords.csv")
    assert first["name"] == "Cm"
    expected = {"bar": "2", "beat": "1.0", "seconds": "1.5", "name": "G7/B"}
    assert second == expected | {"probability": second["probability"]}
    assert float(second["probability"]) == pytest.approx(0.9, abs=0.01)
    records = note_records(waltz)
    assert [record["onset_ticks"] for record in records] == sorted(waltz.song.notes.start)
    assert [record["chord"] for record in records[:8]] == ["Cm"] * 7 + ["G7/B"]
    places = [(record["bar"], record["beat_in_bar"]) for record in records]
    assert places[5:9] == [("1", 3), ("1", 3), ("2", 1), ("2", 2)]


def test_songs_without_chords_have_empty_files(tmp_path):
    song = read_song(write_midi(tmp_path / "in.mid", [(0, 480, 60)]))
    silent = annotate(song, {"chordroot": [-1], "localkey": [-1]})
    assert rows_of(write_chords_lab, silent, tmp_path / "chords.lab") == []
    assert rows_of(write_keys_lab, silent, tmp_path / "keys.lab") == []
    assert (AnnotatedSong(silent).chords, AnnotatedSong(silent).keys) == ([], [])
    write_chords_csv(silent, tmp_path / "chords.csv")
    assert (tmp_path / "chords.csv").read_text("utf-8-sig") == "bar,beat,seconds,name,probability\n"


@pytest.mark.parametrize(
    ("signature", "shift", "step", "is_decoded"),
    [
        ((3, 4), 0, 480, False),
        ((4, 4), 0, 576, True),  # the notes ignore the beats of the file
        ((3, 4), 50, 480, True),  # between them
        ((1, 4), 0, 480, True),  # no bars
    ],
)
def test_beats_are_those_of_the_file_or_decoded(signature, shift, step, is_decoded, tmp_path):
    onsets = step * np.arange(24) + shift
    notes = [(onset, onset + 400, 60) for onset in onsets.tolist()]
    song = read_song(write_midi(tmp_path / "in.mid", notes, [signature]))
    annotation = annotate(song, {"beat": [2] * 24, "downbeat": [2, 1, 1] * 8})
    assert annotation.beats.is_decoded == is_decoded
    np.testing.assert_allclose(annotation.beats.tick, onsets, atol=1)
    assert annotation.beats.number.tolist() == [1, 2, 3] * 8
    np.testing.assert_allclose(annotation.beats.tempo, 120 * 480 / step, rtol=0.01)
    np.testing.assert_allclose(annotation.bars.start, onsets[::3], atol=1)
    assert annotation.bars.number == tuple("12345678")


@pytest.mark.parametrize(("upbeat", "places"), [(480, [3, 3.5]), (240, [3.5])])
def test_an_upbeat_is_bar_0_and_counted_from_its_end(upbeat, places, tmp_path):
    notes = [(240 * k, 240 * k + 240, 60) for k in range(len(places) + 12)]
    song = read_song(write_midi(tmp_path / "in.mid", notes))
    signatures = ((1, 1920 // upbeat, 0), (3, 4, upbeat))
    annotation = annotate(replace(song, notes=replace(song.notes, time_signatures=signatures)))
    records = note_records(annotation)
    assert [record["beat_in_bar"] for record in records] == [*places, *[1, 1.5, 2, 2.5, 3, 3.5] * 2]
    assert [record["bar"] for record in records] == list("0" * len(places) + "1" * 6 + "2" * 6)
