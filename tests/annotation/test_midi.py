"""The MIDI files of an annotation: one with markers, one with the voices."""

from io import BytesIO

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from miditoolkit import MidiFile

from m2bert.annotation.midi import MARKER_TRACK, write_marked_midi, write_voices_midi
from m2bert.model.predictions import NOT_READ
from m2bert.notes.midi_repair import LONGEST_DELTA, is_legal, legal_midi, track_chunks
from m2bert.notes.reader import read_song
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import WALTZ_ROOTS, annotate, write_waltz
from tests.helpers.midi_files import END, midi_bytes, note, off, on, save
from tests.helpers.random_midi import random_messages
from tests.helpers.scores import WALTZ

MELODY, BRIDGE, ACCOMPANIMENT = 1, 2, 3


def written(write, annotation, folder, **options):
    """The bytes of the file, and what miditoolkit reads of it."""
    write(annotation, folder / "out.mid", **options)
    data = (folder / "out.mid").read_bytes()
    assert is_legal(data)
    return data, MidiFile(file=BytesIO(data))


def markers(midi):
    return sorted((marker.time, marker.text) for marker in midi.markers)


def test_markers_are_at_keys_and_chords_and_optionally_at_beats(tmp_path):
    song = mido.MidiFile(write_waltz(tmp_path / "waltz.mid"))
    path = save(
        tmp_path / "in.mid", [mido.MetaMessage("marker", text="Verse", time=7)], *song.tracks
    )
    key = TASKS["localkey"].classes.index
    keys = [0] * 7 + [key("C minor")] * 7 + [key("A- major")] * 7  # class 0 is padding: not a key
    annotation = annotate(read_song(path), {"chordroot": WALTZ_ROOTS, "localkey": keys})
    data, midi = written(write_marked_midi, annotation, tmp_path)
    assert track_chunks(data)[:-1] == track_chunks(path.read_bytes())
    assert mido.MidiFile(tmp_path / "out.mid").tracks[-1].name == MARKER_TRACK
    chords = [(0, "chord Cm"), (1440, "chord G7/B"), (2880, "chord Cm")]
    spans = [*chords, (1440, "key C minor"), (2880, "key Ab major")]
    assert markers(midi) == sorted([*spans, (7, "Verse")])
    beats = [(480 * beat, "beat") for beat in range(9)]
    beats += [(1440 * bar, "downbeat") for bar in range(3)]
    _, midi = written(write_marked_midi, annotation, tmp_path, beats=True)
    assert markers(midi) == sorted([*spans, *beats, (7, "Verse")])


@pytest.mark.parametrize(
    "data",
    [
        midi_bytes(on(0, 60) + off(9, 60) + END, form=0),
        midi_bytes(on(0, 60) + b"\x09\x3c\0" + END, on(0, 62) + off(9, 62) + END),  # running status
        midi_bytes(b"\0\xf0\3\1\2\xf7\0\xff\x7f\1\5" + on(0, 60) + off(9, 60) + END, form=0),
        midi_bytes(on(0, 60) + off(9, 60) + END, END, declared=1),  # malformed
    ],
)
def test_the_tracks_of_the_file_stay_byte_by_byte(data, tmp_path):
    (tmp_path / "in.mid").write_bytes(data)
    found, _ = written(write_marked_midi, annotate(read_song(tmp_path / "in.mid")), tmp_path)
    own = track_chunks(legal_midi(data).data)
    assert found[:10] == b"MThd\0\0\0\6\0\1"
    assert track_chunks(found)[:-1] == own
    assert len(track_chunks(found)) == len(own) + 1


def test_long_silences_are_bridged(tmp_path):
    gap = mido.MetaMessage("text", text="still here", time=LONGEST_DELTA)
    path = save(tmp_path / "in.mid", [*note(0, 9), gap, gap, *note(1000, 1009)])
    late = 2 * LONGEST_DELTA + 1009
    annotation = annotate(read_song(path), {"localkey": [24, 9], "melody": [MELODY, MELODY]})
    _, midi = written(write_marked_midi, annotation, tmp_path)
    assert markers(midi) == [(0, "key F# minor"), (late, "key E major")]
    _, midi = written(write_voices_midi, annotation, tmp_path)
    assert [(n.start, n.end) for n in midi.instruments[0].notes] == [(0, 9), (late, late + 9)]


def test_voices_are_plain_tracks(tmp_path):
    violin = mido.Message("program_change", program=40, channel=3)
    path = save(
        tmp_path / "in.mid",
        [mido.MetaMessage("set_tempo", tempo=333_333), *note(0, 9), *note(0, 9, 62), *note(0, 9)],
        [violin, *note(0, 9, 70, 3, velocity=5), *note(0, 9, 72, 3), *note(0, 0, 74, 3)],
        [*note(0, 9, 36, 9), *note(0, 9, 38, 9)],
    )
    labels = [MELODY, ACCOMPANIMENT, NOT_READ, BRIDGE, MELODY, MELODY, NOT_READ, NOT_READ]
    annotation = annotate(read_song(path), {"melody": labels})
    _, midi = written(write_voices_midi, annotation, tmp_path)
    found = [
        (part.name, int(part.program), [(n.start, n.end, n.pitch) for n in part.notes])
        for part in midi.instruments
    ]
    assert found == [
        ("melody", 40, [(0, 9, 60), (9, 18, 72), (18, 78, 74)]),  # mostly by the violin
        ("second voice (bridge)", 40, [(0, 9, 70)]),
        ("accompaniment", 0, [(9, 18, 62)]),
    ]
    assert midi.instruments[1].notes[0].velocity == 5
    assert round(midi.tempo_changes[0].tempo) == 180


def test_a_score_is_written_from_its_notes(tmp_path):
    (tmp_path / "waltz.xml").write_bytes(WALTZ)
    song = read_song(tmp_path / "waltz.xml")
    annotation = annotate(song, {"chordroot": [1] * 5 + [2] * 5})
    _, midi = written(write_marked_midi, annotation, tmp_path)
    assert [part.name for part in midi.instruments] == ["Voice", "Piano"]
    assert len(midi.markers) > 1
    back = read_song(tmp_path / "out.mid").notes
    np.testing.assert_array_equal(back.start, song.notes.start)
    lengths, expected = back.end - back.start, song.notes.end - song.notes.start
    np.testing.assert_array_equal(lengths, np.where(expected > 0, expected, 60))  # a grace note
    # the pickup and the silence before it are a bar of 4/4
    assert back.time_signatures == ((4, 4, 0), (3, 4, 1920))
    assert [round(change.tempo) for change in midi.tempo_changes] == [90]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), tracks=st.integers(1, 3))
def test_every_note_is_in_the_voice_of_its_label(tmp_path_factory, seed, tracks):
    folder, random = tmp_path_factory.mktemp("random"), np.random.default_rng(seed)
    drawn = [random_messages(random, 60) for _ in range(tracks)]
    song = read_song(save(folder / "in.mid", note(1, 5), *drawn))
    label = np.where(song.is_drum, NOT_READ, random.integers(MELODY, 4, len(song)))
    _, midi = written(write_voices_midi, annotate(song, {"melody": label}), folder)
    notes, end = song.notes, np.maximum(song.notes.end, song.notes.start)
    end = np.where(end > notes.start, end, notes.start + 60)
    parts = iter(midi.instruments)
    for voice in np.unique(label[label != NOT_READ]):
        own, found = label == voice, next(parts).notes
        # which of several overlapping notes of one pitch ends first is not kept
        for times, key in ((notes.start, "start"), (end, "end")):
            expected = zip(times[own].tolist(), notes.pitch[own].tolist(), strict=True)
            assert sorted((getattr(n, key), n.pitch) for n in found) == sorted(expected)
