import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from m2bert.finetuning.transposition import transposed
from m2bert.model.transposition import class_shifts
from m2bert.notes.cp import PAD, PITCHES
from m2bert.tasks import TASKS
from tests.helpers.synthetic import random_segments

NAMED = ["chordroot", "localkey"]
SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
FIFTHS = "FCGDAEB"


def pitch_and_mode(name: str) -> tuple[int, str]:
    """A letter on the keyboard, and a semitone for each accidental."""
    letter, accidentals, mode = re.fullmatch(r"([A-G])([#-]*)(.*)", name).groups()
    return (SEMITONES[letter] + accidentals.count("#") - accidentals.count("-")) % 12, mode


def fifths(name: str) -> int:
    return FIFTHS.index(name[0]) + 7 * (name.count("#") - name.count("-"))


@pytest.mark.parametrize("name", NAMED)
def test_class_shifts_are_the_nearest_spellings(name):
    classes = TASKS[name].classes
    table = class_shifts(TASKS[name], 6)
    assert table.shape == (13, len(classes))
    assert (table[:, 0] == 0).all()
    assert table[6].tolist() == list(range(len(classes)))
    for semitones in range(-6, 7):
        for label in range(1, len(classes)):
            pitch, mode = pitch_and_mode(classes[label])
            wanted = ((pitch + semitones) % 12, mode)
            same = [k for k in range(1, len(classes)) if pitch_and_mode(classes[k]) == wanted]
            moved = table[semitones + 6, label]
            if not same:
                assert moved == -1
                continue
            assert moved in same
            distances = {k: abs(fifths(classes[k]) - fifths(classes[label])) for k in same}
            assert distances[moved] == min(distances.values())


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([*NAMED, "melody", "composer"]))
def test_transposed_segments_stay_in_range_with_matching_labels(seed, most, name):
    task, rng = TASKS[name], np.random.default_rng(seed)
    notes = torch.from_numpy(random_segments(rng, 6, 12, shortest=1))
    padding = notes[..., 0] == PAD[0]
    shape = notes.shape[:2] if task.level == "note" else notes.shape[:1]
    labels = torch.from_numpy(rng.integers(1, len(task.classes), shape)).short()
    if task.level == "note":
        labels[padding] = 0
    moved, moved_labels = transposed(task, notes, labels, most, [seed, 1])
    assert moved.dtype == notes.dtype
    assert moved_labels.dtype == labels.dtype
    assert torch.equal(moved[padding], notes[padding])
    assert torch.equal(moved[..., [0, 1, 3]], notes[..., [0, 1, 3]])
    by = moved[..., 2].int() - notes[..., 2].int()
    for row in range(len(notes)):
        (shift,) = set(by[row][~padding[row]].tolist())
        assert abs(shift) <= most
        if name in NAMED:
            for old, new in zip(labels[row].tolist(), moved_labels[row].tolist(), strict=True):
                assert (new == 0) == (old == 0)
                if old:
                    pitch, mode = pitch_and_mode(task.classes[old])
                    expected = ((pitch + shift) % 12, mode)
                    assert pitch_and_mode(task.classes[new]) == expected
    assert moved[..., 2][~padding].max() < 86
    if name not in NAMED:
        assert torch.equal(moved_labels, labels)
    again, _ = transposed(task, notes, labels, most, [seed, 1])
    assert torch.equal(again, moved)


def test_transposed_draws_every_possible_shift():
    notes = torch.tensor([[[0, 0, 2, 3], [1, 4, 40, 3]]] * 400, dtype=torch.uint8)
    labels = torch.ones(400, 2, dtype=torch.int16)
    moved, _ = transposed(TASKS["melody"], notes, labels, 4, [0])
    counts = np.unique(moved[:, 0, 2].numpy() - 2.0, return_counts=True)
    assert counts[0].tolist() == [-2, -1, 0, 1, 2, 3, 4]
    assert counts[1].min() > 30


@pytest.mark.parametrize(
    ("key", "semitones", "expected"),
    [
        ("C major", 1, "D- major"),
        ("E- major", 1, "E major"),
        ("A major", -1, "A- major"),
        ("B- minor", 1, "B minor"),
        ("F- major", 0, "F- major"),
    ],
)
def test_transposed_names_are_spelled_near_the_middle_of_the_training_set(key, semitones, expected):
    task = TASKS["localkey"]
    notes = torch.zeros(80, 2, 4, dtype=torch.uint8)
    notes[0, :, 2] = 40
    notes[1:, 1, 2] = PITCHES - 1  # the others span all pitches and stay
    labels = torch.full((80, 2), task.classes.index("G major"), dtype=torch.int16)
    labels[0] = task.classes.index(key)
    for seed in itertools.count():
        moved, names = transposed(task, notes, labels, 1, [seed])
        if moved[0, 0, 2] == 40 + semitones:
            break
    assert torch.equal(names[1:], labels[1:])
    assert [task.classes[name] for name in names[0].tolist()] == [expected] * 2


def test_transposed_names_of_a_segment_are_moved_together():
    task = TASKS["chordroot"]
    labels = torch.tensor([[task.classes.index(n) for n in ("E-", "A-", "D", "B-")]] * 30).short()
    notes = torch.tensor([[[0, 0, 40, 3]] * 4] * 30, dtype=torch.uint8)
    moved, names = transposed(task, notes, labels, 1, [0])
    up = {tuple(task.classes[k] for k in row) for row in names[moved[:, 0, 2] == 41].tolist()}
    assert up in ({("E", "A", "D#", "B")}, {("F-", "B--", "E-", "C-")})
