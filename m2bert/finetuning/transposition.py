"""Transposition of training segments, with their chord roots and keys (beyond the paper).

Names are places on the line of fifths (... B- F C G D ... = ... -2 -1 0 1 2 ...), on which a name
moves by 7 for each semitone upwards, plus or minus 12 for an enharmonically equivalent spelling.
"""

import numpy as np
import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.notes.cp import FIELDS, PITCHES, real_notes
from m2bert.tasks import Task, place_in_fifths

PITCH = FIELDS.index("Pitch")
"""The column of a CP note."""


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


def class_shifts(task: Task, most: int) -> np.ndarray:
    """The transposed classes of a task, (2 most + 1, classes) int64: in row most + k, k semitones
    upwards, the nearest spelling that is a class, or -1."""
    if not task.names_pitches:
        return np.tile(np.arange(len(task.classes)), (2 * most + 1, 1))
    places = [place_in_fifths(name) for name in task.classes]
    known = {place: label for label, place in enumerate(places) if place is not None}
    rows = []
    for semitones in range(-most, most + 1):
        steps = sorted((7 * semitones + 12 * turns for turns in range(-12, 13)), key=abs)
        row = []
        for label, place in enumerate(places):
            if place is None:  # padding
                row.append(label)
                continue
            fifths, mode = place
            row.append(next((known[p] for s in steps if (p := (fifths + s, mode)) in known), -1))
        rows.append(row)
    return np.array(rows)


def check_transposable(task: Task) -> None:
    """Raise `UserError` for a task whose labels would be wrong at another pitch."""
    if task.at_pitch:
        raise UserError(
            f"{task.name} cannot be trained with --transpose: its labels depend on the pitch "
            "itself; omit the task or the flag"
        )
