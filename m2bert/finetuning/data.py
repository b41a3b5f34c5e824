"""The data of a task: segments of CP notes with labels, from `.npy` files.

    CORPUS_PART.npy            notes, any integer type, (segments, notes, 4), padded at the end
    CORPUS_PART_LABELSans.npy  labels, any integer type: (segments, notes) for a note task,
                               (segments,) for a piece task

as `data_creation.prepare_smc` writes them and as the original published them.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import why_unreadable
from m2bert.finetuning.metrics import METRICS, labelled_notes
from m2bert.notes.cp import FIELDS, PAD, real_notes
from m2bert.notes.object_arrays import is_pickled, read_items
from m2bert.tasks import METRIC_TITLES, PADDING, Task


@dataclass(frozen=True)
class LabelledSegments:
    """Segments and their labels, on one device.

    Attributes:
        notes: (segments, notes, 4) uint8.
        labels: (segments, notes) or (segments,) int16.
        states: of a frozen encoder, (segments, notes, hidden_size) float16 or bfloat16.
    """

    notes: Tensor
    labels: Tensor
    states: Tensor | None = None

    def __len__(self) -> int:
        return len(self.notes)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Notes of each segment without padding, (segments,) int64."""
        return real_notes(self.notes).sum(1).cpu().numpy()

    @cached_property
    def pieces(self) -> np.ndarray:
        """The piece of each segment, (segments,) int64, counted from 0. As only the last segment of
        a piece is padded, a piece of exactly one or several full segments is not distinguished from
        the next one."""
        ends = self.lengths < self.notes.shape[1]
        return np.cumsum(ends) - ends

    def checksums(self) -> list[bytes]:
        """A checksum of the notes of each segment, without padding."""
        segments = zip(self.notes.numpy(), self.lengths, strict=True)
        return [
            blake2b(notes[:length].tobytes(), digest_size=8).digest() for notes, length in segments
        ]

    def each(self, act: Callable[[Tensor], Tensor]) -> "LabelledSegments":
        """The same with `act` applied to each tensor."""
        states = None if self.states is None else act(self.states)
        return LabelledSegments(act(self.notes), act(self.labels), states)

    def summary(self) -> dict:
        """Counts and a checksum, by which results record what they were computed on."""
        notes, labels = self.notes.numpy(), self.labels.numpy()
        crc = zlib.crc32(labels.data, zlib.crc32(notes.data))
        return {"segments": len(self), "notes": int(self.lengths.sum()), "crc32": f"{crc:08x}"}


Sets = dict[str, LabelledSegments]
"""Segments by the name of their part of the data, a split or a fold."""


def summaries(sets: Sets) -> dict[str, dict]:
    """`LabelledSegments.summary` of each set."""
    return {name: part.summary() for name, part in sets.items()}


def has_data(task: Task, data_roots: Sequence[Path]) -> bool:
    """Whether one of the folders has any of the task's label files."""
    names = [task.file_names(part)[1] for part in task.parts]
    return any((root / name).exists() for root in data_roots for name in names)


def read_parts(task: Task, data_roots: Sequence[Path]) -> Sets:
    """Read all parts of a task's data (splits or folds) from the first folder that has each file.

    Raises `UserError` for a file that is missing or invalid.
    """
    return {part: _read_part(task, part, data_roots) for part in task.parts}


def doubts(task: Task, parts: Sets) -> list[str]:
    """Warnings about data that is probably a mistake: notes with the label of padding, and segments
    that are in several parts (splits or folds)."""
    found = []
    if task.level == "note" and task.classes[0] == PADDING and task.loss_on == "notes":
        for name, part in parts.items():
            notes = int(part.lengths.sum())
            if padded := notes - int(labelled_notes(part.notes, part.labels).sum()):
                found.append(
                    f"{task.name}: {padded:,} of the {notes:,} notes of {name} "
                    f"({padded / notes:.0%}) have label 0, which stands for padding: labels of "
                    "this task begin at 1"
                )
    checksums = {name: part.checksums() for name, part in parts.items()}
    in_parts = Counter(chain.from_iterable(map(set, checksums.values())))
    shared = {name: sum(in_parts[c] > 1 for c in of) for name, of in checksums.items()}
    if any(shared.values()):
        counts = (f"{n} of {len(parts[name])} in {name}" for name, n in shared.items() if n)
        found.append(
            f"{task.name}: segments with the same notes are in several parts of the data "
            f"({', '.join(counts)}), so scores are too high"
        )
    return found


def split(task: Task, parts: Sets, fold: int | None) -> Sets:
    """Training, validation and test set of one run, by the names in `SPLITS`.

    In a cross-validation fold k is the test set, fold k + 1 (after the last the first) the
    validation set, and the others are trained on. Raises `UserError` if one of them, or of the
    folds, cannot be scored or trained on.
    """
    if fold is None:
        sets = _move_to_validation(task, parts)
    else:
        folds = list(parts.values())
        following = (fold + 1) % len(folds)
        others = [folds[k] for k in range(len(folds)) if k not in (fold, following)]
        sets = {"train": _join(others), "valid": folds[following], "test": folds[fold]}
    for name, part in (sets if fold is None else parts).items():
        if why := _why_without_score(task, name, part):
            raise UserError(
                f"{task.name}: the {name} set has {len(part)} segments, but {why}: check the "
                f"labels of {task.corpus}"
            )
    return sets


def _why_without_score(task: Task, name: str, part: LabelledSegments) -> str | None:
    """Why a set has no loss or a score of 0/0; None if it has both."""
    notes, labels, metric = part.notes, part.labels, METRICS[task.metric]
    score = (name == "train" and metric.training_score) or metric.score
    is_0_of_0 = score(notes, labels, labels, task.batch_size).isnan()
    if is_0_of_0 or not metric.counted(notes, labels).any():
        return (
            f"none of their notes counts for {METRIC_TITLES[task.metric]} (notes without a label, "
            "and in 16ths those that a later note of the same 16th overwrites, do not)"
        )
    if task.loss_on == "labelled" and not labelled_notes(notes, labels).any():
        return "none of their notes has a label"
    return None


def _move_to_validation(task: Task, sets: Sets) -> Sets:
    """Move the end of the training set to the validation set (`Task.moved_to_validation`)."""
    train = sets["train"]
    moved = min(task.moved_to_validation, len(train) // 4)
    if not moved:
        return sets
    kept, rest = (train.each(lambda t: t[:-moved]), train.each(lambda t: t[-moved:]))
    return sets | {"train": kept, "valid": _join([sets["valid"], rest])}


def _join(parts: Sequence[LabelledSegments]) -> LabelledSegments:
    states = [part.states for part in parts if part.states is not None]
    return LabelledSegments(
        torch.cat([part.notes for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat(states) if states else None,
    )


# Reading and checking --------------------------------------------------------------------------


def _read_part(task: Task, part: str, data_roots: Sequence[Path]) -> LabelledSegments:
    notes_path, labels_path = (_find(name, data_roots) for name in task.file_names(part))
    notes, labels = _read_array(notes_path), _read_array(labels_path)
    if notes.ndim != 3 or notes.shape[2] != len(FIELDS) or not notes.size:
        raise UserError(f"{notes_path} has the shape {notes.shape} instead of (segments, notes, 4)")
    wanted = notes.shape[:2] if task.level == "note" else notes.shape[:1]
    if labels.shape != wanted:
        raise UserError(
            f"{labels_path} has labels {labels.shape} for segments {notes.shape[:2]} of "
            f"{notes_path.name}, where {wanted} are needed: the two files do not belong together"
        )
    _check_range(notes_path, notes, np.array(PAD), "token")
    _check_range(labels_path, labels, np.array(len(task.classes) - 1), "label")
    _check_padding(notes_path, notes)
    return LabelledSegments(
        torch.from_numpy(np.array(notes, np.uint8)), torch.from_numpy(np.array(labels, np.int16))
    )


def _find(name: str, data_roots: Sequence[Path]) -> Path:
    for root in data_roots:
        if (root / name).exists():
            return root / name
    folders = " or ".join(map(str, dict.fromkeys(data_roots)))
    raise UserError(
        f"there is no {name} in {folders}; docs/finetune.md has the data of the benchmark's tasks, "
        "docs/own_task.md that of others"
    )


def _read_array(path: Path) -> np.ndarray:
    try:
        if is_pickled(path):
            array = np.array(read_items(path))
        else:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} cannot be read as an array ({why_unreadable(path, error)})"
        ) from error
    if array.dtype.kind not in "iu":
        raise UserError(f"{path} contains {array.dtype} values instead of whole numbers")
    return array


def _check_range(path: Path, values: np.ndarray, greatest: np.ndarray, word: str) -> None:
    wrong = (values < 0) | (values > greatest)
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        limit = greatest[place[-1]] if greatest.ndim else greatest
        raise UserError(
            f"{path} has the {word} {values[place]} at {list(place)}, outside 0..{limit}: "
            "it belongs to another task, or is damaged"
        )


def _check_padding(path: Path, notes: np.ndarray) -> None:
    padding = notes == np.array(PAD)
    length = (~padding[..., 0]).sum(1)
    at_end = np.arange(notes.shape[1]) >= length[:, None]
    wrong = (padding != at_end[..., None]).any((1, 2)) | (length == 0)
    if wrong.any():
        raise UserError(
            f"{path}: segment {int(np.argmax(wrong))} (counted from 0) must have notes first, "
            f"then only rows of padding, {list(PAD)}: rebuild the data"
        )
