"""CP notes, compared with a reference implementation and with the original's."""

import json

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from m2bert.notes import cp
from tests.helpers.shared import GOLDEN, same_as_original
from tests.reference.reference_cp import reference_cp_notes


@st.composite
def note_lists(draw):
    """Notes that collide often: few onsets, lengths around the limits, several tracks."""
    ticks_per_beat = draw(st.sampled_from([24, 96, 220, 384, 480, 1024]))
    span = draw(st.sampled_from([1, 3, ticks_per_beat, 40 * ticks_per_beat]))
    start = st.integers(0, span)
    length = st.integers(0, ticks_per_beat // 4) | st.integers(0, 12 * ticks_per_beat)
    note = st.tuples(start, length, st.integers(0, 127), st.integers(0, 3))
    notes = draw(st.lists(note, max_size=40))
    notes.sort(key=lambda note: note[3])
    return [(start, start + length, pitch, track) for start, length, pitch, track in notes], (
        ticks_per_beat
    )


@given(note_lists())
@example(([], 480))
@example(([(0, 480, 64, 0), (0, 480, 60, 0)], 480))  # tick 0 alone
@example(([(0, 480, 60, 0), (1920, 2400, 60, 0)], 480))  # the last onset is on a downbeat
@example(([(0, 480, 60, 0), (19230, 19680, 60, 0)], 480))  # empty bars between
@example(([(240, 269, 60, 0), (240, 270, 61, 0)], 480))  # shorter than a 64th, and a 64th
def test_cp_notes_equal_a_reference_implementation(case):
    notes, ticks_per_beat = case
    song = cp.cp_notes(*np.array(notes, np.int64).reshape(-1, 4).T, ticks_per_beat)
    assert (song.dtype, song.shape[1:]) == (np.uint8, (4,))
    assert song.tolist() == reference_cp_notes(notes, ticks_per_beat)


@same_as_original
def test_cp_ids_equal_the_originals():
    original = json.loads((GOLDEN / "vocab.json").read_text())["event2word"]
    ordinary = {
        "Bar": ["New", "Continue"],
        "Position": [f"{i + 1}/16" for i in range(16)],
        "Pitch": range(cp.LOWEST_PITCH, cp.HIGHEST_PITCH + 1),
        "Duration": range(64),
    }
    assert list(original) == list(cp.FIELDS)
    assert cp.PAD == cp.ORDINARY_SIZES
    assert tuple(map(len, original.values())) == cp.VOCABULARY_SIZES
    for field, pad, mask in zip(cp.FIELDS, cp.PAD, cp.MASK, strict=True):
        ids = {f"{field} {name}": i for i, name in enumerate(ordinary[field])}
        assert original[field] == ids | {f"{field} <PAD>": pad, f"{field} <MASK>": mask}
