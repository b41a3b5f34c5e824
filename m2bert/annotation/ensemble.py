"""A song and fine-tuned models in, an annotation out."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2bert.annotation.labels import KEY_CHANGE, Annotation
from m2bert.annotation.models import ModelFacts
from m2bert.annotation.warnings import (
    EMOTION_TASK,
    LEAST_PITCHED,
    marks_of,
    pitched_notes,
    warnings_of,
)
from m2bert.base.errors import UserError
from m2bert.model.classifiers import load_classifier
from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.notes.song import Song


def annotate(
    song: Song,
    models: dict[str, list[Path]],
    device: torch.device,
    stride: int | None = None,
    precision: str | None = None,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
    key_change: float = KEY_CHANGE,
) -> Annotation:
    """Let the models of every task label the song.

    models: folders by task (`models.find_models`), the mean of several is taken; stride: notes
    from one window to the next, by default half a window; precision: "fp32" or "bf16", by default
    bf16 on a GPU that has it; progress: wraps the loop over the tasks, as tqdm does; key_change:
    what a change of key costs (`labels.KEY_CHANGE`). `EMOTION_TASK` is left out, with a warning, of
    songs with fewer than `LEAST_PITCHED` pitched notes.
    """
    marks = marks_of(song)
    left_out = {EMOTION_TASK} if pitched_notes(song) < LEAST_PITCHED else set()
    labels = {
        task: labels_of(song, models[task], device, stride, precision)
        for task in progress([task for task in models if task not in left_out])
    }
    return Annotation(
        song=song,
        marks=marks,
        note_labels={t: found for t, found in labels.items() if isinstance(found, NoteLabels)},
        piece_labels={t: found for t, found in labels.items() if isinstance(found, PieceLabels)},
        models={task: list(map(ModelFacts.of, models[task])) for task in labels},
        warnings=warnings_of(song, marks, models),
        key_change=key_change,
    )


def labels_of(
    song: Song, folders: list[Path], device: torch.device, stride: int | None, precision: str | None
) -> NoteLabels | PieceLabels | None:
    """The mean of what several models of one task say; None if they can read no note of the song.

    Raises `UserError` if their classes differ.
    """
    found: list[NoteLabels | PieceLabels] = []
    for folder in folders:  # one at a time: a model of the paper's size takes 250 MB
        labels = load_classifier(folder).to(device).predict(song, stride, precision)
        if labels is None:  # the song holds nothing that any model of the task reads
            return None
        found.append(labels)
        if labels.classes != found[0].classes:
            raise UserError(
                f"{folder} has other classes than {folders[0]}: they cannot be averaged"
            )
    arrays = vars(found[0]).keys() - {"classes"}
    means: dict[str, Any] = {
        name: np.mean([getattr(labels, name) for labels in found], axis=0) for name in arrays
    }
    return replace(found[0], **means)
