"""Transposition of training segments, with their chord roots and keys (beyond the paper)."""

import numpy as np
import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.model.transposition import PITCH, class_shifts
from m2bert.notes.cp import PITCHES, real_notes
from m2bert.tasks import Task


def transposed(
    task: Task, notes: Tensor, labels: Tensor, most: int, seed: list[int]
) -> tuple[Tensor, Tensor]:
    """Segments and labels, each segment moved by a random number of semitones, at most `most`.

    notes: (segments, notes, 4) uint8; labels: (segments, notes) or (segments,) int16; seed: of
    numpy's generator. The shift is uniform over those that keep each note in the vocabulary's range
    and each name among the classes.
    """
    classes = class_shifts(task, most)
    real = real_notes(notes)
    pitch = notes[..., PITCH].long()
    lowest = pitch.masked_fill(~real, PITCHES).amin(1)
    highest = pitch.masked_fill(~real, -1).amax(1)
    shift = torch.arange(-most, most + 1, device=notes.device)
    fits = (lowest[:, None] + shift >= 0) & (highest[:, None] + shift < PITCHES)
    has_class = torch.from_numpy(classes >= 0).to(notes.device)  # (shifts, classes)
    kept = has_class[:, labels.long().view(len(labels), -1)].all(-1).T
    weights = (fits & kept).cpu().numpy()
    draw = np.random.default_rng(seed).random(weights.shape) * weights
    chosen = torch.from_numpy(draw.argmax(1)).to(notes.device)
    moved = notes.clone()
    by = shift[chosen][:, None] * real
    moved[..., PITCH] = (pitch + by).to(notes.dtype)
    table = torch.from_numpy(classes).to(labels.device, labels.dtype)
    places = chosen.view(-1, *[1] * (labels.ndim - 1)).expand_as(labels)
    return moved, table[places, labels.long()]


def check_transposable(task: Task) -> None:
    """Raise `UserError` for a task whose labels would be wrong at another pitch."""
    if task.at_pitch:
        raise UserError(
            f"{task.name} cannot be trained with --transpose: its labels depend on the pitch "
            "itself; omit the task or the flag"
        )
