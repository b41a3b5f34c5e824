"""Chords from roots and notes, and their names."""

import numpy as np
import pytest

from m2bert.annotation.chord_names import chord_symbol, harte_label, interval_lines
from m2bert.annotation.chords import QUALITIES, ROOT_ALONE, Chord, decode_chords, semitones
from m2bert.tasks import TASKS

CLASSES = TASKS["chordroot"].classes


def decode(notes, roots):
    """The chords of (onset, end, pitch) rows with a named root each, of probability .9."""
    onset, end, pitch = np.array(notes).T
    probabilities = np.full((len(notes), len(CLASSES)), 0.1 / len(CLASSES))
    probabilities[np.arange(len(notes)), [CLASSES.index(root) for root in roots]] += 0.9
    return decode_chords(onset, end, pitch.astype(int), probabilities, CLASSES)


def block(start, pitches, length=1.0):
    return [(start, start + length, pitch) for pitch in pitches]


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("inversion", range(3))
def test_decode_chords_finds_quality_and_bass(quality, inversion):
    degrees = QUALITIES[quality]
    pitches = [62 + semitones(degree) for degree in degrees]
    pitches[:inversion] = [pitch + 12 for pitch in pitches[:inversion]]
    notes = block(1.0, pitches) + block(2.0, pitches, 2.0)
    (chord,) = decode(notes, ["D"] * len(notes))
    assert chord[:5] == (1.0, 4.0, 2, quality, degrees[inversion])
    assert chord.probability == pytest.approx(0.9, abs=0.01)


def test_decode_chords_merges_a_short_segment_into_its_neighbours():
    notes = [note for beat in range(8) for note in block(beat / 2, (60, 64, 67), 0.5)]
    roots = ["C"] * 12 + ["E"] * 3 + ["C"] * 9
    assert [chord[:5] for chord in decode(notes, roots)] == [(0.0, 4.0, 0, "maj", "1")]


def test_decode_chords_separates_chords_of_one_root():
    notes = block(0, (55, 59, 62, 67), 4) + block(4, (55, 59, 62, 65), 4)
    found = decode(notes, ["G"] * 8)
    assert [(chord.start, chord.quality) for chord in found] == [(0, "maj"), (4, "7")]


@pytest.mark.parametrize(
    ("low", "high", "quality"), [((45, 60), (64, 67, 72), "min7"), ((52, 53), (57, 60, 65), "maj7")]
)
def test_decode_chords_finds_sevenths_of_arpeggios(low, high, quality):
    bass, tenor = low
    notes = [
        note
        for half in (0, 2)
        for note in (
            (half, half + 2, bass),
            (half + 0.25, half + 2, tenor),
            *((half + k / 4, half + k / 4 + 0.25, high[(k - 2) % 3]) for k in range(2, 8)),
        )
    ]
    (chord,) = decode(notes, ["A" if quality == "min7" else "F"] * len(notes))
    assert chord.quality == quality


def test_decode_chords_names_the_root_alone_without_a_third():
    (chord,) = decode(block(0, (48, 55, 60), 4), ["C"] * 3)
    assert (chord.root, chord.quality) == (0, ROOT_ALONE)
    assert harte_label(chord) == "C:1"


def test_decode_chords_ignores_the_pitch_of_grace_notes():
    notes = [(0.0, 0.0, 40), *block(0.0, (60, 64, 67), 2.0)]
    (chord,) = decode(notes, ["C"] * 4)
    assert chord[:5] == (0.0, 2.0, 0, "maj", "1")


def test_decode_chords_takes_a_short_low_note_for_the_bass_of_later_ones():
    waltz = [(0.0, 1.0, 36), *block(1.0, (55, 60, 64), 2.0), *block(2.0, (55, 60, 64), 3.0)]
    (chord,) = decode(waltz, ["C"] * 7)
    assert (chord.quality, chord.bass) == ("maj", "1")


def test_decode_chords_takes_the_lowest_note_for_the_bass_rather_than_a_doubled_root():
    (chord,) = decode(block(0.0, (47, 48, 48, 52, 55), 4.0), ["C"] * 5)
    assert (chord.quality, chord.bass) == ("maj7", "7")


def test_decode_chords_of_no_notes_is_empty():
    nothing = np.empty(0)
    assert decode_chords(nothing, nothing, nothing, np.empty((0, len(CLASSES))), CLASSES) == []


@pytest.mark.parametrize(
    ("root", "quality", "bass", "key", "label", "symbol"),
    [
        (0, "min7", "1", None, "C:min7", "Cm7"),
        (7, "7", "3", "C major", "G:7/3", "G7/B"),
        (10, "maj", "5", "E- major", "Bb:maj/5", "Bb/F"),
        (10, "maj", "b7", "B major", "A#:maj/b7", "A#/G#"),
        (6, "dim7", "bb7", "G major", "F#:dim7/bb7", "F#dim7/Eb"),
        (8, "maj", "1", "C minor", "Ab:maj", "Ab"),
        (1, "maj", "3", "C minor", "Db:maj/3", "Db/F"),
        (8, "maj", "1", "C# minor", "G#:maj", "G#"),
        (11, "hdim7", "b5", "A minor", "B:hdim7/b5", "Bm7b5/F"),
    ],
)
def test_chord_names_are_spelled_by_the_local_key(root, quality, bass, key, label, symbol):
    chord = Chord(0.0, 1.0, root, quality, bass, 1.0)
    assert (harte_label(chord, key), chord_symbol(chord, key)) == (label, symbol)


def test_interval_lines_begin_at_zero_with_no_chord():
    text = interval_lines([0.5, 2.0], [2.0, 3.25], ["C:maj", "G:7/3"])
    assert text == "0.000\t0.500\tN\n0.500\t2.000\tC:maj\n2.000\t3.250\tG:7/3\n"
