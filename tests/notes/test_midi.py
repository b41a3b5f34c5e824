"""MIDI files: the original's tokens of real ones, and bad ones."""

import json
import os

import numpy as np
import pytest

from m2bert.notes.reader import read_song
from m2bert.notes.skipped import (
    NO_TIME_SIGNATURE,
    NO_USABLE_NOTES,
    SEVERAL_TIME_SIGNATURES,
    UNREADABLE,
    RejectedSong,
)
from m2bert.notes.tokens import cp_notes_of, tokenise
from tests.helpers.midi_files import END, SCALE, midi_bytes, on, read_cp_notes, write_midi
from tests.helpers.shared import golden_all


def read_any_meter(path):
    return cp_notes_of(read_song(path))


def rejection(path, read=read_cp_notes, detail=""):
    with pytest.raises(RejectedSong) as caught:
        read(path)
    assert detail in caught.value.detail
    return caught.value.reason


@golden_all
@pytest.mark.parametrize(
    ("read", "mode", "folder"),
    [(read_cp_notes, "pretrain", "tokens_pretrain"), (read_any_meter, "any", "tokens_any")],
)
def test_tokens_equal_the_originals(golden, read, mode, folder):
    files = json.loads((golden / "tokens_manifest.json").read_text())
    assert files
    for file in files:
        path, expected = golden / file["midi"], golden / folder / f"{file['name']}.npy"
        match file[mode]["status"]:
            case "ok":
                tokens = read(path)
                np.testing.assert_array_equal(tokens, np.load(expected), file["name"])
            case "rejected":
                if read is read_cp_notes:  # the other way reads malformed files too
                    assert rejection(path), file["name"]
            case "crash":  # the original fails at a single onset at tick 0
                tokens = read(path)
                assert (tokens[:, 1] == 0).all(), file["name"]
                assert len(tokens) == file["raw_notes"], file["name"]


def test_read_song_returns_the_notes_of_the_file(tmp_path):
    notes = read_song(write_midi(tmp_path / "scale.mid", ticks_per_beat=384)).notes
    table = np.stack([notes.start, notes.end, notes.pitch], axis=1)
    np.testing.assert_array_equal(table, SCALE)
    assert table.dtype == np.int64
    assert (notes.velocity == 64).all()
    assert (notes.track == 0).all()
    assert notes.ticks_per_beat == 384
    assert notes.time_signatures == ((4, 4, 0),)


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [
        ((), NO_TIME_SIGNATURE),
        (((3, 4),), "3/4"),
        (((2, 2),), "2/2"),
        (((4, 4), (4, 4)), SEVERAL_TIME_SIGNATURES),
        (((4, 4), (3, 4)), SEVERAL_TIME_SIGNATURES),
    ],
)
def test_read_cp_notes_requires_exactly_one_four_four_signature(tmp_path, signatures, reason):
    path = write_midi(tmp_path / "song.mid", signatures=signatures)
    assert rejection(path) == reason
    assert len(read_any_meter(path)) == len(SCALE)


@pytest.mark.parametrize("notes", [(), ((0, 20, 60), (480, 500, 62))], ids=["none", "too short"])
def test_read_cp_notes_rejects_a_file_without_usable_notes(tmp_path, notes):
    path = write_midi(tmp_path / "silent.mid", notes)
    assert rejection(path) == rejection(path, read_any_meter) == NO_USABLE_NOTES


def test_tokenise_keeps_the_index_of_each_note(tmp_path):
    too_short = (100, 101, 90)
    notes = [SCALE[3], too_short, *SCALE[:3], *SCALE[4:]]
    song = tokenise(read_song(write_midi(tmp_path / "song.mid", notes, ticks_per_beat=240)))
    order = sorted([*SCALE, too_short])  # as `Notes` has them
    assert [order[i] for i in song.file_note] == list(SCALE)
    assert song.onset_beats.tolist() == [start / 240 for start, _, _ in SCALE]
    assert not song.has_other_meter
    assert not song.has_drums


def test_read_song_counts_notes_that_never_end(tmp_path):
    (tmp_path / "a.mid").write_bytes(midi_bytes(on(0, 60) * 16 + END))
    for read in (read_cp_notes, read_any_meter):
        assert rejection(tmp_path / "a.mid", read, "16 begin and none") == NO_USABLE_NOTES


def test_read_song_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.mid")
    assert rejection(tmp_path / "pipe.mid", detail="not a regular file") == UNREADABLE
