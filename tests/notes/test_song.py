"""The tracks, times and notes of a MIDI file."""

import mido
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.notes.events import note_events, played_events
from m2bert.notes.midi_reader import read_with_miditoolkit
from m2bert.notes.reader import read_song
from tests.helpers.midi_files import note, save, write_midi
from tests.helpers.random_midi import random_messages


def test_song_seconds_follow_the_tempos_of_all_tracks(tmp_path):
    """120 beats a minute, 240 from beat 10 on; another track repeats the 120 of the beginning."""
    first, second = (mido.MetaMessage("set_tempo", tempo=tempo) for tempo in (500_000, 250_000))
    song = read_song(
        save(tmp_path / "song.mid", [first, second.copy(time=4800)], [first, *note(0, 9600)])
    )
    assert song.seconds(np.array([4800, 9600, 0])).tolist() == [5, 7.5, 0]
    song = read_song(write_midi(tmp_path / "song.mid", tempos=()))  # which has 120
    assert (song.tempos, song.seconds(480), song.beats(480)) == ((), 0.5, 1)


def test_song_tracks_have_names_and_programs(tmp_path):
    name = mido.MetaMessage("track_name", name="Flöte ".encode().decode("latin-1"))
    flute = mido.Message("program_change", program=73)
    path = save(tmp_path / "song.mid", [name, flute, *note(9, 18)], note(9, 18, 36, 9))
    song = read_song(path)
    found = [(track.name, track.program, track.is_drum) for track in song.tracks]
    assert found == [("Flöte", 73, False), ("", 0, True)]
    assert song.is_drum.tolist() == [False, True]
    assert (len(song), song.omitted) == (2, {})


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), tracks=st.integers(1, 3))
def test_note_events_equal_those_of_miditoolkit(tmp_path_factory, seed, tracks):
    """The notes, their order and their instruments are those that miditoolkit finds."""
    random = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("random") / "song.mid"
    song = read_song(save(path, note(1, 5), *(random_messages(random, 60) for _ in range(tracks))))
    by_miditoolkit = read_with_miditoolkit(path, path.read_bytes())
    for name in ("start", "end", "pitch", "velocity", "track"):
        expected = getattr(by_miditoolkit.notes, name)
        np.testing.assert_array_equal(getattr(song.notes, name), expected, name)
    events = played_events(mido.MidiFile(path))
    begins, ends, *_ = note_events(events)
    found = [(events[b], events[e]) for b, e in zip(begins, ends, strict=True)]
    assert [begin.tick for begin, _ in found] == song.notes.start.tolist()
    assert [end.tick for _, end in found] == song.notes.end.tolist()
    assert [begin.message.note for begin, _ in found] == song.notes.pitch.tolist()
    assert [begin.message.velocity for begin, _ in found] == song.notes.velocity.tolist()
    assert all(begin.track == end.track for begin, end in found)
    assert len({*begins.tolist(), *ends.tolist()}) == 2 * len(song)


def test_song_programs_may_be_set_in_another_track(tmp_path):
    violin, flute = (mido.Message("program_change", program=number) for number in (40, 73))
    other = mido.MetaMessage("midi_port", port=1)
    # the violin is replaced at the beginning of the second note, which is the third track's
    path = save(
        tmp_path / "song.mid",
        [violin, flute.copy(time=480)],
        note(0, 480),
        note(480, 960),
        [other, *note(480, 960)],
    )
    assert [track.program for track in read_song(path).tracks] == [40, 73, 0]
