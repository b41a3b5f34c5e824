"""What tests of reading pickled files share: files, made-up songs and note lists, checks."""

import io
import pickle

import numpy as np
from hypothesis import HealthCheck, settings

from m2bert.notes.object_arrays import read_items, read_labels, read_note_lists
from m2bert.notes.published_songs import read_songs

PROTOCOLS = [2, 3, 4, 5]
READERS = [read_items, read_songs, read_note_lists, read_labels]
NOT_FIXTURES = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Bomb:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


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


def random_songs(rng, lengths):
    return [rng.integers(0, 256, (length, 4)).tolist() for length in lengths]


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


def assert_plain(value):
    """Only what the reader may build, nowhere a trace of what the file named."""
    assert isinstance(value, int | float | bool | str | None | list | tuple)
    if isinstance(value, list | tuple):
        for part in value:
            assert_plain(part)
