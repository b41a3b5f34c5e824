"""Which songs are trained on, which choose the model, and which test it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from m2bert.base.errors import UserError
from m2bert.base.files import write_text
from m2bert.base.tables import csv_text
from m2bert.learning.tables import plain_text, read_columns
from m2bert.tasks import SPLITS

TENTHS = 10
"""A split has a tenth of the songs of each class for testing and one for validation."""


def groups_of(songs: Sequence[Sequence[object]]) -> np.ndarray:
    """A number for each group of songs, (songs,) int64. songs: of each, what it may have in common
    with others of its group, such as a checksum of its notes and the name of its source."""
    features = [(song, feature) for song, of_song in enumerate(songs) for feature in of_song]
    numbers = {feature: number for number, (_, feature) in enumerate(features)}
    rows = [song for song, _ in features]
    columns = [len(songs) + numbers[feature] for _, feature in features]
    size = len(songs) + len(features)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), (size, size))
    return connected_components(graph, directed=False)[1][: len(songs)]


def source_of(name: str, pattern: re.Pattern[str]) -> str:
    """The source of a clip by `--group_by`, a regular expression for the beginning of its file's
    name: what its first group matches, or all of it. Raises `UserError` if it does not match."""
    found = pattern.match(PurePosixPath(name).stem)
    if not found:
        raise UserError(
            f"--group_by {pattern.pattern!r} does not match {name}: it is a regular expression for "
            "the beginning of the file's name, such as '(.+)_'"
        )
    return found[1 if pattern.groups else 0]


def folds_of(groups: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each song, (songs,) int64: the groups of each class in a random order are dealt
    to the folds in turn, so that each fold has as much of each class as possible.

    groups: (songs,); labels: of the songs, (songs,) int64; a group's is its most frequent one.
    """
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    label = [Counter(labels[groups == group].tolist()).most_common(1)[0][0] for group in names]
    fold = np.empty(len(names), np.int64)
    for value in np.unique(label):
        of_class = rng.permutation(np.flatnonzero(np.array(label) == value))
        fold[of_class] = np.arange(len(of_class)) % folds
    return fold[np.searchsorted(names, groups)]


def parts_of(groups: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """The part of each song, (songs,) str, one of `SPLITS`: about a tenth of each class, and at
    least one group, for each of validation and test."""
    fold = folds_of(groups, labels, TENTHS, seed)
    return np.array(["test", "valid", *["train"] * (TENTHS - 2)])[fold]


def read_split(path: Path, names: Sequence[str]) -> np.ndarray:
    """The parts of songs by a table with the columns `file` and `part`, as `write_split` writes it.

    Raises `UserError` if the table cannot be read, a song is missing, or a part is none of
    `SPLITS`.
    """
    columns, _ = read_columns(path)
    cells = (map(plain_text, columns.get(name, [])) for name in ("file", "part"))
    part = dict(zip(*cells, strict=False))
    for name in names:
        if part.get(name) not in SPLITS:
            raise UserError(
                f"{path} has the part {part.get(name)!r} for {name}: it needs the columns file and "
                f"part, and a part of {', '.join(SPLITS)} for every song"
            )
    return np.array([part[name] for name in names])


def write_split(path: Path, names: Sequence[str], parts: np.ndarray) -> None:
    """Write the part of each song, a table that `read_split` and spreadsheets read."""
    rows = [{"file": name, "part": part} for name, part in zip(names, parts.tolist(), strict=True)]
    write_text(path, f"\ufeff{csv_text(rows)}")
