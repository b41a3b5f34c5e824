"""Synthetic fine-tuning data, and small models."""

from pathlib import Path

import numpy as np
import torch

from m2bert.model.classifiers import CLASSIFIERS, Classifier
from m2bert.model.config import M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.notes.cp import PAD
from m2bert.tasks import TASKS, Task
from tests.helpers.synthetic import random_segments

SMALL = M2BertConfig(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, dropout=0.1
)


def labels_for(task: Task, notes: np.ndarray) -> np.ndarray:
    """Labels that a model can learn: up to three classes, of low, middle and high pitches."""
    lowest = 0 if task.level == "piece" else 1
    by_note = lowest + notes[..., 2].astype(np.int64) * 3 // 87
    by_note = np.minimum(by_note, len(task.classes) - 1)
    if task.level == "piece":
        return by_note[:, 0]
    return np.where(notes[..., 0] == PAD[0], 0, by_note)


def write_task(folder: Path, name: str, segments: int = 8, length: int = 24) -> None:
    """Write all parts of a task's data."""
    write_data(folder, TASKS[name], segments, length)


def write_data(folder: Path, task: Task, segments: int = 8, length: int = 24) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(task.parts):
        rng = np.random.default_rng(number)
        notes = random_segments(rng, segments, length, shortest=length // 2)
        if task.level == "piece":  # one pitch per piece, which can be learnt
            pitch = rng.integers(0, 86, (segments, 1))
            notes[..., 2] = np.where(notes[..., 0] == PAD[0], PAD[2], pitch)
        notes_file, labels_file = task.file_names(part)
        np.save(folder / notes_file, notes)
        np.save(folder / labels_file, labels_for(task, notes).astype(np.uint8))


def write_unscorable_grid(folder: Path, part: str) -> None:
    """Change local keys so that the score is 0/0: all notes of a segment share a 16th, and only the
    first has a label."""
    notes_file, labels_file = TASKS["localkey"].file_names(part)
    notes, labels = np.load(folder / notes_file), np.load(folder / labels_file)
    real = notes[..., 0] != PAD[0]
    notes[real, 0], notes[real, 1] = 1, 0
    labels[:, 1:] = 0
    np.save(folder / notes_file, notes)
    np.save(folder / labels_file, labels)


def write_checkpoint(folder: Path, config: M2BertConfig = SMALL, seed: int = 0) -> Path:
    """Write a model as pre-training does."""
    torch.manual_seed(seed)
    M2BertForPreTraining(config).save_pretrained(folder / "model_best", {"epoch": 3})
    return folder


def new_classifier(name: str, seed: int = 0, config: M2BertConfig = SMALL) -> Classifier:
    """A classifier with random weights."""
    torch.manual_seed(seed)
    return CLASSIFIERS[TASKS[name].level](config, TASKS[name])


def save_classifier(folder: Path, name: str, seed: int = 0, **record) -> Path:
    """Write a classifier as fine-tuning does."""
    new_classifier(name, seed).save_pretrained(folder, {"task": name, **record})
    return folder
