"""Transposition of training segments, with their chord roots and keys (beyond the paper)."""

import warnings

import numpy as np
import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.model.transposition import OCTAVE, PITCH, class_shifts, fifths_of, moved_classes
from m2bert.notes.cp import PITCHES, real_notes
from m2bert.tasks import Task, place_in_fifths


def transposed(
    task: Task, notes: Tensor, labels: Tensor, most: int, seed: list[int]
) -> tuple[Tensor, Tensor]:
    """Segments and labels, each segment moved by a random number of semitones, at most `most`.

    notes: (segments, notes, 4) uint8; labels: (segments, notes) or (segments,) int16; seed: of
    numpy's generator. The shift is uniform over those that keep each note in the vocabulary's range
    and each name among the classes. Names are spelled so that their mean place on the line of
    fifths is as near as possible to that of all segments.
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
    semitones = draw.argmax(1) - most
    moved = notes.clone()
    by = torch.from_numpy(semitones).to(notes.device)[:, None] * real
    moved[..., PITCH] = (pitch + by).to(notes.dtype)
    if not task.names_pitches:
        return moved, labels
    of_segments = labels.cpu().numpy().reshape(len(labels), -1)
    fifths = spelled_fifths(task, of_segments, semitones)
    tables = {steps: moved_classes(task, steps) for steps in np.unique(fifths).tolist()}
    names = [tables[steps][row] for steps, row in zip(fifths.tolist(), of_segments, strict=True)]
    return moved, torch.from_numpy(np.stack(names)).to(labels).view_as(labels)


def spelled_fifths(task: Task, labels: np.ndarray, semitones: np.ndarray) -> np.ndarray:
    """By how many steps on the line of fifths each segment's names are moved, (segments,) int64.

    labels: (segments, notes) of a task that names pitches; semitones: (segments,).
    """
    places = [place_in_fifths(name) for name in task.classes]
    place = np.array([np.nan if its is None else its[0] for its in places])[labels]
    with warnings.catch_warnings():  # of segments without a name
        warnings.simplefilter("ignore", RuntimeWarning)
        means, mean = np.nanmean(place, 1), np.nanmean(place)
    fewest = np.array(list(map(fifths_of, semitones.tolist())))
    turns = np.rint(np.nan_to_num((means + fewest - mean) / OCTAVE)).astype(int)
    return np.where(semitones == 0, 0, fewest - OCTAVE * turns)


def check_transposable(task: Task) -> None:
    """Raise `UserError` for a task whose labels would be wrong at another pitch."""
    if task.at_pitch:
        raise UserError(
            f"{task.name} cannot be trained with --transpose: its labels depend on the pitch "
            "itself; omit the task or the flag"
        )
