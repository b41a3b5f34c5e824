"""A numpy `.npz` whose largest array is written as it is computed."""

from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np


def write_npz(
    path: Path,
    name: str,
    rows: Iterable[np.ndarray],
    shape: tuple[int, int],
    others: dict[str, np.ndarray],
) -> None:
    """Write the float32 array `name` of a known shape from blocks of its rows, and other arrays.

    `numpy.load` reads the file without pickles. The same arrays give the same bytes.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with ZipFile(path, "w") as file:
        with file.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for block in rows:
                member.write(block.astype("<f4").tobytes())
        for other, array in others.items():
            with file.open(ZipInfo(f"{other}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
