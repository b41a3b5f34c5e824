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
from m2bert.learning.splits import folds_of
from m2bert.model.classifiers import Classifier
from m2bert.tasks import Task

RATE, STEPS = 1e-4, 15
"""The learning rate, and the least number of steps: few small ones, which leave other songs as they
were (benchmarks/LOG.md)."""

NOTE_FOLDS, SONG_FOLDS, FEW_SONGS = 3, 5, 10
"""Folds of the two cross-validations; fewer than `FEW_SONGS` songs are held out one by one."""


def trained_on(
    model: Classifier, task: Task, songs: Sequence[LabelledSong], precision: str, seed: int
) -> Classifier:
    """A copy of the model, trained on the labelled notes of some songs; the model itself if there
    are none. Its weights are the means of those before and after the training, which keeps most of
    the gain and leaves other songs nearly as they were (Wortsman et al., "Robust fine-tuning of
    zero-shot models", CVPR 2022)."""
    cut = [segments(task, song) for song in songs]
    notes, labels = (np.concatenate(arrays) for arrays in zip(*cut, strict=True))
    labelled = (labels > 0).any(1)
    if not labelled.any():
        return model
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
    with torch.no_grad():
        for new, old in zip(trainer.model.parameters(), model.parameters(), strict=True):
            new.lerp_(old, 0.5)
    return trainer.model.eval()


def predicted_without_note(
    model: Classifier, task: Task, songs: Sequence[LabelledSong], precision: str, seed: int
) -> list[np.ndarray]:
    """The classes of the notes of each song, those of labelled notes by a model that was trained
    without their labels, but with others of the song."""
    rng = np.random.default_rng(seed)
    folds = [rng.permutation(len(song.notes)) % NOTE_FOLDS for song in songs]
    return _predicted_without(model, task, songs, folds, "labels held out", precision, seed)


def predicted_without_song(
    model: Classifier, task: Task, songs: Sequence[LabelledSong], precision: str, seed: int
) -> list[np.ndarray]:
    """The classes of the notes of each song, by a model that was trained on other songs."""
    group = np.array([song.group for song in songs])
    number = len(np.unique(group)) if len(songs) < FEW_SONGS else SONG_FOLDS
    fold = folds_of(group, np.zeros(len(songs), np.int64), number, seed)
    folds = [np.full(len(song.notes), its) for song, its in zip(songs, fold, strict=True)]
    return _predicted_without(model, task, songs, folds, "songs held out", precision, seed)


def _predicted_without(
    model: Classifier,
    task: Task,
    songs: Sequence[LabelledSong],
    folds: Sequence[np.ndarray],
    title: str,
    precision: str,
    seed: int,
) -> list[np.ndarray]:
    """The classes of the notes of each song, by models that were trained without the labels of
    their fold. folds: of the notes of each song, (notes,) int64."""
    found = [np.zeros(len(song.notes), np.int64) for song in songs]
    numbers = np.unique(np.concatenate(folds))
    for number in show_progress(numbers, title, len(numbers)):
        rest = [
            replace(song, labels=np.where(fold == number, 0, song.labels))
            for song, fold in zip(songs, folds, strict=True)
        ]
        trained = trained_on(model, task, rest, precision, seed)
        places = [place for place, fold in enumerate(folds) if number in fold]
        of_songs = classes_of(trained, [songs[place] for place in places], precision)
        for place, classes in zip(places, of_songs, strict=True):
            kept = folds[place] == number
            found[place][kept] = classes[kept]
    return found


def classes_of(
    model: Classifier, songs: Sequence[LabelledSong], precision: str
) -> list[np.ndarray]:
    """The most probable class of each song, () int64, or of each of its notes, (notes,)."""
    found = model.probabilities([song.notes for song in songs], precision=precision)
    return [probabilities.argmax(-1) for probabilities in found]


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
    """Whether held-out labels are right more often than before, by a larger fraction than that of
    the other notes that changed: corrected notes were wrong before, so any change seems to help
    them."""
    gain = (found["right_after"] - found["right_before"]) / found["labelled_notes"]
    return gain > 0 and gain >= found["other_notes_changed"] / max(found["other_notes"], 1)
