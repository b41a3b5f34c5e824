"""A song and fine-tuned models in, an annotation out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2bert.annotation.labels import KEY_CHANGE, Annotation
from m2bert.annotation.models import ModelFacts
from m2bert.annotation.warnings import LEAST_PITCHED, marks_of, warnings_of
from m2bert.model.classifiers import Classifier, load_classifier, task_in
from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.model.transposition import TRANSPOSITIONS
from m2bert.notes.song import Song


def annotate(
    song: Song, models: dict[str, list[Path]], device: torch.device, **settings: Any
) -> Annotation:
    """Label a song with the models of each task; arguments as for `annotate_together`."""
    return annotate_together([(song, models)], device, **settings)[0]


def annotate_together(
    songs: Sequence[tuple[Song, dict[str, list[Path]]]],
    device: torch.device,
    stride: int | None = None,
    precision: str | None = None,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
    key_change: float = KEY_CHANGE,
    transpositions: int = TRANSPOSITIONS,
    load: Callable[[Path], Classifier] = load_classifier,
) -> list[Annotation]:
    """Label songs, each with its models of each task; windows of several songs share batches.

    songs: each with folders by task (`models.find_models`); several of a task are averaged.
    stride: notes from one window to the next, by default half a window; precision: "fp32" or
    "bf16", by default bf16 on a GPU that has it; progress: wraps the loop over the tasks, as tqdm
    does; key_change: as `labels.KEY_CHANGE`; transpositions: as in
    `classifiers.Classifier.predict`; load: reads the model in a folder. Emotion is omitted, with a
    warning, if there are too few pitched notes (`warnings.LEAST_PITCHED`).
    """
    folders = {task: found for _, models in songs for task, found in models.items()}
    tasks = {task: task_in(found[0]) for task, found in folders.items()}
    facts = {task: list(map(ModelFacts.of, found)) for task, found in folders.items()}
    labels = {}
    for task in progress(folders):
        readers = [song for song, models in songs if task in models and can_read(song, task)]
        arguments = (folders[task], device, stride, precision, transpositions, load)
        labels[task] = iter(labels_of(readers, *arguments))
    annotations = []
    for song, models in songs:
        found = {task: next(labels[task]) for task in models if can_read(song, task)}
        marks = marks_of(song)
        annotation = Annotation(
            song=song,
            marks=marks,
            note_labels={t: its for t, its in found.items() if isinstance(its, NoteLabels)},
            piece_labels={t: its for t, its in found.items() if isinstance(its, PieceLabels)},
            models={task: facts[task] for task in found},
            warnings=warnings_of(song, marks, models),
            tasks={task: tasks[task] for task in found},
            key_change=key_change,
        )
        annotations.append(annotation)
    return annotations


def can_read(song: Song, task: str) -> bool:
    """Whether a song has enough notes for a task."""
    return task != "emotion" or (~song.is_drum).sum() >= LEAST_PITCHED


def labels_of(
    songs: list[Song],
    folders: list[Path],
    device: torch.device,
    stride: int | None,
    precision: str | None,
    transpositions: int,
    load: Callable[[Path], Classifier],
) -> list[NoteLabels | PieceLabels | None]:
    """For each song the mean of several models of one task with the same classes; None if it has no
    note that they read."""
    # one model at a time: one of the paper's size takes 250 MB
    found = [
        load(folder).to(device).predict(songs, stride, precision, transpositions)
        for folder in folders
    ]
    return list(map(mean_of, zip(*found, strict=True)))


def mean_of(labels: Sequence[Any]) -> Any:
    """The mean of the labels of a song by several models."""
    names = [name for name in vars(labels[0]) if name != "classes"] if labels[0] else []
    means = {name: np.mean([getattr(its, name) for its in labels], axis=0) for name in names}
    return labels[0] and replace(labels[0], **means)
