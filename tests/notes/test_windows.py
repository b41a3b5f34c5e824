import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.notes.cp import PAD
from m2bert.notes.windows import check_stride, cut_windows, merge_windows, window_starts
from tests.helpers.synthetic import random_song

sizes = st.tuples(st.integers(1, 70), st.integers(1, 20)).flatmap(
    lambda size: st.tuples(st.just(size[0]), st.just(size[1]), st.integers(1, size[1]))
)


@given(sizes)
def test_window_starts_cover_every_note(sizes):
    notes, length, stride = sizes
    starts = window_starts(notes, length, stride)
    assert (np.diff(starts) == stride).all()
    assert starts[0] == 0
    assert starts[-1] + length >= notes
    assert len(starts) == 1 or starts[-2] + length < notes


@given(sizes)
def test_merge_windows_equals_a_reference_implementation(sizes):
    notes, length, stride = sizes
    starts = window_starts(notes, length, stride)
    values = np.random.default_rng(notes).random((len(starts), length, 2))
    expected = np.zeros((notes, 2))
    for note in range(notes):
        total = 0
        for start, window in zip(starts, values, strict=True):
            place = note - start
            if 0 <= place < length:
                weight = min(place + 1, length - place)  # how near the window's edge is
                expected[note] += weight * window[place]
                total += weight
        expected[note] /= total
    np.testing.assert_allclose(merge_windows(values, starts, notes), expected, rtol=1e-6)


def test_cut_windows_gives_the_segments_of_the_benchmark():
    song = random_song(np.random.default_rng(0), 50)
    windows = cut_windows(song, window_starts(50, 20, 20), 20)
    assert windows.shape == (3, 20, 4)
    np.testing.assert_array_equal(windows.reshape(-1, 4)[:50], song)
    assert (windows[2, 10:] == PAD).all()


def test_check_stride_rejects_strides_that_omit_notes():
    assert [check_stride(stride) for stride in (1, 1024)] == [1, 1024]
    for stride in (0, -1, 1025):
        with pytest.raises(ValueError, match=rf"stride {stride} is not in 1\.\.1024"):
            check_stride(stride)
