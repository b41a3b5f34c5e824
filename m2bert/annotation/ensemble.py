"""A song and fine-tuned models in, an annotation out."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2bert.annotation.labels import KEY_CHANGE, Annotation
from m2bert.annotation.models import ModelFacts
from m2bert.annotation.warnings import LEAST_PITCHED, marks_of, warnings_of
from m2bert.base.errors import UserError
from m2bert.model.classifiers import Classifier, load_classifier, task_in
from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.model.transposition import OCTAVE
from m2bert.notes.song import Song


def annotate(
    song: Song,
    models: dict[str, list[Path]],
    device: torch.device,
    stride: int | None = None,
    precision: str | None = None,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
    key_change: float = KEY_CHANGE,
    transpositions: int = OCTAVE,
    load: Callable[[Path], Classifier] = load_classifier,
) -> Annotation:
    """Label a song with the models of each task.

    models: folders by task (`models.find_models`); several are averaged. stride: notes from one
    window to the next, by default half a window; precision: "fp32" or "bf16", by default bf16 on a
    GPU that has it; progress: wraps the loop over the tasks, as tqdm does; key_change: as
    `labels.KEY_CHANGE`; transpositions: as in `classifiers.Classifier.predict`; load: reads the
    model in a folder. Emotion is omitted, with a warning, if there are too few pitched notes
    (`warnings.LEAST_PITCHED`).
    """
    marks = marks_of(song)
    too_short = (~song.is_drum).sum() < LEAST_PITCHED
    labels = {
        task: labels_of(song, models[task], device, stride, precision, transpositions, load)
        for task in progress([task for task in models if not (too_short and task == "emotion")])
    }
    return Annotation(
        song=song,
        marks=marks,
        note_labels={t: found for t, found in labels.items() if isinstance(found, NoteLabels)},
        piece_labels={t: found for t, found in labels.items() if isinstance(found, PieceLabels)},
        models={task: list(map(ModelFacts.of, models[task])) for task in labels},
        warnings=warnings_of(song, marks, models),
        tasks={task: task_in(models[task][0]) for task in labels},
        key_change=key_change,
    )


def labels_of(
    song: Song,
    folders: list[Path],
    device: torch.device,
    stride: int | None,
    precision: str | None,
    transpositions: int,
    load: Callable[[Path], Classifier],
) -> NoteLabels | PieceLabels | None:
    """The mean of several models of one task; None if the song has no note that they read.

    Raises `UserError` if their classes differ.
    """
    found: list[NoteLabels | PieceLabels] = []
    for folder in folders:  # one at a time: a model of the paper's size takes 250 MB
        model = load(folder).to(device)
        labels = model.predict(song, stride, precision, transpositions)
        if labels is None:
            return None
        found.append(labels)
        if labels.classes != found[0].classes:
            raise UserError(
                f"{folder} has other classes than {folders[0]}: they cannot be averaged"
            )
    means: dict[str, Any] = {
        name: np.mean([getattr(labels, name) for labels in found], axis=0)
        for name in vars(found[0])
        if name != "classes"
    }
    return replace(found[0], **means)
