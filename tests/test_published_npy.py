"""Reading what others pickled: every value right, no code run, memory flat, one kind of error."""

import contextlib
import io
import itertools
import json
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m2bert import published_npy
from m2bert.errors import UserError
from m2bert.published_npy import (
    is_pickled,
    read_items,
    read_labels,
    read_note_lists,
    read_songs,
)
from tests.shared import GOLDEN, needs_golden

PROTOCOLS = [2, 3, 4, 5]
READERS = [read_items, read_songs, read_note_lists, read_labels]
NOT_FIXTURES = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def object_array(items):
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def npy_bytes(array, protocol=4):
    """Bytes as np.save writes an object array, with a pickle protocol of choice."""
    file = io.BytesIO()
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    pickle.dump(array, file, protocol=protocol)
    return file.getvalue()


def npy_around(pickled, shape=(1,)):
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + pickled


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes to a file and returns its path."""
    numbers = itertools.count()

    def write(content):
        path = tmp_path / f"published{next(numbers)}.npy"
        path.write_bytes(content)
        return path

    return write


def random_songs(rng, lengths):
    return [rng.integers(0, 256, (length, 4)).tolist() for length in lengths]


def assert_plain(value):
    """Only what the reader may build, nowhere a trace of what the file named."""
    assert type(value) in (int, float, bool, str, type(None), list, tuple)
    if isinstance(value, list | tuple):
        for part in value:
            assert_plain(part)


# ---- values

ITEMS = [
    [[0.0, 0.5, 60], [-0.25, 1e300, 61], [2.0, 70000.5, 108]],
    [1, 255, 256, 65535, 65536, -1, 2**31, -(2**40), 2**100],
    [],
    [[]],
    [[[7]]],
    7,
    -2.5,
    "Bach/Präludium.mid",
    None,
    [True, False, None],
    (1, 2),
    ([1, 2], 3),
    (1, 2, 3, 4, 5),
    [(0.0, 1.0, 60), (1.0, 2.0, 62), ()],
    list(range(2500)),
    [[1]],
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_kind_of_value_comes_back_from_an_array_and_from_a_list(written, protocol):
    assert list(read_items(written(npy_bytes(object_array(ITEMS), protocol)))) == ITEMS
    assert list(read_items(written(pickle.dumps(ITEMS, protocol)))) == ITEMS


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize("dump", [pickle.dumps, pickle._dumps])
def test_items_come_whole_whatever_batches_the_pickler_made(written, count, dump):
    for items in ([[number, [number]] for number in range(count)], list(range(count))):
        assert list(read_items(written(dump(items, 4)))) == items


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_of_numpy_become_python_numbers(written, protocol):
    numbers = [
        kind(value)
        for value in (1, 100)
        for kind in (np.int8, np.uint8, np.int64, np.float32, np.float64, np.dtype(">i4").type)
    ]
    numbers += [np.bool_(True), np.bool_(False), np.float64(0.1)]
    items = [numbers, numbers[3], np.int64(-5), *numbers]
    plain = [number.item() for number in numbers]
    expected = [plain, plain[3], -5, *plain]
    read = list(read_items(written(npy_bytes(object_array(items), protocol))))
    assert read == expected
    assert_plain(read)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_among_the_items_become_lists(written, protocol):
    grid = np.arange(6).reshape(2, 3)
    arrays = [grid, np.asfortranarray(grid), grid.astype(">f4"), np.array([True]), grid.T.copy()]
    copies = [array.copy(order="K") for array in arrays]
    read = list(read_items(written(npy_bytes(object_array([arrays, *copies]), protocol))))
    expected = [array.tolist() for array in arrays]
    assert read == [expected, *expected]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_python_and_numpy_hold_once_may_stand_in_any_item(written, protocol):
    items = [[np.True_, np.uint8(7), np.False_, "path", [n]] for n in range(3000)]
    read = list(read_items(written(npy_bytes(object_array(items), protocol))))
    assert read == [[True, 7, False, "path", [n]] for n in range(3000)]


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_both_names_of_numpys_core_are_known(written, module):
    content = npy_bytes(object_array([[1, 2], [np.int16(3)]]), 3)
    for name in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        content = content.replace(b"c" + name + b"\n", b"c" + module.encode() + b"\n")
    assert list(read_items(written(content))) == [[1, 2], [3]]


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 2), (2, 600, 4), (1, 1), (4, 1, 1, 1)])
def test_an_array_of_several_dimensions_gives_nested_lists(written, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(object)
    assert list(read_items(written(npy_bytes(array)))) == array.tolist()


def test_a_fortran_ordered_object_array_is_read_by_its_indexes(written):
    array = np.asfortranarray(np.arange(6).reshape(2, 3).astype(object))
    assert list(read_items(written(npy_bytes(array)))) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("dtype", ["<i8", ">i4", "|u1", "<f8", "<f2", "|b1"])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (0,), (0, 4)])
def test_plain_numeric_arrays_give_their_rows(written, dtype, shape):
    array = (np.arange(np.prod(shape)) % 3).reshape(shape).astype(dtype)
    for ordered in (array, np.asfortranarray(array)):
        file = io.BytesIO()
        np.save(file, ordered, allow_pickle=False)
        path = written(file.getvalue())
        read = list(read_items(path))
        assert read == array.tolist()
        assert_plain(read)
        assert not is_pickled(path)


def test_the_header_tells_whether_objects_are_pickled(written):
    assert is_pickled(written(npy_bytes(object_array([[1]]))))
    assert is_pickled(written(npy_around(b"")))
    with pytest.raises(UserError, match=r"not a \.npy file"):
        is_pickled(written(pickle.dumps([1])))


@needs_golden
@pytest.mark.parametrize("name", ["sorted_two_items", "tail_of_piece", "unsorted_and_negative"])
def test_published_benchmark_items_equal_their_plain_copy(name):
    plain = json.loads((GOLDEN / "smc" / f"{name}.json").read_text())
    assert list(read_items(GOLDEN / "smc" / f"{name}.npy")) == plain["items"]
    assert list(read_items(GOLDEN / "smc" / f"{name}_labels.npy")) == plain["labels"]


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
    monkeypatch.setattr(published_npy, "_ROW_RUNS", {})
    general = list(read_songs(path))
    for read in (fast, general):
        assert [song.tolist() for song in read] == songs
        for song in read:
            assert song.dtype == np.uint8
            assert song.shape[1:] == (4,)
            assert song.flags.c_contiguous


def test_the_fast_path_is_the_one_taken(written, monkeypatch):
    path = written(npy_bytes(object_array(random_songs(np.random.default_rng(0), [3000, 20]))))
    push_number = published_npy._INSTRUCTIONS[b"K"]
    pushed = []

    def count_and_push(machine):
        pushed.append(1)
        push_number(machine)

    monkeypatch.setitem(published_npy._INSTRUCTIONS, b"K", count_and_push)
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
        patch.setattr(published_npy, "_BUFFER", buffer)
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


def random_note_lists(rng, lengths):
    return [
        [
            [onset, onset + length, pitch]
            for onset, length, pitch in zip(
                rng.normal(0, 1e3, count).tolist(),
                rng.random(count).tolist(),
                rng.integers(0, 256, count).tolist(),
                strict=True,
            )
        ]
        for count in lengths
    ]


def count_calls(monkeypatch, instruction):
    """The list to which each run of an instruction of the general path adds an entry."""
    run, calls = published_npy._INSTRUCTIONS[instruction], []

    def count_and_run(machine):
        calls.append(1)
        run(machine)

    monkeypatch.setitem(published_npy._INSTRUCTIONS, instruction, count_and_run)
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
        patch.setattr(published_npy, "_ROW_RUNS", {})
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
        patch.setattr(published_npy, "_BUFFER", buffer)
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


# ---- memory


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("fast", [True, False])
def test_memory_does_not_grow_with_the_file(written, monkeypatch, protocol, fast):
    if not fast:
        monkeypatch.setattr(published_npy, "_ROW_RUNS", {})
    songs = random_songs(np.random.default_rng(3), [200] * 400)
    path = written(npy_bytes(object_array(songs), protocol))
    del songs
    assert path.stat().st_size > 900_000
    tracemalloc.start()
    try:
        notes = sum(len(song) for song in read_songs(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert notes == 80_000
    assert peak < 600_000  # as lists, all songs take 20 times as much


@pytest.mark.parametrize("fast", [True, False])
def test_memory_does_not_grow_with_the_file_of_a_benchmark(written, monkeypatch, fast):
    if not fast:
        monkeypatch.setattr(published_npy, "_ROW_RUNS", {})
    items = random_note_lists(np.random.default_rng(3), [200] * 400)
    notes_path = written(npy_bytes(object_array(items), 3))
    labels_path = written(npy_bytes(object_array([[n % 256] * 20_000 for n in range(20)]), 3))
    del items
    tracemalloc.start()
    try:
        assert sum(map(len, read_note_lists(notes_path))) == 80_000
        assert sum(map(len, read_labels(labels_path))) == 400_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 800_000


def test_items_of_numpy_numbers_are_not_kept(written):
    path = written(
        npy_bytes(object_array([[np.float64(n + s) for n in range(50)] for s in range(300)]))
    )
    tracemalloc.start()
    try:
        assert sum(map(len, read_items(path))) == 15_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 400_000


def test_a_reference_to_an_item_already_handed_out_says_so(written):
    shared = [[1, 2, 3, 4], [5, 6, 7, 8]]
    between = random_songs(np.random.default_rng(4), [5] * 6)
    path = written(npy_bytes(object_array([shared, *between, shared])))
    for read in (read_items, read_songs):
        with pytest.raises(UserError, match="refers back"):
            list(read(path))


@pytest.mark.parametrize(
    "claim",
    [
        b"X\xff\xff\xff\x7f",
        b"\x8d" + struct.pack("<Q", 1 << 60),
        b"B\xff\xff\xff\xff",
        b"\x8e" + struct.pack("<Q", (1 << 64) - 1),
        b"\x8b\xff\xff\xff\x7f",  # LONG4
        b"\x96" + struct.pack("<Q", 1 << 40),  # BYTEARRAY8
        b"X" + struct.pack("<I", 1 << 24),  # as long as is allowed, but it isn't there
    ],
)
def test_a_claimed_length_is_not_allocated(written, claim):
    path = written(b"\x80\x04](" + claim + b"abc")
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            list(read_items(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "nest",
    [
        lambda n: b"](" * n + b"e" * n,
        lambda n: b"]" * n + b"a" * n,
        lambda n: b"]K\x01" + b"\x85" * n + b"a",
        lambda n: b"](" + b"(" * n + b"t" * n + b"e",
        lambda n: b"](" + b"(" * n,
        lambda n: b"](" + b"]q\x00" + b"]h\x00aq\x00" * n + b"e",
        lambda n: b"](]q\x00" + b"(" + b"h\x00h\x00eq\x00(" * n + b"e",
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_deep_nesting_is_refused(written, nest, read):
    with pytest.raises(UserError):
        list(read(written(b"\x80\x04" + nest(100_000) + b".")))


def test_lists_that_double_by_reference_are_refused(written):
    value = [0] * 8
    for _ in range(10):
        value = [value, value]
    with pytest.raises(UserError, match="referred to again"):
        list(read_items(written(npy_bytes(object_array([value, [1]])))))


def test_a_list_that_contains_itself_is_refused(written):
    value = [[1], [2]]
    value.append(value)
    with pytest.raises(UserError):
        list(read_items(written(pickle.dumps([value, [3]]))))
    outermost = [[1]]
    outermost.append(outermost)
    with pytest.raises(UserError):
        list(read_items(written(pickle.dumps(outermost))))


# ---- code


class Bomb:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["bare", "item", "value"])
@pytest.mark.parametrize("read", READERS)
def test_a_pickle_bomb_does_not_go_off(written, tmp_path, protocol, place, read):
    flag = tmp_path / "went_off"
    bomb = Bomb(os.system, f"touch {flag}")
    payload = {"bare": bomb, "item": [[1], bomb], "value": [[1], [[bomb]]]}[place]
    named = (
        "refers to posix.system; files that name code are not read"
        if protocol >= 2
        else "published"
    )
    for content in (
        pickle.dumps(payload, protocol),
        npy_bytes(object_array([[1], payload]), protocol),
    ):
        with pytest.raises(UserError, match=named):
            list(read(written(content)))
    with pytest.raises(UserError):
        list(read(written(npy_around(pickle.dumps(payload, protocol)))))
    assert not flag.exists()


@pytest.mark.parametrize(
    ("instructions", "complaint"),
    [
        (b"cbuiltins\neval\n", "builtins.eval"),
        (b"\x8c\x08builtins\x8c\x04eval\x93", "builtins.eval"),
        (b"(ios\nsystem\n", "os.system"),
        (b"(cnumpy\nndarray\no", "OBJ"),
        (b"cnumpy\nndarray\n)\x81", "NEWOBJ"),
        (b"cnumpy\nndarray\n)R", "damaged"),
        (b"cnumpy\nload\n", "numpy.load"),
        (b"cnumpy\nndarray.tofile\n", "numpy.ndarray.tofile"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00rottR", "damaged"),
        (b"\x82\x01", "EXT1"),
        (b"Pname\n", "PERSID"),
        (b"K\x01Q", "BINPERSID"),
        (b"}", "EMPTY_DICT"),
        (b"\x8f", "EMPTY_SET"),
        (b"I5\n", "INT"),
        (b"\x97", "NEXT_BUFFER"),
        (b"\xff", "damaged"),
        (b"K\x01K\x02R", "damaged"),
        (b"K\x01K\x02b", "damaged"),
        (b"cnumpy\ndtype\n", "damaged"),
        (b"C\x01a", "damaged"),
        (b"cnumpy\ndtype\n\x85", "damaged"),
        (b"cnumpy\ndtype\n\x85\x85", "damaged"),
        (b"](cnumpy\ndtype\ne", "damaged"),
        (b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85RC\x08abcdefgh\x86", "damaged"),
    ],
)
def test_whatever_could_name_or_build_something_else_is_refused(written, instructions, complaint):
    for content in (
        b"\x80\x04](" + instructions + b"e.",
        b"\x80\x04]" + instructions + b"a.",
        b"\x80\x04](K\x01](" + instructions + b"ee.",
    ):
        with pytest.raises(UserError, match=complaint):
            list(read_items(written(content)))


@pytest.mark.parametrize("value", [{}, {1}, b"ab", bytearray(b"a"), 1j, object(), np.str_("a")])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_kinds_of_objects_are_refused(written, value, protocol):
    for payload in ([value, value], [[[value]]], [(1, value)]):
        with pytest.raises(UserError):
            list(read_items(written(pickle.dumps(payload, protocol))))


@pytest.mark.parametrize("value", [7, "text", (1, 2), None, np.float64(1.0)])
def test_a_pickle_of_no_list_is_refused(written, value):
    with pytest.raises(UserError):
        list(read_items(written(pickle.dumps(value, 4))))


# ---- damage


def small_files():
    rng = np.random.default_rng(5)
    songs = random_songs(rng, [3, 1, 4, 2, 2, 6])
    benchmark = [[[0.0, 0.5, 60], [0.25, 1.5, 62]], [[3.0, 4.0, 70]], [[1.0, 2.0, 3]]]
    numeric = io.BytesIO()
    np.save(numeric, np.arange(24).reshape(3, 2, 4), allow_pickle=False)
    return {
        "songs4": npy_bytes(object_array(songs), 4),
        "songs3": npy_bytes(object_array(songs), 3),
        "songs2": npy_bytes(object_array(songs), 2),
        "one song": npy_bytes(np.array(songs[:1], dtype=object), 4),
        "benchmark": npy_bytes(object_array(benchmark), 3),
        "labels": npy_bytes(object_array([[*range(20)], [1, 2, 300]]), 3),
        "numpy": npy_bytes(object_array([[np.int64(3), np.float64(2)], np.arange(6)]), 4),
        "paths": pickle.dumps(["a/b.mid", "c/d.mid", "e/f.mid"], 2),
        "numeric": numeric.getvalue(),
    }


SMALL = small_files()


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        *itertools.product((read_items, read_songs), SMALL),
        (read_note_lists, "benchmark"),
        (read_labels, "labels"),
    ],
)
def test_a_file_cut_short_anywhere_is_an_error(written, read, kind):
    whole = SMALL[kind]
    path = written(b"")
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            list(read(path))


def test_a_cut_file_is_called_cut_short(written):
    for kind in ("songs4", "benchmark", "paths", "numeric"):
        with pytest.raises(UserError, match="cut short"):
            list(read_items(written(SMALL[kind][:-9])))


@settings(NOT_FIXTURES, max_examples=1500)
@given(data=st.data(), kind=st.sampled_from(sorted(SMALL)))
def test_a_damaged_file_gives_plain_values_or_an_error(written, data, kind):
    content = bytearray(SMALL[kind])
    start = data.draw(st.sampled_from([0, 0x80 if kind != "paths" else 0]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(start, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = written(bytes(content))
    for read in READERS:
        with contextlib.suppress(UserError):
            for item in itertools.islice(read(path), 1000):
                assert_plain(item if read is read_items else item.tolist())
    path.unlink()


OPCODES = [
    bytes([code]) for code in b"]()tea.KqhrjCXGIJMNc\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95Rb"
]
NAMES = [b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\nscalar\n", b"X\x02\x00\x00\x00i8", b"C\x01a"]


@settings(NOT_FIXTURES, max_examples=1500)
@given(pieces=st.lists(st.sampled_from(OPCODES + NAMES + [b"K\x05", b"q\x00", b"h\x00"])))
def test_any_program_gives_plain_values_or_an_error(written, pieces):
    path = written(b"\x80\x04](" + b"".join(pieces) + b"e.")
    for read in READERS:
        with contextlib.suppress(UserError):
            for item in itertools.islice(read(path), 1000):
                assert_plain(item if read is read_items else item.tolist())
    path.unlink()


@pytest.mark.parametrize(
    "shape",
    [(2,), (0,), (2**62,), (10**30,), (-1,), (), (1, 2**62), (0, 0), (2**62, 0), (1,) * 200],
)
def test_a_header_whose_shape_is_not_the_datas_is_an_error(written, shape):
    array = object_array([[[1, 2, 3, 4]]])
    numeric = io.BytesIO()
    header = {"descr": "<i8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(numeric, header)
    for content in (npy_around(pickle.dumps(array, 4), shape), numeric.getvalue() + b"\0" * 8):
        if shape in ((0,), (0, 0)) and content[:80].count(b"<i8"):
            continue  # an empty numeric array is one
        for read in READERS:
            with pytest.raises(UserError):
                list(read(written(content)))


def test_more_or_fewer_items_than_the_shape_says_is_an_error(written):
    content = npy_bytes(object_array([[1], [2], [3]]), 4)
    for count in (b"\x02", b"\x04"):
        changed = content.replace(b"(3,)", b"(%d,)" % count[0]).replace(
            b"K\x01K\x03\x85", b"K\x01K" + count + b"\x85"
        )
        with pytest.raises(UserError, match="shape"):
            list(read_items(written(changed)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93",
        b"MThd\0\0\0\6",
        b"(lp0\n.",
        b"\x93NUMPY\x02\x00" + b"\xff" * 8,
        b"\x80",
        b"x" * 99,
    ]
    + [b"\x93NUMPY\x01\x00\x10\x00" + header for header in (b"{'descr': '|O'}\n", b"(" * 16)],
)
def test_what_is_no_array_and_no_pickle_is_refused(written, content):
    path = written(content)
    for read in (lambda p: list(read_items(p)), lambda p: list(read_songs(p)), is_pickled):
        with pytest.raises(UserError) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_arrays_of_text_or_records_are_refused(written):
    for array in (np.array(["ab"]), np.zeros(2, "i4,f8"), np.zeros(2, complex)):
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        with pytest.raises(UserError, match="type"):
            list(read_items(written(file.getvalue())))
