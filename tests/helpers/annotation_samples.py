"""Synthetic annotations."""

from io import BytesIO
from pathlib import Path

import numpy as np
from miditoolkit import Instrument, MidiFile, Note, TempoChange

from m2bert.annotation.labels import Annotation
from m2bert.annotation.models import ModelFacts
from m2bert.model.predictions import NOT_READ, NoteLabels, PieceLabels
from m2bert.notes.midi_reader import read_with_mido
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS
from tests.helpers.midi_files import write_midi

NOTE_TASKS = [name for name in BENCHMARK_TASKS if TASKS[name].level == "note"]
PIECE_TASKS = [name for name in BENCHMARK_TASKS if TASKS[name].level == "piece"]
HOSTILE = '</script><img src=x onerror="window.broken=1"><!--\'&amp;{{song}}'


WALTZ_CHORDS = ((48, 67, 72, 75), (47, 62, 65, 67), (48, 67, 72, 75))
"""The pitches of Cm, G7/B and Cm: a low one and three that follow it twice."""

WALTZ_ROOTS = [TASKS["chordroot"].classes.index(root) for root in "CGC" for _ in range(7)]


def write_waltz(path: Path) -> Path:
    """Write three bars of 3/4 with the notes of `WALTZ_CHORDS`, at 120 quarter notes a minute."""
    notes = [
        (480 * (3 * bar + beat), 480 * (3 * bar + beat + (1 if beat else 3)), pitch)
        for bar, (low, *others) in enumerate(WALTZ_CHORDS)
        for beat in range(3)
        for pitch in (others if beat else [low])
    ]
    return write_midi(path, notes, signatures=[(3, 4)])


def annotated_waltz(path: Path) -> Annotation:
    """The song of `write_waltz`, with Cm, G7/B and Cm in C minor."""
    c_minor = [TASKS["localkey"].classes.index("C minor")] * len(WALTZ_ROOTS)
    song = read_song(write_waltz(path))
    return annotate(song, {"chordroot": WALTZ_ROOTS, "localkey": c_minor})


def note_labels(task: str, labels, probability: float | np.ndarray = 0.9) -> NoteLabels:
    """Labels of notes, each with `probability`; the others divide the rest equally."""
    labels, classes = np.asarray(labels), TASKS[task].classes
    probabilities = np.empty((len(labels), len(classes)), np.float32)
    probabilities.T[:] = (1 - probability) / (len(classes) - 1)
    probabilities[np.arange(len(labels)), labels] = probability
    probabilities[labels == NOT_READ] = np.nan
    return NoteLabels(classes, probabilities)


def piece_labels(task: str, windows) -> PieceLabels:
    """Labels of a piece, the mean of its windows (windows, classes)."""
    windows = np.asarray(windows, np.float32)
    return PieceLabels(TASKS[task].classes, windows)


def annotate(song: Song, note_tasks: dict | None = None, piece_tasks: dict | None = None):
    """An annotation of labels by task; drums are marked so."""
    note_tasks, piece_tasks = note_tasks or {}, piece_tasks or {}
    return Annotation(
        song=song,
        marks={"drums": song.is_drum},
        note_labels={task: note_labels(task, labels) for task, labels in note_tasks.items()},
        piece_labels={task: piece_labels(task, rows) for task, rows in piece_tasks.items()},
        models={task: [ModelFacts(task)] for task in (*note_tasks, *piece_tasks)},
        warnings=[],
        key_change=0,  # labels stand as they are given
    )


def made_up_song(notes: int, path: Path = Path("a song.mid"), names=("right", "left")) -> Song:
    rng = np.random.default_rng(notes)
    midi = MidiFile(ticks_per_beat=480)
    midi.tempo_changes = [TempoChange(90, 0), TempoChange(150.5, 4800)]
    for number, name in enumerate(names):
        part = Instrument(program=number, is_drum=number == 2, name=name)
        count = notes // len(names) + (number < notes % len(names))
        starts = rng.integers(0, 96 * notes, count)
        ends = starts + rng.integers(60, 1500, count)
        fields = [rng.integers(1, 128, count), rng.integers(21, 109, count), starts, ends]
        part.notes = [Note(*note) for note in np.transpose(fields).tolist()]
        midi.instruments.append(part)
    data = BytesIO()
    midi.dump(file=data, charset="utf-8")
    return read_with_mido(path, data.getvalue())


def made_up_annotation(song: Song, tasks=BENCHMARK_TASKS, unread: float = 0.05) -> Annotation:
    """Labels at random, of whole percents so that rounding cannot hide a mistake."""
    rng = np.random.default_rng(7)
    was_read = rng.random(len(song)) >= unread

    def labels_of(task: str) -> NoteLabels:
        classes = len(TASKS[task].classes)
        label = rng.integers(classes > 2, classes, len(song))
        percent = rng.integers(60, 100, len(song))
        return note_labels(task, np.where(was_read, label, NOT_READ), percent / 100)

    def labels_of_piece(task: str) -> PieceLabels:
        return piece_labels(task, [rng.dirichlet(np.ones(len(TASKS[task].classes)))])

    return Annotation(
        song,
        {"short": ~was_read, "drums": song.is_drum},
        {name: labels_of(name) for name in NOTE_TASKS if name in tasks},
        {name: labels_of_piece(name) for name in PIECE_TASKS if name in tasks},
        {name: [ModelFacts(f"seed_2021/{name}")] for name in tasks},
        ["The file has drums, which no model was trained on."],
    )
