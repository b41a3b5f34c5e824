"""Labelled songs -> the files of a task, as `m2bert.finetune` reads them."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from m2bert.base.files import replacing
from m2bert.learning.songs import LabelledSong
from m2bert.notes.windows import cut_labels, cut_notes
from m2bert.tasks import Task


def write_parts(task: Task, songs: Sequence[LabelledSong], parts: np.ndarray, folder: Path) -> None:
    """Write the segments of each part (of `Task.parts`) and their labels.

    parts: the part of each song, (songs,) str.
    """
    for part in task.parts:
        cut = [segments(task, song) for song, its in zip(songs, parts, strict=True) if its == part]
        arrays = (np.concatenate(array) for array in zip(*cut, strict=True))
        for name, array in zip(task.file_names(part), arrays, strict=True):
            with replacing(folder / name) as temporary, temporary.open("wb") as file:
                np.save(file, array, allow_pickle=False)


def segments(task: Task, song: LabelledSong) -> tuple[np.ndarray, np.ndarray]:
    """The segments of a song, (segments, length, 4) uint8, and their labels, int16: (segments,
    length), padded with 0, or of a piece (segments,)."""
    notes, labels = cut_notes(song.notes, task.segment_length), song.labels
    if task.level == "piece":
        return notes, np.full(len(notes), labels, np.int16)
    return notes, cut_labels(labels, task.segment_length).astype(np.int16)


def checksum(songs: Sequence[LabelledSong], parts: np.ndarray) -> str:
    """A checksum of songs, labels and their parts, in hexadecimal digits."""
    digest = blake2b(digest_size=8)
    for song, part in zip(songs, parts.tolist(), strict=True):
        for data in (part.encode(), song.notes.tobytes(), song.labels.tobytes()):
            digest.update(data)
    return digest.hexdigest()
