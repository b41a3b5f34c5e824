"""The published pre-training arrays: songs, memory, other content."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes import published_songs
from m2bert.notes.object_arrays import read_items
from m2bert.notes.published_songs import read_songs
from tests.helpers.pickles import PROTOCOLS, npy_around, npy_bytes, object_array, random_songs

# Batches of 1000 rows, frames of 64 KiB and buffers all end inside of songs; batches of 1000 songs.
LENGTHS = [
    [1, 2, 999, 1000, 1001, 8001, 3, 1, 0, 5],
    *([number % 2 for number in range(count)] for count in (0, 1, 2, 999, 1000, 1001, 2001)),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dumps", [pickle.dumps, pickle._dumps])
def test_read_songs_equals_read_items(written, protocol, dumps):
    for lengths in LENGTHS:
        songs = random_songs(lengths)
        path = written(npy_around(dumps(object_array(songs), protocol), (len(songs),)))
        read = list(read_songs(path))
        assert [song.tolist() for song in read] == songs == read_items(path)
        assert {(song.dtype, song.shape[1:]) for song in read} <= {(np.dtype(np.uint8), (4,))}


NOTES = st.lists(st.lists(st.integers(0, 255), min_size=4, max_size=4), max_size=12)


@settings(max_examples=60)
@given(st.lists(NOTES, min_size=1, max_size=6), st.sampled_from(PROTOCOLS), st.integers(1, 80))
def test_read_songs_accepts_any_buffer_boundary(written, songs, protocol, buffer):
    path = written(npy_bytes(object_array(songs), protocol))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_songs, "BUFFER", buffer)
        assert [song.tolist() for song in read_songs(path)] == songs


def test_read_songs_needs_little_memory(written):
    path = written(npy_bytes(object_array(random_songs([100] * 3000))))
    assert path.stat().st_size > 3_500_000
    tracemalloc.start()
    try:
        notes = sum(len(song) for song in read_songs(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert notes == 300_000
    assert peak < 3_000_000  # a thousand songs; as lists, all songs take 75 MB


NO_NOTES, OTHER_FORM = r"song 2 .* is not a list of notes", "not in the published form"
SHARED = [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("song", "words"),
    [
        ([[0, 1, 2]], NO_NOTES),
        ([[0, 1, 2, 3, 4]], NO_NOTES),
        ([[[0], 1, 2, 3]], NO_NOTES),
        ([[[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9, 10, 11]]], NO_NOTES),
        ([0, 1, 2, 3], NO_NOTES),
        (7, NO_NOTES),
        ([[0, 1, 2, 256]], OTHER_FORM),
        ([[0, 1, 2, 3.0]], OTHER_FORM),
        ([[0, 1, 2, None]], OTHER_FORM),
        ("abcd", OTHER_FORM),
        (SHARED, OTHER_FORM),
        ([(1, 2, 3, 4)], OTHER_FORM),
    ],
)
def test_read_songs_names_a_file_with_other_content(written, song, words):
    path = written(npy_bytes(object_array([SHARED, [[5, 6, 7, 8]], song])))
    with pytest.raises(UserError, match=words) as caught:
        list(read_songs(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("count", [b"1", b"3"])
def test_read_songs_rejects_another_number_of_songs_than_in_the_header(written, count):
    content = npy_bytes(object_array(random_songs([1, 1])))
    with pytest.raises(UserError, match="songs"):
        list(read_songs(written(content.replace(b"(2,)", b"(%s,)" % count))))
