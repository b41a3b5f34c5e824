"""Reading songs, note lists and labels that others pickled."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes.pickled import instructions, lists, machine
from m2bert.notes.pickled.lists import read_items, read_labels, read_note_lists, read_songs
from tests.helpers.pickles import (
    NOT_FIXTURES,
    PROTOCOLS,
    npy_around,
    npy_bytes,
    object_array,
    random_note_lists,
    random_songs,
)

# ---- songs


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dump", ["C", "Python"])
def test_songs_by_the_fast_path_equal_what_was_written_and_the_general_path(
    written, monkeypatch, protocol, dump
):
    rng = np.random.default_rng(protocol)
    # Batches of 1000 rows, frames of 64 KiB and buffers of 64 KiB all end inside of songs.
    songs = random_songs(rng, [1, 2, 999, 1000, 1001, 7001, 3, 1, 0, 12345, 5])
    content = npy_bytes(object_array(songs), protocol)
    if dump == "Python":
        content = npy_around(pickle._dumps(object_array(songs), protocol), (len(songs),))
    path = written(content)
    fast = list(read_songs(path))
    monkeypatch.setattr(machine, "_ROW_RUNS", {})
    general = list(read_songs(path))
    for read in (fast, general):
        assert [song.tolist() for song in read] == songs
        for song in read:
            assert song.dtype == np.uint8
            assert song.shape[1:] == (4,)
            assert song.flags.c_contiguous


def test_the_fast_path_is_the_one_taken(written, monkeypatch):
    path = written(npy_bytes(object_array(random_songs(np.random.default_rng(0), [3000, 20]))))
    push_number = instructions._INSTRUCTIONS[b"K"]
    pushed = []

    def count_and_push(machine):
        pushed.append(1)
        push_number(machine)

    monkeypatch.setitem(instructions._INSTRUCTIONS, b"K", count_and_push)
    assert sum(map(len, read_songs(path))) == 3020
    assert len(pushed) < 100  # of 12,080


@NOT_FIXTURES
@given(
    songs=st.lists(
        st.lists(st.lists(st.integers(0, 255), min_size=4, max_size=4), max_size=12),
        min_size=1,
        max_size=6,
    ),
    protocol=st.sampled_from(PROTOCOLS),
    buffer=st.integers(2, 80),
)
def test_songs_survive_any_buffer_boundary(written, songs, protocol, buffer):
    path = written(npy_bytes(object_array(songs), protocol))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BUFFER", buffer)
        assert [song.tolist() for song in read_songs(path)] == songs


@pytest.mark.parametrize("protocol", [3, 4])
def test_references_stay_right_after_the_fast_path_counted_the_memo(written, protocol):
    rng = np.random.default_rng(1)
    (song,) = random_songs(rng, [1500])
    repeated = [song[0], *song, song[700], [1, 2, 3, 4], song[1499], song[1499]]
    items = object_array([random_songs(rng, [400])[0], repeated, song[:0]])
    path = written(npy_bytes(items, protocol))
    assert [song.tolist() for song in read_songs(path)] == items.tolist()
    assert list(read_items(path)) == items.tolist()


def test_a_corpus_of_one_song_or_of_equal_songs_is_read_from_the_array_numpy_makes(written):
    for lengths in ([2000], [50, 50, 50], [1]):
        songs = random_songs(np.random.default_rng(2), lengths)
        array = np.array(songs, dtype=object)
        assert array.ndim == 3
        assert [song.tolist() for song in read_songs(written(npy_bytes(array)))] == songs


def test_songs_of_rows_in_other_forms_are_read(written):
    rows = [[0, 1, 2, 3], [255, 0, 255, 0]]
    kinds = [[tuple(row) for row in rows], [[np.int64(v) for v in row] for row in rows]]
    kinds.append(np.array(rows))
    for song in read_songs(written(npy_bytes(object_array(kinds)))):
        assert song.tolist() == rows
    file = io.BytesIO()
    np.save(file, np.array([rows, rows]), allow_pickle=False)
    assert [song.tolist() for song in read_songs(written(file.getvalue()))] == [rows, rows]


@pytest.mark.parametrize(
    "song",
    [
        [[0, 1, 2, 256]],
        [[0, 1, 2, -1]],
        [[0, 1, 2]],
        [[0, 1, 2, 3, 4]],
        [[0, 1, 2, 3.0]],
        [[0, 1, 2, None]],
        [[[0], 1, 2, 3]],
        [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9, 10, 11]]],
        [0, 1, 2, 3],
        [1 << 40],
        ["abcd"],
        ["abcd", [0, 1, 2, 3]],
        7,
        "abcd",
        None,
    ],
)
def test_a_song_of_something_else_is_an_error_that_names_it(written, song):
    first, second = random_songs(np.random.default_rng(6), [2, 2])
    path = written(npy_bytes(object_array([first, second, song]), 4))
    with pytest.raises(UserError, match=r"song 2 .* is not a list of notes") as caught:
        list(read_songs(path))
    assert str(path) in str(caught.value)


def test_items_that_are_notes_themselves_are_no_songs(written):
    with pytest.raises(UserError, match="song 0"):
        list(read_songs(written(npy_bytes(object_array([[1, 2, 3, 4], [5, 6, 7, 8], [9]])))))


# ---- note lists and labels


def count_calls(monkeypatch, instruction):
    """The list to which each run of an instruction of the general path adds an entry."""
    run, calls = instructions._INSTRUCTIONS[instruction], []

    def count_and_run(machine):
        calls.append(1)
        run(machine)

    monkeypatch.setitem(instructions._INSTRUCTIONS, instruction, count_and_run)
    return calls


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dump", ["C", "Python"])
def test_note_lists_by_the_fast_path_equal_what_was_written_and_the_general_path(
    written, monkeypatch, protocol, dump
):
    items = random_note_lists(np.random.default_rng(protocol), [1, 2, 999, 1001, 0, 7001, 5])
    content = npy_bytes(object_array(items), protocol)
    if dump == "Python":
        content = npy_around(pickle._dumps(object_array(items), protocol), (len(items),))
    path = written(content)
    fast = list(read_note_lists(path))
    with monkeypatch.context() as patch:
        patch.setattr(machine, "_ROW_RUNS", {})
        general = list(read_note_lists(path))
    for read in (fast, general):
        assert [item.tolist() for item in read] == items
        for item in read:
            assert item.dtype == np.float64
            assert item.shape[1:] == (3,)
    pushed = count_calls(monkeypatch, b"G")
    list(read_note_lists(path))
    assert len(pushed) < 200  # of 18,016


@NOT_FIXTURES
@given(
    items=st.lists(
        st.lists(
            st.lists(
                st.one_of(
                    st.floats(allow_nan=False), st.integers(0, 255), st.integers(-(2**40), 2**40)
                ),
                min_size=3,
                max_size=3,
            ),
            max_size=12,
        ),
        min_size=1,
        max_size=5,
    ),
    protocol=st.sampled_from(PROTOCOLS),
    buffer=st.integers(2, 90),
)
def test_note_lists_of_floats_and_integers_survive_any_buffer_boundary(
    written, items, protocol, buffer
):
    path = written(npy_bytes(object_array(items), protocol))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BUFFER", buffer)
        assert [item.tolist() for item in read_note_lists(path)] == items


@pytest.mark.parametrize("protocol", [3, 4])
def test_rows_of_note_lists_may_be_referred_to_again(written, protocol):
    (rows,) = random_note_lists(np.random.default_rng(8), [1500])
    items = object_array([rows[:2], [*rows[2:], rows[700], [1.0, 2.0, 3], rows[1499]]])
    path = written(npy_bytes(items, protocol))
    assert [item.tolist() for item in read_note_lists(path)] == items.tolist()


def test_note_lists_of_numpy_numbers_arrays_and_tuples_are_read(written):
    rows = [[0.5, 1.0, 60.0], [1.0, 2.5, 62.0]]
    kinds = [[[np.float64(v) for v in row] for row in rows], [tuple(row) for row in rows]]
    kinds += [np.array(rows), [[np.float32(0.5), 1, np.int64(60)], rows[1]]]
    for item in read_note_lists(written(npy_bytes(object_array(kinds)))):
        assert item.tolist() == rows
    file = io.BytesIO()
    np.save(file, np.array([rows, rows]), allow_pickle=False)
    assert [item.tolist() for item in read_note_lists(written(file.getvalue()))] == [rows, rows]


@pytest.mark.parametrize(
    "item",
    [
        [[0.0, 1.0]],
        [[0.0, 1.0, 60, 1]],
        [[0.0, 1.0, "60"]],
        ["abc"],
        [[0.0, 1.0, None]],
        [[0.0, 1.0, True]],
        [[[0.0], 1.0, 60]],
        [[0.0, 1.0, 10**400]],
        [[[0.0, 1.0, 60], [0.0, 1.0, 60]], [0.0, 1.0, 60]],
        [[[0.0, 1.0, 60], [0.0, 1.0, 60], [0.0, 1.0, 60]]],
        [0.0, 1.0, 60],
        7,
        None,
    ],
)
def test_an_item_that_is_no_note_list_is_an_error_that_names_it(written, item):
    path = written(
        npy_bytes(object_array([*random_note_lists(np.random.default_rng(9), [2]), item]))
    )
    with pytest.raises(UserError, match=r"item 1 .* is not a list of notes") as caught:
        list(read_note_lists(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_labels_come_back_whatever_their_size(written, monkeypatch, protocol):
    rng = np.random.default_rng(protocol)
    items = [rng.integers(0, 256, n).tolist() for n in (1, 4, 5, 6, 999, 1000, 1001, 0, 40_000)]
    items += [[1, 2, 3, 4, 5, 6, 300, 7, 8, -9, 10, 2**40, 11], [*range(250, 260)] * 3]
    items += [7, 2**62, [np.int64(3), np.uint8(4)], tuple(range(9))]
    path = written(npy_bytes(object_array(items), protocol))
    pushed = count_calls(monkeypatch, b"K")
    read = list(read_labels(path))
    assert [item.tolist() for item in read] == [np.array(item).tolist() for item in items]
    assert all(item.dtype == np.int64 for item in read)
    assert [item.ndim for item in read[-4:]] == [0, 0, 1, 1]
    assert len(pushed) < 1000  # of 43,000


def test_labels_of_pieces_are_read_from_every_kind_of_array(written):
    for labels in (np.arange(2000) % 8, np.array([3])):
        file = io.BytesIO()
        np.save(file, labels, allow_pickle=False)
        objects = npy_bytes(labels.astype(object))
        as_list = pickle.dumps(labels.tolist(), 4)
        for content in (file.getvalue(), objects, as_list):
            read = list(read_labels(written(content)))
            assert [label.tolist() for label in read] == labels.tolist()
            assert {label.shape for label in read} == {()}
    columns = np.arange(600).reshape(300, 2)
    read = list(read_labels(written(npy_bytes(columns.astype(object)))))
    assert [item.tolist() for item in read] == columns.tolist()


@pytest.mark.parametrize(
    "item", [1.0, "1", None, True, 2**63, [1.0], ["1"], [None], [True], [[1]], [1, [2]], [2**63]]
)
def test_labels_that_are_no_whole_numbers_are_an_error_that_names_them(written, item):
    path = written(npy_bytes(object_array([[1, 2], item, [3]])))
    with pytest.raises(UserError, match=r"item 1 .* neither a whole number nor a list") as caught:
        list(read_labels(path))
    assert str(path) in str(caught.value)
