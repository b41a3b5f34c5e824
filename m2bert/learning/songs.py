"""Labelled songs: the material of a task of the user's own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class LabelledSong:
    """A song and its labels.

    Attributes:
        path: its file.
        name: the path within the given folder, by which reports and splits name it.
        notes: CP notes, (notes, 4) uint8, as the models of its level of tasks read them.
        labels: of a piece one class, () int64; of its notes (notes,) int64, 0 for no label.
        group: songs of one group are never divided between training and test.
    """

    path: Path
    name: str
    notes: np.ndarray
    labels: np.ndarray
    group: int


def majority_class(songs: Sequence[LabelledSong]) -> int:
    """The most frequent label; notes without a label do not count."""
    counts: Counter[int] = Counter()
    for song in songs:
        counts.update(song.labels[song.labels > 0].tolist() if song.labels.ndim else [int(song.labels)])
    return counts.most_common(1)[0][0]
