"""Reading what others pickled: memory stays flat, no code runs, damage is one kind of error."""

import contextlib
import io
import itertools
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes.pickled import machine
from m2bert.notes.pickled.lists import (
    is_pickled,
    read_items,
    read_labels,
    read_note_lists,
    read_songs,
)
from tests.helpers.pickles import (
    NOT_FIXTURES,
    PROTOCOLS,
    READERS,
    assert_plain,
    npy_around,
    npy_bytes,
    object_array,
    random_note_lists,
    random_songs,
)

# ---- memory


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("fast", [True, False])
def test_memory_does_not_grow_with_the_file(written, monkeypatch, protocol, fast):
    if not fast:
        monkeypatch.setattr(machine, "_ROW_RUNS", {})
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
        monkeypatch.setattr(machine, "_ROW_RUNS", {})
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
