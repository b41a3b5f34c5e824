"""Odd MIDI files: their music is found whole, or they are refused with a reason."""

import os
from io import BytesIO

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.notes.legal_midi import (
    BEFORE_HEADER,
    CUT_SHORT,
    EMPTY_TRACKS,
    IMPOSSIBLE,
    LAST_TICK,
    MISSING,
    NOT_COUNTED,
    OVER_127,
    SECOND_FILE,
    UNKNOWN_CHUNKS,
    WRONG_LENGTHS,
    is_legal,
    legal_midi,
)
from m2bert.notes.midi import notes_of, parse_midi
from m2bert.notes.midi_files import midi_files_below
from m2bert.notes.midi_readers import READERS, read_midi
from m2bert.notes.skipped import RejectedMidi
from tests.helpers.midi_files import END, FOUR_FOUR, midi_bytes, off, on, time_bytes, write_midi

NOTES = b"".join(on(120, pitch) + off(360, pitch) for pitch in range(60, 76))
SONG = FOUR_FOUR + NOTES + END
OTHER = b"".join(on(0, pitch, 1) + off(480, pitch, 1) for pitch in range(48, 52)) + END
PLAIN, BOTH = midi_bytes(SONG), midi_bytes(SONG, OTHER)
FAR = 2**28 - 1


def with_event(event):
    return midi_bytes(FOUR_FOUR + b"\0" + event + NOTES + END)


def with_length(data, difference):
    """The last track's length is said to be so many bytes more."""
    at = data.rindex(b"MTrk") + 4
    size = int.from_bytes(data[at : at + 4], "big") + difference
    return data[:at] + size.to_bytes(4, "big") + data[at + 4 :]


# What is odd, the legal file with the same music, and how the oddity is called.
ODD = {
    "18 flats": (with_event(b"\xff\x59\2\xee\1"), PLAIN, IMPOSSIBLE),
    "a key of no bytes": (with_event(b"\xff\x59\0"), PLAIN, IMPOSSIBLE),
    "a metre of two bytes": (with_event(b"\xff\x58\2\3\2"), PLAIN, IMPOSSIBLE),
    "a metre of 0 beats": (with_event(b"\xff\x58\4\0\2\x18\x08"), PLAIN, IMPOSSIBLE),
    "a metre over 2**34": (with_event(b"\xff\x58\4\4\x22\x18\x08"), PLAIN, IMPOSSIBLE),
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
        midi_bytes(b"\1\2\3", SONG, said=1).replace(b"MTrk", b"XFIH", 1),
        PLAIN,
        UNKNOWN_CHUNKS,
    ),
    "a track not counted": (midi_bytes(SONG, OTHER, said=1), BOTH, NOT_COUNTED),
    "tracks missing": (midi_bytes(SONG, OTHER, said=5), BOTH, MISSING),
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
    "no status": (midi_bytes(SONG, b"\0\x3c\x40"), midi_bytes(SONG, END), CUT_SHORT),
    "the file cut": (PLAIN[:-9], midi_bytes(FOUR_FOUR + NOTES[:-5] + END), CUT_SHORT),
    "no end of track": (midi_bytes(FOUR_FOUR + NOTES), PLAIN, None),
    "a long header": (midi_bytes(SONG, more_header=b"\0\0"), PLAIN, None),
    "padding": (midi_bytes(SONG + b"\0" * 8), PLAIN, None),
    "format 3": (midi_bytes(SONG, form=3), PLAIN, None),
    "one sequence of format 2": (midi_bytes(SONG, form=2), PLAIN, None),
    "events behind the end": (midi_bytes(FOUR_FOUR + END + NOTES + END), PLAIN, None),
    "running status over a message": (
        midi_bytes(FOUR_FOUR + on(0, 60) + b"\0\xf0\2\x7e\xf7" + b"\x60\x3c\0" + END),
        midi_bytes(FOUR_FOUR + on(0, 60) + b"\0\xf0\2\x7e\xf7" + b"\x60\x90\x3c\0" + END),
        None,
    ),
}


def table(data):
    notes = notes_of(parse_midi(data))
    columns = (notes.start, notes.end, notes.pitch, notes.velocity, notes.track)
    return np.stack(columns, 1).tolist()


@pytest.mark.parametrize(("odd", "legal", "oddity"), ODD.values(), ids=ODD)
def test_the_music_of_an_odd_file_is_found(odd, legal, oddity):
    assert not is_legal(odd)
    made = legal_midi(odd)
    assert is_legal(made.data)
    assert list(made.oddities) == [oddity] * (oddity is not None)
    assert table(made.data) == table(legal)
    assert mido.MidiFile(file=BytesIO(made.data)).ticks_per_beat == 480


@pytest.mark.parametrize("legal", [PLAIN, BOTH, midi_bytes(SONG, form=0), midi_bytes(END, SONG)])
def test_a_legal_file_stays_as_it_is(legal):
    made = legal_midi(legal)
    assert made.data is legal
    assert made.oddities == {}


REFUSED = {
    b"": "it is empty",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "Git LFS pointer",
    b"\xef\xbb\xbf<!DOCTYPE html><p>404": "a web page",
    b"some text": "no MIDI file",
    PLAIN[:13]: "no MIDI file",
    midi_bytes(): "no tracks",
    midi_bytes(b""): "no tracks",
    midi_bytes(SONG, division=0): "0 ticks",
    midi_bytes(SONG, division=0xE728): "frames",
    midi_bytes(b"\x80" * 4 + NOTES + END): "more than four bytes",
    midi_bytes(FOUR_FOUR + b"\xff" * 11 + NOTES + END): "more than four bytes",
    midi_bytes(b"".join(time_bytes(FAR) + b"\xf6" for _ in range(9)) + END): "lasts longer",
    midi_bytes(SONG, SONG, form=2): "2 sequences",
}


@pytest.mark.parametrize(("data", "words"), REFUSED.items(), ids=REFUSED.values())
@pytest.mark.parametrize("reader", READERS)
def test_what_is_refused_is_told_why(tmp_path, data, words, reader):
    (tmp_path / "a.mid").write_bytes(data)
    for as_published in (False, True):
        with pytest.raises(RejectedMidi, match=words):
            read_midi(tmp_path / "a.mid", reader, as_published)


def test_legal_files_that_last_too_long_are_refused(tmp_path):
    for gaps, length in ((7, 7 * FAR), (9, None)):
        gap = b"".join(time_bytes(FAR) + b"\xff\1\0" for _ in range(gaps))
        (tmp_path / "a.mid").write_bytes(midi_bytes(FOUR_FOUR + gap + on(0, 60) + off(1, 60) + END))
        for reader in READERS:
            if length:
                assert read_midi(tmp_path / "a.mid", reader).start.tolist() == [length]
            else:
                with pytest.raises(RejectedMidi, match=f"longer than {LAST_TICK:,} ticks"):
                    read_midi(tmp_path / "a.mid", reader)


def test_published_corpora_are_read_as_they_are(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(midi_bytes(SONG, OTHER, said=1))
    published, legal = read_midi(path, as_published=True), read_midi(path)
    assert (len(published.start), len(legal.start)) == (16, 20)
    assert list(published.oddities) == list(legal.oddities) == [NOT_COUNTED]
    path.write_bytes(with_event(b"\xb0\7\xff"))
    with pytest.raises(RejectedMidi, match="values over 127"):
        read_midi(path, as_published=True)


EVENTS = st.one_of(
    st.builds(on, st.integers(0, 300), st.integers(0, 127), st.integers(0, 2)),
    st.builds(off, st.integers(0, 300), st.integers(0, 127), st.integers(0, 2)),
    st.binary(max_size=4),
    st.builds(
        lambda kind, data: b"\5\xff" + bytes([kind, len(data)]) + data,
        st.integers(0, 255),
        st.binary(max_size=6),
    ),
    st.builds(
        lambda status, data: b"\5" + bytes([status, len(data)]) + data,
        st.sampled_from([0xF0, 0xF7]),
        st.binary(max_size=6),
    ),
    st.sampled_from([END, FOUR_FOUR, b"MTrk", b"\0\xc0\x05", b"\0\xf8"]),
)


@given(
    tracks=st.lists(st.lists(EVENTS, max_size=25).map(b"".join), min_size=1, max_size=3),
    form=st.integers(0, 3),
    said=st.integers(0, 4),
    lengths=st.lists(st.integers(-9, 9) | st.just(0), min_size=3, max_size=3),
)
def test_any_events_are_read_alike_by_every_reader_or_refused(tracks, form, said, lengths):
    chunks = b"".join(
        b"MTrk" + max(0, len(track) + wrong).to_bytes(4, "big") + track
        for track, wrong in zip(tracks, lengths, strict=False)
    )
    try:
        made = legal_midi(midi_bytes(form=form, said=said) + chunks)
    except RejectedMidi:
        return
    assert is_legal(made.data)
    expected, found = (read(made.data) for read in READERS.values())
    for name in ("start", "end", "pitch", "velocity", "track"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(found, name))
    assert expected.time_signatures == found.time_signatures
    assert len(mido.MidiFile(file=BytesIO(made.data)).tracks) >= 1


def test_linked_folders_are_followed_once_and_unreadable_ones_listed(tmp_path, monkeypatch):
    write_midi(tmp_path / "music" / "b" / "one.mid")
    write_midi(tmp_path / "elsewhere" / "two.MIDI")
    (tmp_path / "music" / "b" / "back").symlink_to(tmp_path / "music")
    (tmp_path / "music" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "music" / "locked").mkdir()

    scandir = os.scandir

    def deny(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    found = midi_files_below(tmp_path / "music")
    assert found == ["b/one.mid", "link/two.MIDI", "locked"]
    with pytest.raises(RejectedMidi, match="a folder that cannot be listed"):
        read_midi(tmp_path / "music" / "locked")
