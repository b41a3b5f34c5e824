"""Reading the published pre-training arrays: songs come back right, and memory stays flat."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes import published_songs
from m2bert.notes.object_arrays import read_items
from m2bert.notes.published_songs import read_songs
from tests.helpers.pickles import (
    NOT_FIXTURES,
    PROTOCOLS,
    npy_around,
    npy_bytes,
    object_array,
    random_songs,
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dump", ["C", "Python"])
def test_songs_equal_what_was_written_and_what_the_reader_of_small_files_reads(
    written, protocol, dump
):
    # Batches of 1000 rows, frames of 64 KiB and buffers all end inside of songs.
    songs = random_songs(
        np.random.default_rng(protocol), [1, 2, 999, 1000, 1001, 17001, 3, 1, 0, 22345, 5]
    )
    content = npy_bytes(object_array(songs), protocol)
    if dump == "Python":
        content = npy_around(pickle._dumps(object_array(songs), protocol), (len(songs),))
    path = written(content)
    read = list(read_songs(path))
    assert [song.tolist() for song in read] == songs == read_items(path)
    assert {(song.dtype, song.shape[1:]) for song in read} == {(np.dtype(np.uint8), (4,))}


@NOT_FIXTURES
@given(
    songs=st.lists(
        st.lists(st.lists(st.integers(0, 255), min_size=4, max_size=4), max_size=12),
        min_size=1,
        max_size=6,
    ),
    protocol=st.sampled_from(PROTOCOLS),
    buffer=st.integers(1, 80),
)
def test_songs_survive_any_buffer_boundary(written, songs, protocol, buffer):
    path = written(npy_bytes(object_array(songs), protocol))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_songs, "BUFFER", buffer)
        assert [song.tolist() for song in read_songs(path)] == songs


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 2001])
def test_songs_come_whole_whatever_batches_the_pickler_made(written, count):
    songs = [[[number % 256, 1, 2, 3]] * (number % 2) for number in range(count)]
    fresh = object_array([[list(row) for row in song] for song in songs])
    assert [song.tolist() for song in read_songs(written(npy_bytes(fresh)))] == songs


@pytest.mark.parametrize("protocol", [3, 4])
def test_memory_does_not_grow_with_the_file(written, protocol):
    path = written(
        npy_bytes(object_array(random_songs(np.random.default_rng(3), [400] * 3000)), protocol)
    )
    assert path.stat().st_size > 14_000_000
    tracemalloc.start()
    try:
        notes = sum(len(song) for song in read_songs(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert notes == 1_200_000
    assert peak < 5_000_000  # a thousand songs; as lists, all songs take 300 MB


@pytest.mark.parametrize(
    "song",
    [
        [[0, 1, 2]],
        [[0, 1, 2, 3, 4]],
        [[[0], 1, 2, 3]],
        [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9, 10, 11]]],
        [0, 1, 2, 3],
        7,
    ],
)
def test_a_song_of_something_else_is_an_error_that_names_it(written, song):
    first, second = random_songs(np.random.default_rng(6), [2, 2])
    path = written(npy_bytes(object_array([first, second, song])))
    with pytest.raises(UserError, match=r"song 2 .* is not a list of notes") as caught:
        list(read_songs(path))
    assert str(path) in str(caught.value)


SHARED = [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    "song", [[[0, 1, 2, 256]], [[0, 1, 2, 3.0]], [[0, 1, 2, None]], "abcd", SHARED, [(1, 2, 3, 4)]]
)
def test_songs_in_another_form_than_the_published_are_refused(written, song):
    path = written(npy_bytes(object_array([SHARED, [[5, 6, 7, 8]], song])))
    with pytest.raises(UserError, match="not in the published form"):
        list(read_songs(path))


def test_more_or_fewer_songs_than_the_header_says_is_an_error(written):
    content = npy_bytes(object_array([SHARED, [[5, 6, 7, 8]]]))
    for count in (b"1", b"3"):
        with pytest.raises(UserError, match="songs"):
            list(read_songs(written(content.replace(b"(2,)", b"(%s,)" % count))))
