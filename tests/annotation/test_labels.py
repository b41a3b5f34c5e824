"""Spans of one key, decoded over the whole piece."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.annotation.decoding import most_probable_sequence
from m2bert.annotation.keys import most_probable_keys
from m2bert.annotation.labels import shown_labels, spans
from m2bert.annotation.page import page_data
from m2bert.annotation.picture import figure_of
from m2bert.annotation.summary import certainty, fractions, summary
from m2bert.annotation.tables import note_records
from m2bert.model.predictions import NOT_READ
from m2bert.notes.reader import read_song
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import WALTZ_ROOTS, annotate, write_waltz
from tests.helpers.midi_files import write_midi


def cost_of(sequence, probabilities, change: float) -> float:
    """The cost of a sequence of classes, step by step."""
    cost = 0.0
    for step, label in enumerate(sequence):
        cost -= np.log(probabilities[step][label])
        cost += change if step and label != sequence[step - 1] else 0
    return cost


@given(st.integers(1, 6), st.integers(1, 3), st.floats(0, 5), st.integers(0, 9999))
def test_most_probable_sequence_is_that_of_an_exhaustive_search(steps, classes, change, seed):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(classes), steps) + 1e-6
    found = most_probable_sequence(probabilities, change)
    best = min(
        cost_of(other, probabilities, change) for other in product(range(classes), repeat=steps)
    )
    assert np.isclose(cost_of(found, probabilities, change), best)


def test_keys_ignore_the_label_of_a_single_note_which_stays_in_the_table(tmp_path):
    notes = [(100 * k, 100 * k + 90, 60) for k in range(40)]
    song = read_song(write_midi(tmp_path / "in.mid", notes))
    keys = [24] * 15 + [3] + [24] * 4 + [9] * 20
    raw = annotate(song, {"localkey": keys})
    assert [span.label for span in spans(raw, "localkey")] == [24, 3, 24, 9]
    decoded = replace(raw, key_change=8.0)
    assert [(span.start, span.label) for span in spans(decoded, "localkey")] == [(0, 24), (2000, 9)]
    record = note_records(decoded)[15]
    assert record["localkey"] != record["localkey_span"] == note_records(decoded)[0]["localkey"]
    assert fractions(raw, "localkey").count("%") == 3
    assert fractions(decoded, "localkey") == "F♯ minor 50%; E major 50%"
    label, probability = shown_labels(decoded, "localkey")
    assert label.tolist() == [24] * 20 + [9] * 20
    assert probability[15] < 0.5 < probability[14]


def test_keys_are_the_same_in_summary_picture_and_page(tmp_path):
    song = read_song(
        write_midi(tmp_path / "in.mid", [(100 * k, 100 * k + 90, 60) for k in range(9)])
    )
    f_flat, e, c = (KEYS.index(f"{tonic} major") for tonic in ("F-", "E", "C"))
    annotation = annotate(song, {"localkey": [f_flat] * 5 + [e, NOT_READ, e, c]})
    annotation = replace(annotation, key_change=8.0)
    read = [place for place in range(9) if place != 6]
    label, probability = shown_labels(annotation, "localkey")
    assert label.tolist() == [e] * 6 + [NOT_READ] + [e] * 2
    rows = annotation.note_labels["localkey"].probabilities[read]
    np.testing.assert_allclose(probability[read], rows[:, f_flat] + rows[:, e], rtol=1e-6)
    assert fractions(annotation, "localkey") == "E major 100%"
    _, roll = figure_of(annotation).axes
    legend = [text.get_text() for text in roll.get_legend().get_texts()]
    assert legend == ["E major", "not read  11%"]
    (task,) = page_data(annotation)["tasks"]
    assert task["label"] == label.tolist()


def test_summary_answers_a_musician(tmp_path):
    song = read_song(write_waltz(tmp_path / "waltz.mid"))
    c_minor, melody = [KEYS.index("C minor")] * 21, [1] * 7 + [2] * 14
    labels = {"beat": [2] * 21, "chordroot": WALTZ_ROOTS, "localkey": c_minor, "melody": melody}
    assert summary(annotate(song, labels, {"emotion": [[0.4, 0.3, 0.2, 0.1]]})).splitlines() == [
        "  key             C minor 100%  (mean probability 0.90)",
        "  tempo           120 beats per minute  (as written in the file)",
        "  time signature  3/4  (as written in the file)",
        "  chords          Cm 67%; G7 33%  (mean probability 0.90)",
        "  melody          second voice 67%; melody 33%  (mean probability 0.90)",
        "  emotion         Q1: positive, lively  (probability 0.40, unsure)",
    ]
    assert certainty(annotate(song, {"melody": [NOT_READ] * 21}), "melody") == ""


def test_summary_has_decoded_beats_and_the_number_of_models(tmp_path):
    notes = [(576 * k, 576 * k + 400, 60) for k in range(24)]  # not on the beats of the file
    song = read_song(write_midi(tmp_path / "in.mid", notes))
    labels = {"beat": [2] * 24, "downbeat": [2, 1, 1] * 8, "melody": [1] * 24}
    annotation = annotate(song, labels)
    annotation.models["melody"] *= 3
    assert summary(annotation).splitlines() == [
        "  tempo           100 beats per minute  (decoded)",
        "  time signature  3 beats in a bar  (decoded)",
        "  melody          melody 100%  (mean probability 0.90, mean of 3 models)",
    ]
    assert summary(annotate(song, {"beat": [2] * 24})).splitlines() == [
        "  tempo           100 beats per minute  (decoded)",
        "  time signature  unknown, as downbeats were not labelled",
    ]
    assert summary(annotate(song, {"melody": [1] * 24})).splitlines()[:2] == [
        "  tempo           120 beats per minute  (as written in the file; the notes ignore it)",
        "  time signature  4/4  (as written in the file; the notes ignore it)",
    ]


KEYS = TASKS["localkey"].classes


@pytest.mark.parametrize(
    ("piece", "key", "name"),
    [
        ("A- major", "G# minor", "A- minor"),
        ("E major", "A- minor", "G# minor"),
        ("D- major", "F# major", "G- major"),
        ("B major", "G- major", "F# major"),
        ("E- major", "F- major", "E major"),  # seven accidentals at most
        ("B- major", "D# major", "E- major"),
    ],
)
def test_most_probable_keys_are_named_by_the_piece(piece, key, name):
    label = np.array([KEYS.index(piece)] * 40 + [KEYS.index(key)] * 5)
    found = most_probable_keys(np.eye(len(KEYS))[label], KEYS, 1)
    assert [KEYS[k] for k in found] == [piece] * 40 + [name] * 5


def test_most_probable_keys_join_enharmonically_equivalent_keys():
    g_flat, f_sharp, c = (KEYS.index(f"{tonic} major") for tonic in ("G-", "F#", "C"))
    probabilities = np.zeros((4, len(KEYS)))
    probabilities[:2, f_sharp] = probabilities[2:, g_flat] = 1
    np.testing.assert_array_equal(most_probable_keys(probabilities, KEYS, 0), g_flat)
    probabilities[:, [f_sharp, g_flat, c]] = 0.3, 0.3, 0.4
    np.testing.assert_array_equal(most_probable_keys(probabilities, KEYS, 8), g_flat)
