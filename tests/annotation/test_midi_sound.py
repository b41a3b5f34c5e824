"""The annotated MIDI file sounds like the song."""

from collections import Counter

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.annotation.midi import LONGEST_DELTA, write_annotation_midi
from m2bert.model.predictions import NOT_READ
from m2bert.notes.legal_midi import is_legal
from m2bert.notes.midi import parse_midi
from m2bert.notes.song import read_song
from tests.helpers.annotation_samples import annotate
from tests.helpers.midi_files import note, save
from tests.helpers.midi_player import play
from tests.helpers.random_midi import orderly_messages, wild_messages

MELODY, BRIDGE, ACCOMPANIMENT = 1, 2, 3


def written(annotation, folder):
    write_annotation_midi(annotation, folder / "out.mid")
    data = (folder / "out.mid").read_bytes()
    assert is_legal(data)
    return parse_midi(data)


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


def sounds(path):
    """Of each note: channel, beginning, pitch, program."""
    return [
        (channel, start, pitch, dict(state).get("program", (0, 0, 0))[2])
        for _, channel, start, _, pitch, _, state, _ in play(path).notes
    ]


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
    assert lost.total() == song.never_ended
    assert metas(folder / "out.mid") == metas(folder / "in.mid")
    read_back = read_song(folder / "out.mid")
    assert read_back.never_ended == 0
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
        assert notes_with_instruments(midi) == notes_with_instruments(song.midi)


def test_a_program_of_another_track_sounds(tmp_path):
    violin = mido.Message("program_change", program=40, channel=3)
    path = save(tmp_path / "in.mid", [violin], [*note(0, 9, 60, 3), *note(0, 9, 62, 3)])
    song = read_song(path)
    midi = written(annotate(song, {"melody": [MELODY, ACCOMPANIMENT]}), tmp_path)
    assert sounds(tmp_path / "out.mid") == [(3, 0, 60, 40), (3, 9, 62, 40)]
    assert [int(instrument.program) for instrument in midi.instruments] == [40, 40]
    assert [track.program for track in song.tracks] == [40]


def test_more_instruments_than_channels_sound_in_turn(tmp_path):
    """Each of 15 channels plays two programs, one after another."""
    melodic = [channel for channel in range(16) if channel != 9]
    tracks = [
        [
            mido.Message("program_change", program=channel, channel=channel),
            *note(0, 9, channel=channel),
            mido.Message("program_change", program=50 + channel, channel=channel),  # at its end
            *note(0, 9, channel=channel),
        ]
        for channel in melodic
    ]
    path = save(tmp_path / "in.mid", *tracks)
    for said in ({}, {"melody": [ACCOMPANIMENT, MELODY] * 15}):
        midi = written(annotate(read_song(path), said), tmp_path)
        expected = [
            sound
            for channel in melodic
            for sound in ((channel, 0, 60, channel), (channel, 9, 60, 50 + channel))
        ]
        assert sorted(sounds(tmp_path / "out.mid")) == expected
        assert len(midi.instruments) == 30


def test_a_pedal_holds_over_a_change_of_program(tmp_path):
    pedals = [mido.Message("control_change", control=64, value=value) for value in (127, 0)]
    path = save(
        tmp_path / "in.mid",
        [
            *note(0, 100),
            pedals[0],  # where the note has ended, which is not held
            *note(140, 160, 62),
            mido.Message("program_change", program=40, time=20),
            *note(20, 40, 64),
            pedals[1].copy(time=5),
            *note(20, 40, 65),
        ],
    )
    # the first note is written in a track behind those of the others
    said = {"melody": [ACCOMPANIMENT, MELODY, BRIDGE, MELODY]}
    write_annotation_midi(annotate(read_song(path), said), tmp_path / "out.mid")
    notes = sorted(play(tmp_path / "out.mid").notes, key=lambda note: note[2])
    assert [held[0] for *_, held in notes] == [0, 127, 127, 0]
    assert play(tmp_path / "out.mid").states == play(path).states


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


def test_a_bank_waits_for_the_next_program(tmp_path):
    """Both notes sound in bank 0, though bank 5 is chosen where the program was."""
    program, bank = mido.Message("program_change", program=9), mido.Message("control_change")
    path = save(
        tmp_path / "in.mid", [program, bank.copy(value=5), *note(0, 9), *note(0, 9), program]
    )
    said = {"melody": [MELODY, ACCOMPANIMENT]}
    write_annotation_midi(annotate(read_song(path), said), tmp_path / "out.mid")
    assert play(tmp_path / "out.mid").notes == play(path).notes


def test_a_note_is_kept_whose_port_changes(tmp_path):
    begin, end = note(0, 9)
    path = save(tmp_path / "in.mid", [begin, mido.MetaMessage("midi_port", port=1), end])
    midi = written(annotate(read_song(path)), tmp_path)
    assert [(n.start, n.end) for i in midi.instruments for n in i.notes] == [(0, 9)]
