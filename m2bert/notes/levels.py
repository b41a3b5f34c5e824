"""Levels of vectors: the piece, a bar or a note."""

from collections.abc import Callable

import numpy as np

from m2bert.notes.cp import BAR_NEW


def bars(notes: np.ndarray) -> np.ndarray:
    """The bar of each CP note, counted from 0; the notes may begin inside a bar."""
    opens = notes[:, 0] == BAR_NEW
    return np.cumsum(opens) - opens[0]


LEVELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "piece": lambda notes: np.zeros(len(notes), np.int64),
    "bar": bars,
    "note": lambda notes: np.arange(len(notes)),
}
"""For each level, the function from CP notes (notes, 4) to the number of the piece, bar or note of
each, (notes,) int64, from 0."""
