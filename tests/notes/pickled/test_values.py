"""Reading what others pickled: every value comes back right."""

import io
import json
import pickle

import numpy as np
import pytest

from m2bert.base.errors import UserError
from m2bert.notes.pickled.lists import is_pickled, read_items
from tests.helpers.pickles import PROTOCOLS, assert_plain, npy_around, npy_bytes, object_array
from tests.helpers.shared import GOLDEN, needs_golden

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
