"""The annotated MIDI file: the very notes, in tracks by their role, with markers."""

import mido
import numpy as np
import pytest

from m2bert.annotation.midi import write_annotation_midi
from m2bert.model.predictions import NOT_READ
from m2bert.notes.legal_midi import is_legal
from m2bert.notes.midi import parse_midi
from m2bert.notes.song import read_song
from tests.helpers.annotation_samples import annotate, made_up_annotation
from tests.helpers.midi_files import note, save, write_midi

MELODY, BRIDGE, ACCOMPANIMENT = 1, 2, 3


def written(annotation, folder):
    write_annotation_midi(annotation, folder / "out.mid")
    data = (folder / "out.mid").read_bytes()
    assert is_legal(data)
    return parse_midi(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("Flöte".encode("latin-1"), "Flöte".encode("latin-1")),
        ("Flöte\n".encode(), "Flöte".encode()),
        ("Flöte".encode("utf-16"), "Flöte".encode()),
    ],
)
def test_names_stay_in_their_encoding(data, expected, tmp_path):
    name = mido.MetaMessage("track_name", name=data.decode("latin-1"))
    title = mido.MetaMessage("track_name", name="Title")
    song = read_song(save(tmp_path / "in.mid", [title], [name, *note(0, 9)], note(0, 9)))
    write_annotation_midi(annotate(song, {"melody": [MELODY, NOT_READ]}), tmp_path / "out.mid")
    found = [track.name for track in mido.MidiFile(tmp_path / "out.mid").tracks]
    assert found == ["Title", "melody", ""]
    write_annotation_midi(annotate(song, {"melody": [MELODY, MELODY]}), tmp_path / "out.mid")
    found = [track.name for track in mido.MidiFile(tmp_path / "out.mid").tracks]
    flute = expected.decode("latin-1")
    assert found == ["Title", f"melody ({flute})", "melody (track 2)"]


def test_roles_become_tracks_and_the_rest_stays(tmp_path):
    path = save(
        tmp_path / "in.mid",
        [mido.MetaMessage("track_name", name="Piano"), *note(0, 9), *note(0, 9, 62), *note(0, 9)],
        [mido.MetaMessage("track_name", name="Kit"), *note(0, 9, 36, 9), *note(0, 9, 38, 9)],
    )
    song = read_song(path)
    said = {"melody": [MELODY, ACCOMPANIMENT, NOT_READ, MELODY, NOT_READ]}
    midi = written(annotate(song, said), tmp_path)
    found = [(i.name, i.is_drum, [(n.start, n.pitch) for n in i.notes]) for i in midi.instruments]
    assert found == [
        ("melody", False, [(0, 60)]),
        ("accompaniment", False, [(9, 62)]),
        ("Piano", False, [(18, 60)]),
        ("Kit", True, [(0, 36), (9, 38)]),
    ]


def test_several_instruments_keep_their_roles_apart(tmp_path):
    path = save(
        tmp_path / "in.mid",
        [mido.MetaMessage("track_name", name="Flöte"), *note(0, 9), *note(0, 9)],
        [mido.Message("program_change", channel=3, program=40), *note(0, 9, 50, 3)],
    )
    said = {"melody": [MELODY, BRIDGE, MELODY]}
    midi = written(annotate(read_song(path), said), tmp_path)
    assert [(i.name, int(i.program)) for i in midi.instruments] == [
        ("melody (Flöte)", 0),
        ("melody (track 2)", 40),
        ("bridge (Flöte)", 0),
    ]


def test_markers_stand_where_labels_change_and_where_beats_begin(tmp_path):
    path = save(
        tmp_path / "in.mid",
        [mido.MetaMessage("marker", text="Verse", time=7)],
        # the notes begin at 0, 480, 960 and 1440
        [message for start in (0, 380, 380, 380) for message in note(start, start + 100)],
        note(960, 1000, 72),
    )
    said = {
        "beat": [2, 1, 2, 2, 2],
        "downbeat": [2, 1, 1, 1, 1],
        "chordroot": [1, 1, 2, 2, 2],
        "localkey": [0, 24, 24, 2, 24],  # class 0 is padding: no key at all
    }
    midi = written(annotate(read_song(path), said), tmp_path)
    assert sorted((marker.time, marker.text) for marker in midi.markers) == [
        (0, "beat"),
        (0, "chord C"),
        (0, "downbeat"),
        (7, "Verse"),
        (480, "key F# minor"),
        (960, "beat"),  # once, though two notes begin here
        (960, "chord C#"),
        (1440, "beat"),
        (1440, "key Ab major"),
    ]


def test_everything_else_in_the_file_stays(tmp_path):
    path = save(
        tmp_path / "in.mid",
        [
            mido.MetaMessage("set_tempo", tempo=500_001),
            mido.MetaMessage("time_signature", numerator=6, denominator=8),
            mido.MetaMessage("key_signature", key="F#m"),
            mido.MetaMessage("lyrics", text="日本".encode().decode("latin-1"), time=3),
            mido.MetaMessage("set_tempo", tempo=333_333, time=100),
        ],
        [
            mido.Message("control_change", control=0, value=5, channel=2),
            mido.Message("program_change", program=12, channel=2),
            mido.Message("control_change", control=64, value=127, time=2, channel=2),
            *note(0, 9, channel=2),
            mido.Message("pitchwheel", pitch=-8192, channel=2),
            *note(0, 9, channel=2),
            mido.Message("control_change", control=64, value=0, channel=2),
        ],
    )
    song = read_song(path)
    midi = written(annotate(song, {"melody": [MELODY, ACCOMPANIMENT]}), tmp_path)
    assert midi.tempo_changes == song.midi.tempo_changes
    assert midi.time_signature_changes == song.midi.time_signature_changes
    assert midi.key_signature_changes == song.midi.key_signature_changes
    assert midi.lyrics == song.midi.lyrics
    (own,), (first, second) = song.midi.instruments, midi.instruments
    assert first.control_changes == own.control_changes[:2]
    assert first.pitch_bends == own.pitch_bends  # for both, as they are on one channel
    assert second.control_changes == own.control_changes[2:]  # the pedal is up behind its note
    ticks = np.arange(0, 500, 7)
    read_back = read_song(tmp_path / "out.mid")
    np.testing.assert_allclose(read_back.seconds(ticks), song.seconds(ticks), rtol=1e-9)


def test_tempos_of_all_tracks_are_kept(tmp_path):
    """120 beats a minute, 240 from beat 10 on; another track repeats the 120 of the beginning."""
    first, second = (mido.MetaMessage("set_tempo", tempo=tempo) for tempo in (500_000, 250_000))
    path = save(tmp_path / "in.mid", [first, second.copy(time=4800)], [first, *note(0, 9600)])
    song = read_song(path)
    write_annotation_midi(annotate(song), tmp_path / "out.mid")
    for read in (song, read_song(tmp_path / "out.mid")):
        assert read.seconds(np.array([4800, 9600])).tolist() == [5, 7.5]


def test_a_note_ends_before_it_is_struck_again(tmp_path):
    path = save(tmp_path / "in.mid", [*note(0, 9), *note(0, 9), *note(0, 0)])
    write_annotation_midi(annotate(read_song(path)), tmp_path / "out.mid")
    track = mido.MidiFile(tmp_path / "out.mid").tracks[1]
    types = [message.type for message in track if not message.is_meta]
    assert types == ["note_on", "note_off"] * 3


def test_the_file_is_what_other_programs_expect(tmp_path):
    annotation = made_up_annotation(read_song(write_midi(tmp_path / "in.mid")))
    write_annotation_midi(annotation, tmp_path / "out.mid")
    file = mido.MidiFile(tmp_path / "out.mid")
    assert file.type == 1
    for track in file.tracks:
        assert all(message.time >= 0 for message in track)
        assert [message.type for message in track].index("end_of_track") == len(track) - 1
    # tempo, signatures and markers are in the first track, where programs look for them
    kinds = {"set_tempo", "time_signature", "key_signature", "marker", "lyrics"}
    assert not any(message.type in kinds for track in file.tracks[1:] for message in track)
