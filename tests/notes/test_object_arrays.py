"""Reading pickled arrays: every kind of value, no code, one error for damaged files."""

import contextlib
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes.object_arrays import is_pickled, read_items, read_labels, read_note_lists
from tests.helpers.pickles import (
    PROTOCOLS,
    READERS,
    Bomb,
    npy_around,
    npy_bytes,
    object_array,
    random_songs,
)

ITEMS = [[], [[[7]]], 7, -2.5, "Bach/Präludium.mid", None, [True, False, None], [[1]]]
ITEMS += [([1, 2], 3), (1, 2, 3, 4, 5), [(0.0, 1.0, 60), (1.0, 2.0, 62), ()], list(range(2500))]
ITEMS += [[[0.0, 0.5, 60], [-0.25, 1e300, 61], [2.0, 70000.5, 108]]]
ITEMS += [[1, 255, 256, 65535, 65536, -1, 2**31, -(2**40), 2**100]]


def npy_of(array: np.ndarray) -> bytes:
    """A `.npy` file of an object array or of numbers."""
    if array.dtype.hasobject:
        return npy_bytes(array)
    data = array.tobytes(order="A")
    return npy_around(data, array.shape, np.isfortran(array), array.dtype.str)


def assert_plain(value):
    """Only what the reader may build, and nothing that the file named."""
    assert isinstance(value, int | float | bool | str | None | list | tuple | dict)
    if isinstance(value, list | tuple | dict):
        for part in value:
            assert_plain(part)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_read_items_returns_every_kind_of_value(written, protocol):
    assert read_items(written(npy_bytes(object_array(ITEMS), protocol))) == ITEMS
    assert read_items(written(pickle.dumps(ITEMS, protocol))) == ITEMS


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("core", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_read_items_converts_numbers_and_arrays_of_numpy(written, protocol, core):
    kinds = (np.int8, np.uint8, np.int64, np.float32, np.float64, np.dtype(">i4").type)
    items = [kind(value) for value in (1, 100) for kind in kinds]
    items += [np.bool_(True), np.bool_(False), np.float64(0.1)]
    grid = np.arange(6).reshape(2, 3)
    items += [grid, np.asfortranarray(grid), grid.astype(">f4"), np.array([True]), grid.T.copy()]
    plain = [item.tolist() for item in items]
    content = npy_bytes(object_array([[item.copy() for item in items], items[3], *items]), protocol)
    if protocol < 4:  # names are lines
        for name in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
            content = content.replace(b"c" + name + b"\n", b"c" + core + b"\n")
    read = read_items(written(content))
    assert read == [plain, plain[3], *plain]
    assert_plain(read)


@pytest.mark.parametrize("dtype", ["O", "<i8", ">i4", "|u1", "<f8", "<f2", "|b1"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (2, 600, 4), (4, 1, 1, 1), (0,), (0, 4)])
def test_read_items_nests_arrays_of_any_shape_and_order(written, dtype, shape):
    array = (np.arange(np.prod(shape)) % 3).reshape(shape).astype(dtype)
    for ordered in (array, np.asfortranarray(array)):
        path = written(npy_of(ordered))
        read = read_items(path)
        assert read == array.tolist()
        assert_plain(read)
        assert is_pickled(path) == (dtype == "O")


def test_read_note_lists_accepts_any_numbers_arrays_and_tuples(written):
    rows = [[0.5, 1.0, 60.0], [1.0, 2.5, 62.0]]
    kinds = [[[np.float64(v) for v in row] for row in rows], [tuple(row) for row in rows]]
    kinds += [np.array(rows), [[np.float32(0.5), 1, np.int64(60)], rows[1]]]
    for array in (object_array(kinds), np.array([rows, rows])):
        for item in read_note_lists(written(npy_of(array))):
            assert item.dtype == np.float64
            assert item.tolist() == rows
    rows = np.random.default_rng(8).normal(0, 1e3, (1500, 3)).tolist()
    repeated = object_array([[*rows, rows[700], [1.0, 2.0, 3], rows[1499]], []])
    read = list(read_note_lists(written(npy_bytes(repeated))))
    assert [item.tolist() for item in read] == repeated.tolist()
    assert [item.shape for item in read] == [(1503, 3), (0, 3)]


def test_read_labels_accepts_every_kind_of_array(written):
    items = [[1, 2, 300, -9, 2**40], [], 7, 2**62, [np.int64(3), np.uint8(4)], tuple(range(9))]
    read = list(read_labels(written(npy_bytes(object_array(items)))))
    assert [item.tolist() for item in read] == [np.array(item).tolist() for item in items]
    assert [item.ndim for item in read] == [1, 1, 0, 0, 1, 1]
    for labels in (np.arange(2000) % 8, np.array([3])):
        as_list = pickle.dumps(labels.tolist(), 4)
        for content in (npy_of(labels), npy_of(labels.astype(object)), as_list):
            read = list(read_labels(written(content)))
            assert [(label.tolist(), label.shape) for label in read] == [(n, ()) for n in labels]


GOOD = [0.0, 1.0, 60]
NO_NOTES = ["abc", [GOOD[:2]], [[*GOOD, 1]], [[0.0, 1.0, "60"]], [[0.0, 1.0, None]]]
NO_NOTES += [[[0.0, 1.0, True]], [[[0.0], 1.0, 60]], [[0.0, 1.0, 10**400]], [[GOOD] * 3], GOOD]
NO_LABELS = ["1", 1.0, True, 2**63, [1.0], ["1"], [None], [True], [[1]]]


@pytest.mark.parametrize(
    ("read", "item", "words"),
    [
        *((read_note_lists, item, "is not a list of notes") for item in (*NO_NOTES, 7, None)),
        *((read_labels, item, "is neither a whole number nor") for item in (*NO_LABELS, None)),
    ],
)
def test_readers_name_an_item_of_another_kind(written, read, item, words):
    path = written(npy_bytes(object_array([[], item])))
    with pytest.raises(UserError) as caught:
        list(read(path))
    assert f"item 1 (counted from 0) of {path} {words}" in str(caught.value)


# Text, bytes, LONG4 and a place in the memo; the same and BYTEARRAY8 and FRAME in eight bytes.
CLAIMS = [code + b"\xff\xff\xff\x7f" for code in (b"X", b"B", b"\x8b", b"r")]
CLAIMS += [code + struct.pack("<Q", 1 << 40) for code in (b"\x8d", b"\x8e", b"\x96", b"\x95")]


@pytest.mark.parametrize("claim", [*CLAIMS, b"r\xff\xff\xff\xff"])
def test_read_items_allocates_no_claimed_size(written, claim):
    path = written(b"\x80\x04](" + claim + b"abc")
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            read_items(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("read", [read_note_lists, read_labels])
def test_readers_reject_deeply_nested_lists(written, read):
    n = 100_000
    for nested in (
        b"](" * n + b"e" * n,
        b"]" * n + b"a" * n,
        b"]K\x01" + b"\x85" * n + b"a",
        b"](" + b"(" * n + b"t" * n + b"e",
        b"](" + b"(" * n,
    ):
        with pytest.raises(UserError):
            list(read(written(b"\x80\x04" + nested + b".")))


def test_readers_reject_lists_that_refer_to_each_other_without_end(written):
    doubled = [0] * 8
    for _ in range(40):
        doubled = [doubled, doubled]
    long = [[0.0, 1.0, 60]] * 1000
    endless: list = [[1], [2]]
    endless.append(endless)
    for items in ([doubled], [long] * 1000, endless, [endless, [3]]):
        path = written(pickle.dumps(items))
        for read in (read_items, read_note_lists, read_labels):
            with pytest.raises(UserError):
                list(read(path))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("read", READERS)
def test_readers_run_no_planted_code(written, tmp_path, protocol, read):
    flag = tmp_path / "went_off"
    bomb = Bomb(os.system, f"touch {flag}")
    messages = "name code|not in the published form|not a .npy file"
    if protocol < 2:  # of their instructions, some in text, lists of numbers need few
        messages += "|the pickle instruction [A-Z]+,"
    for payload in (bomb, [[1], bomb], [[1], [[bomb]]]):
        pickled = pickle.dumps(payload, protocol)
        array = npy_bytes(object_array([[1], payload]), protocol)
        for content in (pickled, array, npy_around(pickled)):
            with pytest.raises(UserError, match=messages):
                list(read(written(content)))
    assert not flag.exists()


@pytest.mark.parametrize(
    ("instructions", "complaint"),
    [
        (b"cbuiltins\neval\n", "builtins.eval"),
        (b"\x8c\x08builtins\x8c\x04eval\x93", "builtins.eval"),
        (b"(ios\nsystem\n", "INST"),
        (b"(cnumpy\nndarray\no", "OBJ"),
        (b"cnumpy\nndarray\n)\x81", "NEWOBJ"),
        (b"cnumpy\nload\n", "numpy.load"),
        (b"cnumpy\nndarray.tofile\n", "numpy.ndarray.tofile"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00rottR", "damaged"),
        (b"\x82\x01", "EXT1"),
        (b"Pname\n", "PERSID"),
        (b"K\x01Q", "BINPERSID"),
        (b"K\x012", "DUP"),
        (b"\x8f", "EMPTY_SET"),
        (b"I5\n", "INT"),
        (b"\x97", "NEXT_BUFFER"),
        (b"\xff", "damaged"),
        (b"K\x01K\x02R", "damaged"),
        (b"K\x01K\x02b", "damaged"),
        (b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85RC\x08abcdefgh\x86R", "damaged"),
        # a state for a stand-in itself, and for what has none
        *((name + b"K\x01K\x02\x86b", "damaged") for name in (b"cnumpy\ndtype\n", b"]", b"K\x01")),
    ],
)
def test_read_items_rejects_other_instructions_and_names(written, instructions, complaint):
    for content in (
        b"\x80\x04](" + instructions + b"e.",
        b"\x80\x04]" + instructions + b"a.",
        b"\x80\x04](K\x01](" + instructions + b"ee.",
    ):
        with pytest.raises(UserError, match=complaint):
            read_items(written(content))


SONGS = object_array(random_songs([3, 1, 4, 2, 2, 6]))
SMALL = {
    **{f"songs{protocol}": npy_bytes(SONGS, protocol) for protocol in (2, 3, 4)},
    "benchmark": npy_bytes(object_array([[[0.0, 0.5, 60], [0.25, 1.5, 62]], [[3.0, 4.0, 70]]]), 3),
    "labels": npy_bytes(object_array([[*range(20)], [1, 2, 300]]), 3),
    "numpy": npy_bytes(object_array([[np.int64(3), np.float64(2)], np.arange(6)]), 4),
    "paths": pickle.dumps(["a/b.mid", "c/d.mid", "e/f.mid"], 2),
    "numeric": npy_of(np.arange(24).reshape(3, 2, 4)),
}


@pytest.mark.parametrize("kind", SMALL)
def test_readers_reject_files_cut_short_anywhere(written, kind):
    path = written(b"")
    for length in range(len(SMALL[kind])):
        path.write_bytes(SMALL[kind][:length])
        for read in READERS:
            with pytest.raises(UserError):
                list(read(path))


def assert_error_or_plain(path):
    for read in READERS:
        with contextlib.suppress(UserError):
            for item in read(path):
                if read is not read_items:
                    assert_plain(item.tolist())
    path.unlink()


@settings(max_examples=100)
@given(data=st.data(), kind=st.sampled_from(sorted(SMALL)))
def test_readers_give_plain_values_of_damaged_files_or_an_error(written, data, kind):
    content = bytearray(SMALL[kind])
    start = data.draw(st.sampled_from([0, 0x80 if kind != "paths" else 0]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(start, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    assert_error_or_plain(written(bytes(content)))


CODES = b"]()tea.KqhrjCXGIJMNc\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95Rb"
PIECES = [bytes([code]) for code in CODES]
PIECES += [b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\nscalar\n", b"X\x02\x00\x00\x00i8"]
PIECES += [b"C\x01a", b"K\x05", b"q\x00", b"h\x00"]


@settings(max_examples=100)
@given(pieces=st.lists(st.sampled_from(PIECES)))
def test_readers_give_plain_values_of_any_program_or_an_error(written, pieces):
    program = b"](" + b"".join(pieces) + b"e."
    for start in (b"\x80\x04", SMALL["songs3"].partition(b"]")[0]):
        assert_error_or_plain(written(start + program))


@pytest.mark.parametrize(
    "shape",
    [(2,), (0,), (2**62,), (10**30,), (-1,), (), (1, 2**62), (0, 0), (2**62, 0), (1,) * 200],
)
def test_readers_reject_a_header_with_another_shape(written, shape):
    pickled = pickle.dumps(object_array([[[1, 2, 3, 4]]]), 4)
    for content in (npy_around(pickled, shape), npy_around(b"\0" * 8, shape, descr="<i8")):
        for read in READERS:
            with pytest.raises(UserError):
                list(read(written(content)))


@pytest.mark.parametrize("value", [{1}, bytearray(b"a"), 1j, object(), np.str_("a")])
def test_read_items_rejects_other_objects(written, value):
    for payload in ([value, value], [[[value]]], [(1, value)], value):
        with pytest.raises(UserError):
            read_items(written(pickle.dumps(payload, 4)))


NO_LISTS = [pickle.dumps(value, 4) for value in (7, "text", (1, 2), None, np.float64(1.0))]
NO_LISTS += [npy_around(b"\0" * 16, descr=descr) for descr in ("<U2", "<c8", "|V8", "<M8[s]")]
NO_HEADER = [b"{'descr': '|O'}\n", b"(" * 16, b"\xff" * 16]
NO_HEADER = [b"\x93NUMPY%s\x00\x10\x00" % v + h for v in (b"\1", b"\2") for h in NO_HEADER]


@pytest.mark.parametrize("content", [*NO_LISTS, *NO_HEADER, b"", b"\x93", b"MThd\0\0\0\6", b"\x80"])
def test_readers_reject_other_files(written, content):
    path = written(content)
    for read in READERS:
        with pytest.raises(UserError) as caught:
            list(read(path))
        assert str(path) in str(caught.value)
