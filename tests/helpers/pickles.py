"""What tests of reading pickled files share: files, made-up songs, code that must not run."""

import io
import pickle

import numpy as np

from m2bert.notes.object_arrays import read_items, read_labels, read_note_lists
from m2bert.notes.published_songs import read_songs

PROTOCOLS = [2, 3, 4, 5]
READERS = [read_items, read_songs, read_note_lists, read_labels]


class Bomb:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def object_array(items) -> np.ndarray:
    return np.fromiter(items, object)


def npy_bytes(array, protocol=4) -> bytes:
    """Bytes as np.save writes an object array, with a pickle protocol of choice."""
    return npy_around(pickle.dumps(array, protocol), array.shape, np.isfortran(array))


def npy_around(data: bytes, shape=(1,), fortran=False, descr="|O") -> bytes:
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def random_songs(lengths, seed=0) -> list:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (length, 4)).tolist() for length in lengths]
