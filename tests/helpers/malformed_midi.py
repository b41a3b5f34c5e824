"""Malformed MIDI files, and well-formed ones with the same music."""

from m2bert.notes.midi_repair import (
    BEFORE_HEADER,
    CUT_SHORT,
    EMPTY_TRACKS,
    IMPOSSIBLE,
    MISSING,
    NOT_COUNTED,
    OVER_127,
    SECOND_FILE,
    UNKNOWN_CHUNKS,
    WRONG_LENGTHS,
)
from tests.helpers.midi_files import END, FOUR_FOUR, midi_bytes, off, on

NOTES = b"".join(on(120, pitch) + off(360, pitch) for pitch in range(60, 76))
SONG = FOUR_FOUR + NOTES + END
OTHER = b"".join(on(0, pitch, 1) + off(480, pitch, 1) for pitch in range(48, 52)) + END
PLAIN, BOTH = midi_bytes(SONG), midi_bytes(SONG, OTHER)


def with_event(event):
    return midi_bytes(FOUR_FOUR + b"\0" + event + NOTES + END)


def with_length(data, difference):
    """Change the length field of the last track."""
    at = data.rindex(b"MTrk") + 4
    size = int.from_bytes(data[at : at + 4], "big") + difference
    return data[:at] + size.to_bytes(4, "big") + data[at + 4 :]


# Name: the malformed file, the well-formed file with the same music, and the reported kind.
MALFORMED = {
    "18 flats": (with_event(b"\xff\x59\2\xee\1"), PLAIN, IMPOSSIBLE),
    "a key of no bytes": (with_event(b"\xff\x59\0"), PLAIN, IMPOSSIBLE),
    "a time signature of two bytes": (with_event(b"\xff\x58\2\3\2"), PLAIN, IMPOSSIBLE),
    "a time signature of 0 beats": (with_event(b"\xff\x58\4\0\2\x18\x08"), PLAIN, IMPOSSIBLE),
    "a time signature over 2**34": (with_event(b"\xff\x58\4\4\x22\x18\x08"), PLAIN, IMPOSSIBLE),
    "a tempo of 0": (with_event(b"\xff\x51\3\0\0\0"), PLAIN, IMPOSSIBLE),
    "a time code of 255 hours": (with_event(b"\xff\x54\5\xff\xff\xff\xff\xff"), PLAIN, IMPOSSIBLE),
    "a system message of high bytes": (with_event(b"\xf0\3\x7e\xff\xf7"), PLAIN, IMPOSSIBLE),
    "a note in an escape": (with_event(b"\xf7\3\x90\x3c\x40"), PLAIN, IMPOSSIBLE),
    "an undefined status": (with_event(b"\xf4"), PLAIN, IMPOSSIBLE),
    "a song position": (with_event(b"\xf2\1\2"), PLAIN, IMPOSSIBLE),
    "an unknown meta event": (with_event(b"\xff\x60\2\1\2"), PLAIN, None),
    "a controller at 255": (with_event(b"\xb0\7\xff"), with_event(b"\xb0\7\x7f"), OVER_127),
    "RIFF": (b"RIFF\0\0\0\0RMIDdata\0\0\0\0" + PLAIN + b"\0", PLAIN, BEFORE_HEADER),
    "MacBinary": (b"\0" * 128 + PLAIN, PLAIN, BEFORE_HEADER),
    "an empty track": (midi_bytes(SONG, b"", OTHER), BOTH, EMPTY_TRACKS),
    "a chunk of another kind": (
        midi_bytes(b"\1\2\3", SONG, declared=1).replace(b"MTrk", b"XFIH", 1),
        PLAIN,
        UNKNOWN_CHUNKS,
    ),
    "a track not counted": (midi_bytes(SONG, OTHER, declared=1), BOTH, NOT_COUNTED),
    "tracks missing": (midi_bytes(SONG, OTHER, declared=5), BOTH, MISSING),
    "too long a track": (with_length(BOTH, 6), BOTH, WRONG_LENGTHS),
    "too short a track": (with_length(BOTH, -6), BOTH, WRONG_LENGTHS),
    "a track over the next": (
        BOTH.replace(len(SONG).to_bytes(4, "big"), (len(SONG) + len(OTHER) + 8).to_bytes(4, "big")),
        BOTH,
        WRONG_LENGTHS,
    ),
    "two files in one": (PLAIN + midi_bytes(OTHER), PLAIN, SECOND_FILE),
    "no length of a track": (with_length(PLAIN, -len(SONG)), PLAIN, WRONG_LENGTHS),
    "a text beyond the track": (
        midi_bytes(FOUR_FOUR + NOTES + b"\0\xff\1\x30short", OTHER),
        BOTH,
        CUT_SHORT,
    ),
    "the last event cut": (midi_bytes(FOUR_FOUR + NOTES + b"\0\x90\x3c"), PLAIN, CUT_SHORT),
    "a time without an event": (midi_bytes(FOUR_FOUR + NOTES + b"\0"), PLAIN, CUT_SHORT),
    "no status": (midi_bytes(SONG, b"\0\x3c\x40"), midi_bytes(SONG, END), CUT_SHORT),
    "the file cut": (PLAIN[:-9], midi_bytes(FOUR_FOUR + NOTES[:-5] + END), CUT_SHORT),
    "no end of track": (midi_bytes(FOUR_FOUR + NOTES), PLAIN, None),
    "a long header": (midi_bytes(SONG, more_header=b"\0\0"), PLAIN, None),
    "padding": (midi_bytes(SONG + b"\0" * 8), PLAIN, None),
    "format 3": (midi_bytes(SONG, form=3), PLAIN, None),
    "one sequence of format 2": (midi_bytes(SONG, form=2), PLAIN, None),
    "events after the end": (midi_bytes(FOUR_FOUR + END + NOTES + END), PLAIN, None),
    "running status over a message": (
        midi_bytes(FOUR_FOUR + on(0, 60) + b"\0\xf0\2\x7e\xf7" + b"\x60\x3c\0" + END),
        midi_bytes(FOUR_FOUR + on(0, 60) + b"\0\xf0\2\x7e\xf7" + b"\x60\x90\x3c\0" + END),
        None,
    ),
}
