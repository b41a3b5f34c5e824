"""A classifier of notes, trained a little more on a few songs, such as corrected ones."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch

from m2bert.base.progress import show_progress
from m2bert.base.recipes import Recipe
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.learning.arrays import segments
from m2bert.learning.songs import LabelledSong
from m2bert.model.classifiers import NoteClassifier
from m2bert.tasks import Task

RATE, STEPS = 5e-5, 15
"""The learning rate, and the least number of steps: few small ones, which leave other songs as they
were (benchmarks/LOG.md)."""

FEW_SONGS, FOLDS = 10, 5
"""Below `FEW_SONGS` each song is held out once, else a fold of them."""


def trained_on(
    model: NoteClassifier,
    task: Task,
    songs: Sequence[LabelledSong],
    precision: str,
    seed: int,
) -> NoteClassifier:
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


def held_out_scores(
    model: NoteClassifier,
    task: Task,
    songs: Sequence[LabelledSong],
    precision: str,
    seed: int,
) -> dict:
    """What training on the other songs does to each song: fractions of the labelled notes that are
    right before and after it, and of the others whose class changes."""
    folds = len(songs) if len(songs) < FEW_SONGS else FOLDS
    fold = np.random.default_rng(seed).permutation(len(songs)) % folds
    before, after, labelled, true = [], [], [], []
    for number in show_progress(range(folds), "songs held out", folds):
        others = [song for song, its in zip(songs, fold, strict=True) if its != number]
        trained = trained_on(model, task, others, precision, seed)
        for song in (song for song, its in zip(songs, fold, strict=True) if its == number):
            before.append(model.probabilities(song.notes, precision=precision).argmax(1))
            after.append(trained.probabilities(song.notes, precision=precision).argmax(1))
            true.append(song.labels)
            labelled.append(song.labels > 0)
    old, new, label, has_label = map(np.concatenate, (before, after, true, labelled))
    changed = (old != new)[~has_label]
    return {
        "labelled_notes": int(has_label.sum()),
        "right_before": float((old == label)[has_label].mean()),
        "right_after": float((new == label)[has_label].mean()),
        "other_notes": int((~has_label).sum()),
        "other_notes_changed": float(changed.mean()) if len(changed) else 0.0,
    }


def has_helped(scores: dict) -> bool:
    """Whether more labelled notes of held-out songs are right than before, by more than the other
    notes change. Corrected notes were wrong before, so any change can only seem to help them."""
    gain = scores["right_after"] - scores["right_before"]
    return gain > 0 and gain >= scores["other_notes_changed"]
