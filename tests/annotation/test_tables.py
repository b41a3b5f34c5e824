"""An annotation as CSV and JSON."""

import json

import mido
import numpy as np
import pytest

from m2bert.annotation.tables import note_records, write_annotation_csv, write_annotation_json
from m2bert.model.predictions import NOT_READ
from m2bert.notes.reader import read_song
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import annotate
from tests.helpers.midi_files import write_midi
from tests.helpers.tables import read_csv


def read_strict_json(path):
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


@pytest.fixture
def annotation(tmp_path):
    """Three notes of one track, 120 beats a minute."""
    notes = [(0, 480, 60), (480, 720, 61), (960, 1440, 21)]
    song = read_song(write_midi(tmp_path / "in.mid", notes))
    annotation = annotate(
        song,
        {"melody": [1, 3, NOT_READ], "beat": [2, 1, NOT_READ]},
        {"emotion": [[0.5, 0.5, 0, 0], [1, 0, 0, 0]]},
    )
    annotation.marks["short"] = np.array([False, True, True])
    annotation.marks["pitch clipped"] = np.array([False, False, True])
    return annotation


def test_csv_has_a_row_for_each_note(annotation, tmp_path):
    write_annotation_csv(annotation, tmp_path / "out.csv")
    first, second, third = read_csv(tmp_path / "out.csv")
    assert first == {
        "index": "0",
        "bar": "1",
        "beat_in_bar": "1.0",
        "track": "1",
        "track_name": "",
        "onset_ticks": "0",
        "duration_ticks": "480",
        "onset_beats": "0.0",
        "duration_beats": "1.0",
        "onset_seconds": "0.0",
        "duration_seconds": "0.5",
        "pitch": "60",
        "pitch_name": "C4",
        "midi_velocity": "64",
        "marks": "",
        "melody": "melody",
        "melody_probability": "0.9",
        "melody_shown": "melody",
        "beat": "beat",
        "beat_probability": "0.9",
    }
    assert (second["pitch_name"], second["marks"]) == ("C#4", "short")
    assert (second["onset_beats"], second["duration_seconds"]) == ("1.0", "0.25")
    assert (third["pitch_name"], third["marks"]) == ("A0", "short;pitch clipped")
    assert (third["melody"], third["melody_probability"]) == ("", "")


def test_json_contains_the_rows_of_the_csv_and_labels_of_the_piece(annotation, tmp_path):
    write_annotation_csv(annotation, tmp_path / "out.csv")
    write_annotation_json(annotation, tmp_path / "out.json")
    found = read_strict_json(tmp_path / "out.json")
    for row, note in zip(read_csv(tmp_path / "out.csv"), found["notes"], strict=True):
        note["marks"] = ";".join(note["marks"])
        assert row == {key: "" if value is None else str(value) for key, value in note.items()}
    assert found["piece"] == {"emotion": {"Q1": 0.75, "Q2": 0.25, "Q3": 0.0, "Q4": 0.0}}
    assert [window["Q2"] for window in found["piece_windows"]["emotion"]] == [0.5, 0.0]
    assert (found["file"], found["ticks_per_beat"], found["seconds"]) == ("in.mid", 480, 1.5)
    assert found["tracks"] == [{"track": 1, "name": "", "program": 0, "is_drum": False}]
    assert found["mean_probability"] == pytest.approx({"melody": 0.9, "beat": 0.9, "emotion": 0.75})
    (model,) = found["models"]["beat"]
    unknown = dict.fromkeys(("metric", "valid_score", "test_score", "licence", "limits"))
    assert model == {"name": "beat"} | unknown
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()


def test_records_spell_classes_and_pitches_as_musicians_do(tmp_path):
    song = read_song(write_midi(tmp_path / "in.mid", [(0, 480, 70), (480, 960, 70)]))
    root, key = TASKS["chordroot"].classes, TASKS["localkey"].classes
    records = note_records(
        annotate(
            song,
            {
                "melody": [2, NOT_READ],
                "chordroot": [root.index("B-"), root.index("E--")],
                "localkey": [key.index("B- major"), key.index("B minor")],
            },
        )
    )
    assert [record["melody"] for record in records] == ["bridge", None]
    assert [record["melody_shown"] for record in records] == ["second voice", None]
    assert [record["chordroot"] for record in records] == ["Bb", "Ebb"]
    assert [record["localkey"] for record in records] == ["Bb major", "B minor"]
    assert [record["localkey_span"] for record in records] == ["Bb major", "B minor"]
    assert [record["pitch_name"] for record in records] == ["Bb4", "A#4"]  # by the key


@pytest.mark.parametrize(
    ("name", "charset", "expected"),
    [
        ('a "b", c;d', "ascii", None),
        ("Flöte", "latin-1", None),
        ("Canção ñ", "utf-16", None),
        ("zwei\nZeilen\x7f\x85\u2028!", "utf-8", "zwei Zeilen   !"),
        ("=1+1", "ascii", None),  # to spreadsheets a formula
    ],
)
def test_track_names_of_any_encoding_are_text(name, charset, expected, tmp_path):
    """As text without control characters."""
    data = name.encode(charset).decode("latin-1")
    file = mido.MidiFile(write_midi(tmp_path / "in.mid"))
    file.tracks[0].insert(0, mido.MetaMessage("track_name", name=data))
    file.save(tmp_path / "named.mid")
    annotation = annotate(read_song(tmp_path / "named.mid"))
    write_annotation_csv(annotation, tmp_path / "out.csv")
    write_annotation_json(annotation, tmp_path / "out.json")
    expected = expected or name
    as_text = f"'{expected}" if expected.startswith("=") else expected
    assert {row["track_name"] for row in read_csv(tmp_path / "out.csv")} == {as_text}
    data = (tmp_path / "out.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfindex,")  # spreadsheets need the mark
    assert b"\0" not in data
    assert read_strict_json(tmp_path / "out.json")["tracks"][0]["name"] == expected
