"""Malformed MIDI files: all their music is read, or they are rejected with a reason."""

from functools import partial
from io import BytesIO
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.notes.midi_reader import READERS, read_with_miditoolkit
from m2bert.notes.midi_repair import LAST_TICK, LONGEST_DELTA, NOT_COUNTED, is_legal, legal_midi
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import SEVERAL_PIECES, RejectedSong
from tests.helpers.malformed_midi import BOTH, MALFORMED, NOTES, OTHER, PLAIN, SONG, with_event
from tests.helpers.midi_files import END, FOUR_FOUR, midi_bytes, off, on, time_bytes
from tests.helpers.readings import values_or_reason


def table(data):
    notes = read_with_miditoolkit(Path("a.mid"), data).notes
    columns = (notes.start, notes.end, notes.pitch, notes.velocity, notes.track)
    return np.stack(columns, 1).tolist()


@pytest.mark.parametrize(("malformed", "legal", "kind"), MALFORMED.values(), ids=MALFORMED)
def test_legal_midi_keeps_the_music_of_a_malformed_file(malformed, legal, kind):
    assert not is_legal(malformed)
    made = legal_midi(malformed)
    assert is_legal(made.data)
    assert list(made.defects) == [kind] * (kind is not None)
    assert table(made.data) == table(legal)
    assert mido.MidiFile(file=BytesIO(made.data)).ticks_per_beat == 480


@pytest.mark.parametrize("legal", [PLAIN, BOTH, midi_bytes(SONG, form=0), midi_bytes(END, SONG)])
def test_legal_midi_returns_a_legal_file(legal):
    made = legal_midi(legal)
    assert made.data is legal
    assert made.defects == {}


REJECTED = {
    b"": "it is empty",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "Git LFS pointer",
    b"\xef\xbb\xbf<!DOCTYPE html><p>404": "a web page",
    b"some text": "neither a MIDI file nor a score",
    PLAIN[:13]: "neither a MIDI file nor a score",
    midi_bytes(): "no tracks",
    midi_bytes(b""): "no tracks",
    midi_bytes(SONG, division=0): "0 ticks",
    midi_bytes(SONG, division=0xE728): "frames",
    midi_bytes(b"\x80" * 4 + NOTES + END): "more than four bytes",
    midi_bytes(FOUR_FOUR + b"\xff" * 11 + NOTES + END): "more than four bytes",
    midi_bytes((time_bytes(LONGEST_DELTA) + b"\xf6") * 9 + END): "lasts longer",
    midi_bytes(SONG, SONG, form=2): f"{SEVERAL_PIECES}.*2 sequences",
}


@pytest.mark.parametrize(("data", "words"), REJECTED.items(), ids=REJECTED.values())
@pytest.mark.parametrize("reader", READERS)
def test_read_song_rejects_a_file_with_the_reason(tmp_path, data, words, reader):
    (tmp_path / "a.mid").write_bytes(data)
    for as_published in (False, True):
        with pytest.raises(RejectedSong, match=words):
            read_song(tmp_path / "a.mid", reader, as_published)


@pytest.mark.parametrize("reader", READERS)
def test_read_song_rejects_files_that_last_too_long(tmp_path, reader):
    path, gap = tmp_path / "a.mid", time_bytes(LONGEST_DELTA) + b"\xff\1\0"
    path.write_bytes(midi_bytes(FOUR_FOUR + gap * 7 + on(0, 60) + off(1, 60) + END))
    assert read_song(path, reader).notes.start.tolist() == [7 * LONGEST_DELTA]
    path.write_bytes(midi_bytes(FOUR_FOUR + gap * 9 + on(0, 60) + off(1, 60) + END))
    with pytest.raises(RejectedSong, match=f"longer than {LAST_TICK:,} ticks"):
        read_song(path, reader)


def test_read_song_as_published_repairs_nothing(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(midi_bytes(SONG, OTHER, declared=1))
    published, legal = read_song(path, as_published=True), read_song(path)
    assert (len(published), len(legal)) == (16, 20)
    assert list(published.defects) == list(legal.defects) == [NOT_COUNTED]
    path.write_bytes(with_event(b"\xb0\7\xff"))
    with pytest.raises(RejectedSong, match="values over 127"):
        read_song(path, as_published=True)


TIMES = st.sampled_from([0, 5, 300, 0x2000, LONGEST_DELTA])
PITCHES, CHANNELS = st.integers(60, 62), st.integers(0, 2)
EVENTS = st.one_of(
    st.builds(on, TIMES, PITCHES, CHANNELS),
    st.builds(off, TIMES, PITCHES, CHANNELS),
    st.builds(lambda *note: on(0, *note) + off(5, *note), st.integers(0, 127), CHANNELS),
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
    declared=st.integers(0, 4),
    lengths=st.lists(st.integers(-9, 9) | st.just(0), min_size=3, max_size=3),
)
def test_readers_agree_on_any_events(tracks, form, declared, lengths):
    chunks = b"".join(
        b"MTrk" + max(0, len(track) + wrong).to_bytes(4, "big") + track
        for track, wrong in zip(tracks, lengths, strict=False)
    )
    try:
        made = legal_midi(midi_bytes(form=form, declared=declared) + chunks)
    except RejectedSong:
        return
    assert is_legal(made.data)
    expected, *found = (
        values_or_reason(partial(read, Path("a.mid"), made.data))
        for read in (read_with_miditoolkit, *READERS.values())
    )
    assert all(each == expected for each in found)
    assert len(mido.MidiFile(file=BytesIO(made.data)).tracks) >= 1
