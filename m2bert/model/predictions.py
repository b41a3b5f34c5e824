"""The input and the output of classifiers for a song (docs/METHOD.md, "Annotation")."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from m2bert.base.devices import choose_precision, usual_batch_size
from m2bert.model.transposition import class_shifts, enharmonic_groups, moved_notes, possible_shifts
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.windows import check_stride, cut_windows
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
        windows: the probabilities of each window, (windows, classes) float32.
    """

    classes: tuple[str, ...]
    windows: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """The mean over the windows, (classes,) float32."""
        return self.windows.mean(0)

    @property
    def label(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    @property
    def name(self) -> str:
        """The name of that class."""
        return self.classes[self.label]


def voices(song: "Song", by_track: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """The input of note-level models: the song, or each of its tracks, without drums.

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


def in_groups(compute: Callable[[list], Iterable], groups: Sequence[Sequence]) -> list[list]:
    """The results of `compute` for the members of all groups together, as a list per group."""
    found = iter(compute([member for group in groups for member in group]))
    return [list(islice(found, len(group))) for group in groups]


@torch.inference_mode()
def window_probabilities(
    model: nn.Module, windows: Sequence[np.ndarray], precision: str | None = None
) -> list[np.ndarray]:
    """CP windows, each (notes, 4) -> the probabilities of each, (notes, classes) float32; of a
    model of pieces (classes,).

    Windows of similar lengths share a batch. The model is in evaluation mode. precision: "fp32" or
    "bf16", by default `devices.choose_precision`'s.
    """
    device = next(model.parameters()).device
    bf16 = (precision or choose_precision(None, device)) == "bf16"
    found: list[Any] = [None] * len(windows)
    by_length = sorted(range(len(windows)), key=lambda row: -len(windows[row]))
    size, start = usual_batch_size(device), np.zeros(1, int)
    for begin in range(0, len(windows), size):
        rows = by_length[begin : begin + size]
        longest = len(windows[rows[0]])
        notes = np.concatenate([cut_windows(windows[row], start, longest) for row in rows])
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            logits = model(torch.from_numpy(notes).to(device))
        for row, values in zip(rows, logits.float().softmax(-1).cpu().numpy(), strict=True):
            found[row] = values[: len(windows[row])] if values.ndim == 2 else values
    return found


def means_of_transpositions(
    model: nn.Module,
    task: Task,
    precision: str | None,
    transpositions: int,
    windows: Sequence[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """CP windows -> of each window its probabilities, and those of its enharmonically equivalent
    classes together, as a mean over its transpositions; both (notes, classes).

    Transpositions that leave the vocabulary's range are omitted.
    """
    group = enharmonic_groups(task.classes)
    most = transpositions // 2
    moved_group = group[class_shifts(task, most)]  # (shifts, classes)
    at_once = usual_batch_size(next(model.parameters()).device)  # all would need much memory
    for begin in range(0, len(windows), at_once):
        part = windows[begin : begin + at_once]
        shifts = [possible_shifts(window, transpositions) for window in part]
        moved = [[moved_notes(w, s) for s in its] for w, its in zip(part, shifts, strict=True)]
        predicted = in_groups(partial(window_probabilities, model, precision=precision), moved)
        for its, found in zip(shifts, predicted, strict=True):
            same = group[:, np.newaxis] == moved_group[np.add(its, most), np.newaxis]
            yield found[its.index(0)], (np.stack(found) @ same.astype(np.float32)).mean(0)


def spelled(task: Task, own: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The probabilities `mean` of enharmonically equivalent classes, given to the one that is most
    probable in `own`; the others have 0. All (notes, classes)."""
    group, note, result = enharmonic_groups(task.classes), np.arange(len(own)), np.zeros_like(mean)
    for first in np.unique(group):
        names = np.flatnonzero(group == first)
        best = names[own[:, names].argmax(1)]
        result[note, best] = mean[note, best]
    return result
