"""What a vector can be of: the piece, a bar or a note."""

from collections.abc import Callable

import numpy as np

from m2bert.notes.cp import BAR_NEW

# What a vector is of -------------------------------------------------------------------------


def one_piece(notes: np.ndarray) -> np.ndarray:
    return np.zeros(len(notes), np.int64)


def bars(notes: np.ndarray) -> np.ndarray:
    opens = notes[:, 0] == BAR_NEW
    return np.cumsum(opens) - opens[0]  # CP notes may begin inside a bar


def single_notes(notes: np.ndarray) -> np.ndarray:
    return np.arange(len(notes))


LEVELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "piece": one_piece,
    "bar": bars,
    "note": single_notes,
}
"""Level -> CP notes (notes, 4) -> the number of the unit that each belongs to, (notes,) int64,
rising from 0 by steps of 1."""
