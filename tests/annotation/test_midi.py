"""The annotated MIDI file: it sounds like the song, in tracks by their role, with markers."""

from collections import Counter
from io import BytesIO

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from miditoolkit import MidiFile

from m2bert.annotation.midi import LONGEST_DELTA, write_annotation_midi
from m2bert.model.predictions import NOT_READ
from m2bert.notes.midi_reader import NEVER_ENDED
from m2bert.notes.midi_repair import is_legal
from m2bert.notes.reader import read_song
from tests.helpers.annotation_samples import annotate, made_up_annotation
from tests.helpers.midi_files import note, save, write_midi
from tests.helpers.midi_player import play
from tests.helpers.random_midi import orderly_messages, wild_messages

MELODY, BRIDGE, ACCOMPANIMENT = 1, 2, 3


def written(annotation, folder):
    write_annotation_midi(annotation, folder / "out.mid")
    data = (folder / "out.mid").read_bytes()
    assert is_legal(data)
    return MidiFile(file=BytesIO(data))


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
    flute = f"melody ({expected.decode('latin-1')})"
    for second, names in ((NOT_READ, ["melody", ""]), (MELODY, [flute, "melody (track 2)"])):
        written(annotate(song, {"melody": [MELODY, second]}), tmp_path)
        found = [track.name for track in mido.MidiFile(tmp_path / "out.mid").tracks]
        assert found == ["Title", *names]


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
        [mido.Message("program_change", channel=3, program=40)],  # which the last track begins with
        [mido.MetaMessage("track_name", name="Flöte"), *note(0, 9), *note(0, 9)],
        note(0, 9, 50, 3),
    )
    said = {"melody": [MELODY, BRIDGE, MELODY]}
    midi = written(annotate(read_song(path), said), tmp_path)
    assert [(i.name, int(i.program)) for i in midi.instruments] == [
        ("melody (Flöte)", 0),
        ("melody (track 2)", 40),
        ("second voice (bridge) (Flöte)", 0),
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
            mido.MetaMessage("set_tempo", tempo=500_001),
            mido.MetaMessage("set_tempo", tempo=1_000_000, time=200),
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
    song, own = read_song(path), MidiFile(path)
    midi = written(annotate(song, {"melody": [MELODY, ACCOMPANIMENT]}), tmp_path)
    assert midi.time_signature_changes == MidiFile(path).time_signature_changes
    assert midi.key_signature_changes == MidiFile(path).key_signature_changes
    assert midi.lyrics == MidiFile(path).lyrics
    (own,), (first, second) = MidiFile(path).instruments, midi.instruments
    assert first.control_changes == own.control_changes[:2]
    assert first.pitch_bends == own.pitch_bends  # for both, as they are on one channel
    assert second.control_changes == own.control_changes[2:]  # the pedal is up behind its note
    ticks = np.arange(0, 500, 7)
    read_back = read_song(tmp_path / "out.mid")
    np.testing.assert_allclose(read_back.seconds(ticks), song.seconds(ticks), rtol=1e-9)


def test_the_file_is_what_other_programs_expect(tmp_path):
    repeated = [*((9 * i, 9 * i + 9, 60) for i in range(8)), (72, 72, 60)]
    annotation = made_up_annotation(read_song(write_midi(tmp_path / "in.mid", repeated)))
    write_annotation_midi(annotation, tmp_path / "out.mid")
    file = mido.MidiFile(tmp_path / "out.mid")
    assert file.type == 1
    for track in file.tracks:
        assert all(message.time >= 0 for message in track)
        assert [message.type for message in track].index("end_of_track") == len(track) - 1
        types = [message.type for message in track if not message.is_meta]
        assert types == ["note_on", "note_off"] * (len(types) // 2)  # ended before struck again
    # tempo, signatures and markers are in the first track, where programs look for them
    kinds = {"set_tempo", "time_signature", "key_signature", "marker", "lyrics"}
    assert not any(message.type in kinds for track in file.tracks[1:] for message in track)


# How it sounds


def notes_with_instruments(midi):
    """Every note with what it is played by, as a multiset."""
    return Counter(
        (n.start, n.end, n.pitch, n.velocity, int(instrument.program), instrument.is_drum)
        for instrument in midi.instruments
        for n in instrument.notes
    )


def metas(path):
    """Messages to no channel, but for names of tracks, ports and our markers."""
    merged = mido.merge_tracks(mido.MidiFile(path).tracks)
    own = {"track_name", "midi_port", "end_of_track"}
    times = np.cumsum([message.time for message in merged]).tolist()
    found = [
        message.copy(time=time)
        for message, time in zip(merged, times, strict=True)
        if (message.is_meta and message.type not in own) or message.type == "sysex"
    ]
    return sorted(found, key=lambda message: (message.time, str(message)))


def symusic_notes(path):
    score = pytest.importorskip("symusic").Score(path)
    return sorted(
        (n.time, n.time + n.duration, n.pitch, n.velocity) for t in score.tracks for n in t.notes
    )


def roles(random, song):
    return {"melody": random.integers(NOT_READ, 4, len(song))}


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), tracks=st.integers(1, 3), with_roles=st.booleans())
def test_every_event_stays_on_its_channel_and_tick(tmp_path_factory, seed, tracks, with_roles):
    folder, random = tmp_path_factory.mktemp("random"), np.random.default_rng(seed)
    # at least one note, whatever was drawn
    drawn = [wild_messages(random, 60) for _ in range(tracks)]
    song = read_song(save(folder / "in.mid", note(1, 5), *drawn))
    write_annotation_midi(
        annotate(song, roles(random, song) if with_roles else {}), folder / "out.mid"
    )
    before, after = play(folder / "in.mid"), play(folder / "out.mid")
    assert after.plain_notes() == before.plain_notes()
    assert after.states == before.states
    had, has = (Counter((t, p, str(m)) for t, p, m in played.events) for played in (before, after))
    assert {message.split()[0] for _, _, message in has - had} <= {"program_change"}  # repeated
    lost = had - has
    assert {message.split()[0] for _, _, message in lost} <= {"note_on"}
    assert lost.total() == song.omitted.get(NEVER_ENDED, 0)
    assert metas(folder / "out.mid") == metas(folder / "in.mid")
    read_back = read_song(folder / "out.mid")
    assert read_back.omitted == {}
    plain = sorted(note[2:] for note in before.plain_notes())
    notes = read_back.notes
    columns = (notes.start, notes.end, notes.pitch, notes.velocity)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == plain
    assert symusic_notes(folder / "out.mid") == plain


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), tracks=st.integers(1, 3))
def test_every_note_sounds_as_before(tmp_path_factory, seed, tracks):
    folder, random = tmp_path_factory.mktemp("random"), np.random.default_rng(seed)
    song = read_song(save(folder / "in.mid", *orderly_messages(random, 25, tracks)))
    midi = written(annotate(song, roles(random, song)), folder)
    assert play(folder / "out.mid").notes == play(folder / "in.mid").notes
    if tracks == 1:  # also for those who look at a track alone
        assert notes_with_instruments(midi) == notes_with_instruments(MidiFile(folder / "in.mid"))


def test_ports_stay(tmp_path):
    """Two tracks on channel 0 of two ports; what is meant for the second stays there."""
    ports = [mido.MetaMessage("midi_port", port=port) for port in (0, 1)]
    violin, empty = (mido.Message("program_change", program=40, channel=n) for n in (0, 5))
    reset = mido.Message("sysex", data=(126, 127, 9, 1))
    path = save(
        tmp_path / "in.mid",
        [ports[0], *note(0, 9, 60), *note(0, 9, 61)],
        [ports[1], reset, violin, empty, *note(0, 9, 62), *note(0, 9, 63)],
    )
    said = {"melody": [MELODY, ACCOMPANIMENT] * 2}
    write_annotation_midi(annotate(read_song(path), said), tmp_path / "out.mid")
    assert play(tmp_path / "out.mid").notes == play(path).notes
    assert play(tmp_path / "out.mid").states == play(path).states
    tracks = mido.MidiFile(tmp_path / "out.mid").tracks
    with_reset = [[m.port for m in t if m.type == "midi_port"] for t in tracks if reset in t]
    assert with_reset == [[1]]


def test_long_silences_are_bridged(tmp_path):
    gap = mido.MetaMessage("text", text="still here", time=LONGEST_DELTA)
    path = save(
        tmp_path / "in.mid",
        [*note(0, 9), gap, gap, *note(1000, 1009), gap, mido.MetaMessage("end_of_track", time=9)],
    )
    midi = written(annotate(read_song(path)), tmp_path)
    tracks = mido.MidiFile(tmp_path / "out.mid").tracks
    assert max(message.time for track in tracks for message in track) <= LONGEST_DELTA
    # the file is as long as before
    assert sum(m.time for m in tracks[0]) == sum(m.time for m in mido.MidiFile(path).tracks[0])
    found = [(n.start, n.end) for instrument in midi.instruments for n in instrument.notes]
    assert found == [(0, 9), (2 * LONGEST_DELTA + 1009, 2 * LONGEST_DELTA + 1018)]
    assert [note[:2] for note in symusic_notes(tmp_path / "out.mid")] == found


def test_a_note_is_kept_whose_port_changes(tmp_path):
    begin, end = note(0, 9)
    path = save(tmp_path / "in.mid", [begin, mido.MetaMessage("midi_port", port=1), end])
    midi = written(annotate(read_song(path)), tmp_path)
    assert [(n.start, n.end) for i in midi.instruments for n in i.notes] == [(0, 9)]


def test_a_bank_waits_for_the_next_program(tmp_path):
    """Both notes sound in bank 0, though bank 5 is chosen where the program was."""
    program, bank = mido.Message("program_change", program=9), mido.Message("control_change")
    path = save(
        tmp_path / "in.mid", [program, bank.copy(value=5), *note(0, 9), *note(0, 9), program]
    )
    written(annotate(read_song(path), {"melody": [MELODY, ACCOMPANIMENT]}), tmp_path)
    assert play(tmp_path / "out.mid").notes == play(path).notes
