"""A classifier of notes, trained a little more on a few songs, such as corrected ones."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from m2bert.base.progress import show_progress
from m2bert.base.recipes import Recipe
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.learning.arrays import segments
from m2bert.learning.songs import LabelledSong
from m2bert.learning.splits import folds_of
from m2bert.model.classifiers import Classifier
from m2bert.tasks import Task

RATE, STEPS = 5e-5, 15
"""The learning rate, and the least number of steps: few small ones, which leave other songs as they
were (benchmarks/LOG.md)."""

FEW_SONGS, FOLDS = 10, 5
"""Below `FEW_SONGS` each song is held out once, else a fold of them."""


def trained_on(
    model: Classifier, task: Task, songs: Sequence[LabelledSong], precision: str, seed: int
) -> Classifier:
    """A copy of the model, trained on the labelled notes of some songs."""
    cut = [segments(task, song) for song in songs]
    notes, labels = (np.concatenate(arrays) for arrays in zip(*cut, strict=True))
    labelled = (labels > 0).any(1)
    device = next(model.parameters()).device
    data = LabelledSegments(
        torch.from_numpy(notes[labelled]).to(device), torch.from_numpy(labels[labelled]).to(device)
    )
    epochs = -(-STEPS // -(-len(data) // task.batch_size))
    trainer = ClassifierTrainer(
        deepcopy(model),
        replace(task, loss_on="labelled"),
        batch_size=task.batch_size,
        recipe=Recipe(epochs=epochs, lr=RATE),
        seed=seed,
        device=device,
        precision=precision,
    )
    for epoch in range(1, epochs + 1):
        trainer.train_epoch(data, epoch)
    return trainer.model.eval()


def classes_held_out(
    model: Classifier, task: Task, songs: Sequence[LabelledSong], precision: str, seed: int
) -> list[np.ndarray]:
    """The classes of the notes of each song, by a model that was trained on the other songs."""
    group = np.array([song.group for song in songs])
    folds = len(np.unique(group)) if len(songs) < FEW_SONGS else FOLDS
    fold = folds_of(group, np.zeros(len(songs), np.int64), folds, seed)
    found: list[Any] = [None] * len(songs)
    for number in show_progress(range(folds), "songs held out", folds):
        others = [songs[place] for place in np.flatnonzero(fold != number).tolist()]
        trained = trained_on(model, task, others, precision, seed)
        for place in np.flatnonzero(fold == number).tolist():
            found[place] = classes_of(trained, songs[place], precision)
    return found


def classes_of(model: Classifier, song: LabelledSong, precision: str) -> np.ndarray:
    """The most probable class of a song, () int64, or of each of its notes, (notes,)."""
    return model.probabilities(song.notes, precision=precision).argmax(-1)


def comparison(
    songs: Sequence[LabelledSong], before: Sequence[np.ndarray], after: Sequence[np.ndarray]
) -> dict:
    """How many of the labelled notes were and are right, and how many of the others changed."""
    old, new, true = map(np.concatenate, (before, after, [song.labels for song in songs]))
    labelled = true > 0
    return {
        "labelled_notes": int(labelled.sum()),
        "right_before": int((old == true)[labelled].sum()),
        "right_after": int((new == true)[labelled].sum()),
        "other_notes": int((~labelled).sum()),
        "other_notes_changed": int((old != new)[~labelled].sum()),
    }


def has_helped(found: dict) -> bool:
    """Whether labelled notes of songs held out are right more often than before, by a larger
    fraction than that of the other notes that changed. Corrected notes were wrong before, so any
    change can only seem to help them."""
    gain = (found["right_after"] - found["right_before"]) / found["labelled_notes"]
    return gain > 0 and gain >= found["other_notes_changed"] / max(found["other_notes"], 1)
