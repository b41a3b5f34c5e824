"""Annotations that tests make up themselves."""

from pathlib import Path

import numpy as np

from m2bert.annotation import NOT_READ, Annotation, NoteLabels, PieceLabels
from m2bert.song import Song, read_song
from m2bert.tasks import TASKS


def note_labels(task: str, labels, probability: float = 0.9) -> NoteLabels:
    """Labels of notes, each said with `probability`; the other classes share the rest."""
    classes = TASKS[task].classes
    labels = np.asarray(labels)
    rest = (1 - probability) / (len(classes) - 1)
    probabilities = np.full((len(labels), len(classes)), rest, np.float32)
    probabilities[np.arange(len(labels)), labels] = probability
    probabilities[labels == NOT_READ] = np.nan
    return NoteLabels(classes, probabilities)


def piece_labels(task: str, windows) -> PieceLabels:
    """Labels of a piece, the mean of its windows (windows, classes)."""
    windows = np.asarray(windows, np.float32)
    return PieceLabels(TASKS[task].classes, windows.mean(0), windows)


def annotate(song: Song, note_tasks: dict | None = None, piece_tasks: dict | None = None):
    """An annotation of labels by task; drums are marked so."""
    note_tasks, piece_tasks = note_tasks or {}, piece_tasks or {}
    return Annotation(
        song=song,
        marks={"drums": song.is_drum},
        note_labels={task: note_labels(task, labels) for task, labels in note_tasks.items()},
        piece_labels={task: piece_labels(task, rows) for task, rows in piece_tasks.items()},
        models={task: [f"models/{task}"] for task in (*note_tasks, *piece_tasks)},
        warnings=[],
    )


def random_annotation(path: Path, tasks=tuple(TASKS), seed: int = 0) -> Annotation:
    """Random labels of a MIDI file by all tasks; drums and each ninth note were not read."""
    song, random = read_song(path), np.random.default_rng(seed)
    unread = song.is_drum | (np.arange(len(song)) % 9 == 8)
    notes, pieces = {}, {}
    for task in map(TASKS.get, tasks):
        if task.level == "note":
            drawn = random.integers(1, len(task.classes), len(song))
            notes[task.labels] = np.where(unread, NOT_READ, drawn)
        else:
            pieces[task.labels] = random.dirichlet(np.ones(len(task.classes)), 3)
    return annotate(song, notes, pieces)
