"""The input and the output of classifiers for a song (docs/METHOD.md, "Annotation")."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from m2bert.base.devices import choose_precision, usual_batch_size
from m2bert.model.transposition import class_shifts, enharmonic_groups, moved_notes, possible_shifts
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.windows import check_stride
from m2bert.tasks import Task

if TYPE_CHECKING:  # MIDI libraries are not needed for training
    from m2bert.notes.song import Song


NOT_READ = -1


@dataclass(frozen=True)
class NoteLabels:
    """The labels of the notes of a song for one task.

    Attributes:
        classes: names of the classes.
        probabilities: (notes, classes) float32 in the order of the song's notes; NaN for the notes
            that were not read.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def was_read(self) -> np.ndarray:
        """Which notes were read (drums are not), (notes,) bool."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def label(self) -> np.ndarray:
        """The most probable class of each note, (notes,) int64, `NOT_READ` where there is none."""
        best = np.nan_to_num(self.probabilities, nan=-1.0).argmax(1)
        return np.where(self.was_read, best, NOT_READ)

    @property
    def names(self) -> np.ndarray:
        """The name of that class, (notes,) object: a str, or None where there is none."""
        return self.names_of(self.label)

    def names_of(self, label: np.ndarray) -> np.ndarray:
        """Names of classes, (notes,) int64 -> object, None for `NOT_READ`."""
        return np.array([*self.classes, None], object)[label]  # NOT_READ is the last

    @property
    def probability(self) -> np.ndarray:
        """Probability of that class, (notes,) float32, NaN where there is none."""
        return self.probabilities.max(1)


@dataclass(frozen=True)
class PieceLabels:
    """The labels of a piece for one task.

    Attributes:
        classes: names of the classes.
        probabilities: (classes,) float32.
        windows: (windows, classes) float32, of each of the windows that they are the mean of.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    windows: np.ndarray

    @property
    def label(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    @property
    def name(self) -> str:
        """The name of that class."""
        return self.classes[self.label]


@lru_cache(maxsize=2)  # all tasks of a song read the same
def voices(song: "Song", by_track: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """The input of models of notes: the song, or each of its tracks, without drums.

    Each is CP notes (notes, 4) uint8 in the benchmark's order, and the index of each in the song,
    (notes,) int64.
    """
    notes, pitched = song.notes, ~song.is_drum
    times = song.beats(np.stack([notes.start, notes.end]))
    table = np.column_stack([*times, notes.pitch]).astype(np.float64)
    groups = [notes.track == track for track in range(len(song.tracks))] if by_track else [True]
    indices = [index for group in groups if len(index := np.flatnonzero(pitched & group))]
    ordered = [index[order_by_onset(table[index])] for index in indices]
    return [(cp_notes_of_beats(table[index]), index) for index in ordered]


def window_stride(stride: int | None, length: int) -> int:
    """The stride to use: half a window if `stride` is None, and never more than a window, so that
    no note is omitted.

    Raises `ValueError` as `windows.check_stride` does.
    """
    return length // 2 if stride is None else min(check_stride(stride), length)


@torch.inference_mode()
def window_probabilities(
    model: nn.Module, windows: np.ndarray, precision: str | None = None
) -> np.ndarray:
    """CP windows (windows, notes, 4) -> (windows, notes, classes) float32; of a model of pieces
    (windows, classes).

    The model is in evaluation mode. precision: "fp32" or "bf16", by default
    `devices.choose_precision`'s.
    """
    device = next(model.parameters()).device
    bf16 = (precision or choose_precision(None, device)) == "bf16"
    found = []
    for batch in torch.from_numpy(windows).split(usual_batch_size(device)):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            logits = model(batch.to(device))
        found.append(logits.float().softmax(-1).cpu().numpy())
    return np.concatenate(found)


def mean_of_transpositions(
    model: nn.Module, task: Task, windows: np.ndarray, precision: str | None, transpositions: int
) -> tuple[np.ndarray, np.ndarray]:
    """CP windows -> the probabilities of each window, and of its enharmonically equivalent classes
    together, as a mean over its transpositions; both (windows, notes, classes).

    Transpositions that leave the vocabulary's range are omitted; the others of a window share its
    batches.
    """
    group = enharmonic_groups(task)
    most = transpositions // 2
    moved_group = group[class_shifts(task, most)]  # (shifts, classes)
    own, mean = [], []
    for window in windows:
        shifts = possible_shifts(window, transpositions)
        moved = np.stack([moved_notes(window, semitones) for semitones in shifts])
        found = window_probabilities(model, moved, precision)
        own.append(found[shifts.index(0)])
        same = group[:, np.newaxis] == moved_group[np.add(shifts, most), np.newaxis]
        mean.append((found @ same.astype(np.float32)).mean(0))
    return np.stack(own), np.stack(mean)


def spelled(task: Task, own: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The probabilities `mean` of enharmonically equivalent classes, given to the one that is most
    probable in `own`; the others have 0. All (notes, classes)."""
    group, note, result = enharmonic_groups(task), np.arange(len(own)), np.zeros_like(mean)
    for first in np.unique(group):
        names = np.flatnonzero(group == first)
        best = names[own[:, names].argmax(1)]
        result[note, best] = mean[note, best]
    return result
