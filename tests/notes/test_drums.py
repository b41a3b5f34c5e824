"""Drums that are not on channel 10, and notes on channel 10 that are not drums."""

import mido
import pytest

from m2bert.notes.events import note_events, played_events
from m2bert.notes.midi_reader import READERS
from m2bert.notes.reader import read_song
from tests.helpers.midi_files import note, save

PIANO = [mido.MetaMessage("track_name", name="Piano"), *note(0, 480), *note(0, 480, 64)]


def control(channel, number, value):
    return mido.Message("control_change", channel=channel, control=number, value=value)


def bank(channel, value):
    return [control(channel, 0, value), mido.Message("program_change", channel=channel)]


def part_mode(data):
    return [mido.Message("sysex", data=data)]


def gs_rhythm(part, use):
    return part_mode((0x41, 0x10, 0x42, 0x12, 0x40, 0x10 | part, 0x15, use, 0))


def zone(master, members):
    """An MPE zone: registered parameter 6."""
    return [control(master, 101, 0), control(master, 100, 6), control(master, 6, members)]


def name(text):
    return [mido.MetaMessage("track_name", name=text.encode().decode("latin-1"))]


def spread(channels, bends=True):
    """A melody that takes another channel for each note."""
    messages = []
    for pitch in range(30):
        channel = channels[pitch % len(channels)]
        messages += [mido.Message("pitchwheel", channel=channel)] if bends else []
        messages += note(40, 240, 50 + pitch, channel)
    return messages


def drums_of(path):
    """Which instruments are drums, by every reader."""
    found = [[track.is_drum for track in read_song(path, reader).tracks] for reader in READERS]
    assert all(drums == found[0] for drums in found)
    return found[0]


def drums(path, head, channel):
    """Whether notes of a track with some messages before them are drums, in a file with a piano."""
    return drums_of(save(path, PIANO, [*head, *note(0, 60, 36, channel)]))[-1]


@pytest.mark.parametrize(
    ("head", "channel", "expected"),
    [
        ([], 9, True),
        ([], 2, False),
        (bank(2, 127), 2, True),  # XG
        (bank(2, 126), 2, True),
        (bank(3, 127), 2, False),  # of another channel
        (bank(2, 64), 2, False),
        (bank(9, 0), 9, True),
        ([*gs_rhythm(1, 0), *bank(2, 127)], 2, False),  # to a GS device an older melodic sound
        (bank(10, 120), 10, True),  # GM2
        (bank(9, 121), 9, False),
        ([*bank(10, 120), *bank(10, 121)], 10, False),
        (gs_rhythm(0, 0), 9, False),
        (gs_rhythm(3, 1), 2, True),
        (gs_rhythm(3, 2), 2, True),
        (gs_rhythm(10, 1), 10, True),
        (gs_rhythm(3, 1), 3, False),
        ([*gs_rhythm(3, 1), *bank(2, 0)], 2, True),
        (part_mode((0x43, 0x10, 0x4C, 8, 2, 7, 2)), 2, True),  # XG
        (part_mode((0x43, 0x10, 0x4C, 8, 9, 7, 0)), 9, False),
        (part_mode((0x41, 0x10, 0x42)), 9, True),  # cut short
        (zone(0, 15), 9, False),
        (zone(0, 8), 9, True),
        (zone(15, 6), 9, False),
        (zone(15, 5), 9, True),
        ([*zone(0, 15), *zone(0, 0)], 9, True),
        (name("Drum Kit"), 0, True),
        (name("DRUMS_2"), 0, True),
        (name("perc."), 0, True),
        (name("Batería"), 0, True),
        (name("Schlagzeug 1"), 0, True),
        (name("ドラムス"), 0, True),
        (name("Ударные"), 0, True),
        (name("Steel Drums"), 0, False),
        (name("Percy"), 0, False),
        (name("Kit"), 0, True),
        (name("hi-hat"), 0, True),
        (name("batterie"), 0, True),
        (name("드럼"), 0, True),
        (name("Kitchen"), 0, False),
        (name("Drummond"), 0, False),
        ([*name("Percussion"), mido.Message("program_change", program=13)], 0, False),  # xylophone
        ([*name("Percussion"), mido.Message("program_change", program=118)], 0, True),
    ],
)
def test_drums_are_those_that_the_file_declares(head, channel, expected, tmp_path):
    assert drums(tmp_path / "song.mid", head, channel) == expected


def test_drums_may_be_declared_in_another_track(tmp_path):
    path = save(tmp_path / "a.mid", bank(2, 127), note(0, 60, 36, 2), note(0, 60, 60, 3))
    assert drums_of(path) == [True, False]
    path = save(tmp_path / "b.mid", gs_rhythm(5, 1), note(0, 60, 36, 4), note(0, 60, 60, 5))
    assert drums_of(path) == [True, False]


def test_drums_are_declared_by_a_bank_in_running_status(tmp_path):
    path = save(
        tmp_path / "song.mid", PIANO, [control(2, 7, 99), *bank(2, 127), *note(0, 9, 36, 2)]
    )
    data = path.read_bytes()
    assert b"\xb2\x07\x63\x00\x00\x7f" in data  # mido writes it
    assert drums_of(path) == [False, True]


def test_drums_are_not_declared_by_a_title(tmp_path):
    assert drums_of(save(tmp_path / "a.mid", [*name("Drum Song"), *note(0, 480)])) == [False]
    song = [*name("Drum Song"), *note(0, 480), *note(0, 480, 50, 1), *note(0, 60, 36, 9)]
    assert drums_of(save(tmp_path / "b.mid", song)) == [False, False, True]


@pytest.mark.parametrize(
    ("messages", "is_drum"),
    [
        (spread(range(1, 16)), False),
        (spread((8, 9, 10)), False),
        (spread((8, 9)), True),
        (spread(range(1, 16), bends=False), True),
        ([*spread(range(1, 16)), *note(0, 9, 36, 9), *note(0, 9, 36, 9)], False),
        ([mido.Message("note_on", note=99, channel=9), *spread(range(1, 16))], False),
        ([mido.Message("program_change", program=30, channel=3), *spread(range(1, 16))], True),
    ],
)
def test_notes_spread_over_channels_with_bends_are_not_drums(messages, is_drum, tmp_path):
    path = save(tmp_path / "song.mid", messages)
    tracks, events = read_song(path), played_events(mido.MidiFile(path))
    on_ten = [
        tracks.is_drum[note]
        for note, place in enumerate(note_events(events).begin.tolist())
        if events[place].message.channel == 9
    ]
    assert set(on_ten) == {is_drum}
    assert any(drums_of(path)) == is_drum


def test_simultaneous_notes_on_channel_10_are_drums(tmp_path):
    both = [mido.Message("note_on", note=pitch, channel=9) for pitch in (36, 42)]
    ends = [mido.Message("note_off", note=pitch, channel=9, time=9) for pitch in (36, 42)]
    assert any(drums_of(save(tmp_path / "song.mid", [*spread(range(1, 16)), *both, *ends])))
