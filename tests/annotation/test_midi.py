"""The annotated MIDI file: the very notes, in tracks by their role, with markers."""

from collections import Counter

import mido
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from m2bert.annotation.midi import write_annotation_midi
from m2bert.model.predictions import NOT_READ
from m2bert.notes.midi import parse_midi
from m2bert.notes.song import read_song
from tests.helpers.annotation_samples import annotate, made_up_annotation
from tests.helpers.midi_files import write_midi

MELODY, BRIDGE, ACCOMPANIMENT = 1, 2, 3


def random_messages(random, count):
    """Messages as they may come: notes that never end, ends of nothing, notes without duration,
    overlaps of one pitch, instruments that change."""
    kinds = random.choice(["note_on", "note_off", "program_change"], count, p=[0.5, 0.4, 0.1])
    return [
        mido.Message("program_change", channel=channel, program=40 * (velocity > 64))
        if kind == "program_change"
        else mido.Message(kind, time=time, channel=channel, note=pitch, velocity=velocity)
        for kind, time, channel, pitch, velocity in zip(
            kinds.tolist(),
            random.integers(0, 3, count).tolist(),
            random.choice([0, 9], count).tolist(),
            random.integers(60, 62, count).tolist(),
            random.choice([0, 1, 64, 127], count).tolist(),
            strict=True,
        )
    ]


def save(path, *tracks, ticks_per_beat=480):
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(path)
    return path


def note(start, end, pitch=60, channel=0, velocity=64):
    """A note whose `start` counts from the message before it."""
    return [
        mido.Message("note_on", time=start, note=pitch, channel=channel, velocity=velocity),
        mido.Message("note_off", time=end - start, note=pitch, channel=channel),
    ]


def written(annotation, folder):
    write_annotation_midi(annotation, folder / "out.mid")
    return parse_midi(folder / "out.mid")


def notes_with_instruments(midi):
    """Every note with what it is played by, as a multiset."""
    return Counter(
        (n.start, n.end, n.pitch, n.velocity, int(instrument.program), instrument.is_drum)
        for instrument in midi.instruments
        for n in instrument.notes
    )


@given(seed=st.integers(0, 2**32 - 1), tracks=st.integers(1, 3), with_roles=st.booleans())
def test_random_files_keep_every_note(tmp_path_factory, seed, tracks, with_roles):
    folder, random = tmp_path_factory.mktemp("random"), np.random.default_rng(seed)
    # at least one note, whatever was drawn
    drawn = [random_messages(random, 50) for _ in range(tracks)]
    song = read_song(save(folder / "in.mid", note(1, 5), *drawn))
    said = {"melody": random.integers(NOT_READ, 4, len(song))} if with_roles else {}
    midi = written(annotate(song, said), folder)
    assert notes_with_instruments(midi) == notes_with_instruments(song.midi)
    assert read_song(folder / "out.mid").never_ended == 0


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
    (own,) = song.midi.instruments
    for instrument in midi.instruments:
        assert instrument.control_changes == own.control_changes
        assert instrument.pitch_bends == own.pitch_bends
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


def test_instruments_keep_channels_of_their_own_as_long_as_there_are_enough(tmp_path):
    def channels(programs):
        """Channels of instruments, and of the one drum track behind them."""
        tracks = [
            [mido.Message("program_change", program=program, channel=0), *note(0, 9)]
            for program in programs
        ]
        path = save(tmp_path / "in.mid", *tracks, note(0, 9, 36, channel=9))
        write_annotation_midi(annotate(read_song(path)), tmp_path / "out.mid")
        return [
            next(message.channel for message in track if message.type == "program_change")
            for track in mido.MidiFile(tmp_path / "out.mid").tracks[1:]
        ]

    melodic = [*range(9), *range(10, 16)]
    assert channels([7] * 15) == [*melodic, 9]
    assert channels([7] * 10 + [8] * 10) == [0] * 10 + [1] * 10 + [9]


def test_a_note_ends_before_it_is_struck_again(tmp_path):
    path = save(tmp_path / "in.mid", [*note(0, 9), *note(0, 9), *note(0, 0)])
    write_annotation_midi(annotate(read_song(path)), tmp_path / "out.mid")
    track = mido.MidiFile(tmp_path / "out.mid").tracks[1]
    types = [message.type for message in track if not message.is_meta][1:]
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
