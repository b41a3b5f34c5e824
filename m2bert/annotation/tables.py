"""An annotation as tables for spreadsheets (CSV) and programs (JSON)."""

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from m2bert.annotation.labels import (
    SMOOTHED_TASK,
    Annotation,
    mean_probability,
    note_names,
    shown_labels,
)
from m2bert.annotation.midi import TRACK_TASK
from m2bert.annotation.names import readable_name, table_name
from m2bert.base.files import write_text
from m2bert.base.outputs import sha256
from m2bert.base.tables import csv_text

ANNOTATION_FORMAT = 2
"""Version of the JSON file's format."""


def write_annotation_csv(annotation: Annotation, path: Path) -> None:
    """Write `annotation_csv` in UTF-8."""
    # without the byte order mark spreadsheets misread names of tracks
    write_text(path, f"\ufeff{annotation_csv(annotation)}")


def annotation_csv(annotation: Annotation) -> str:
    """`note_records` as CSV; marks are joined by semicolons."""
    records = note_records(annotation)
    return csv_text([record | {"marks": ";".join(record["marks"])} for record in records])


def write_annotation_json(annotation: Annotation, path: Path) -> None:
    """Write everything as one JSON object: facts of the file, what is said of the piece (`piece`:
    task -> class -> probability; `piece_windows`: the same of each window), models, warnings, and
    `notes`, the `note_records`, one a line."""
    song = annotation.song
    facts = {
        "format_version": ANNOTATION_FORMAT,
        "file": song.name,
        "sha256": sha256(song.path),
        "ticks_per_beat": song.notes.ticks_per_beat,
        "seconds": round(float(song.seconds(song.notes.end.max())), 6),
        "tracks": [
            {"track": number, **asdict(track)} for number, track in enumerate(song.tracks, 1)
        ],
        "piece": {
            task: _by_class(labels.classes, labels.probabilities)
            for task, labels in annotation.piece_labels.items()
        },
        "piece_windows": {
            task: [_by_class(labels.classes, window) for window in labels.windows]
            for task, labels in annotation.piece_labels.items()
        },
        "mean_probability": {
            task: None if (mean := mean_probability(annotation, task)) is None else round(mean, 4)
            for task in (*annotation.note_labels, *annotation.piece_labels)
        },
        "models": {task: [*map(asdict, facts)] for task, facts in annotation.models.items()},
        "warnings": annotation.warnings,
    }
    head = _json(facts, indent=1).removesuffix("\n}")
    notes = ",\n".join(f"  {_json(record)}" for record in note_records(annotation))
    write_text(path, f'{head},\n "notes": [\n{notes}\n ]\n}}\n')


def note_records(annotation: Annotation) -> list[dict]:
    """A record for each note of the song, in its order.

    `track` counts the song's instruments (`song.Notes`) from 1; beats are quarter notes; `measure`,
    of scores only, is the measure number in the file; middle C (60) is C4; `midi_velocity` is
    how hard the note is struck (1..127). `TASK` is the label by name and `TASK_probability` its
    probability, None for notes that were not read; `localkey_span` is the decoded key at the note,
    `melody_shown` the name that is shown of a class of the benchmark.
    """
    song, notes = annotation.song, annotation.song.notes
    names = np.array([track.name for track in song.tracks], object)
    columns: dict[str, Any] = {
        "index": np.arange(len(song)),
        "track": notes.track + 1,
        "track_name": names[notes.track],
        "onset_ticks": notes.start,
        "duration_ticks": notes.end - notes.start,
        "onset_beats": song.beats(notes.start).round(6),
        "duration_beats": song.beats(notes.end - notes.start).round(6),
        "onset_seconds": song.seconds(notes.start).round(6),
        "duration_seconds": (song.seconds(notes.end) - song.seconds(notes.start)).round(6),
        **({} if song.measures is None else {"measure": song.bars.numbers_at(notes.start)}),
        "pitch": notes.pitch,
        "pitch_name": np.array(note_names(annotation), object),
        "midi_velocity": notes.velocity,
    }
    columns = {name: column.tolist() for name, column in columns.items()}
    marked = np.column_stack(list(annotation.marks.values()))
    columns["marks"] = [list(compress(annotation.marks, row)) for row in marked]
    for task, labels in annotation.note_labels.items():
        probability = labels.probability.astype(np.float64).round(4).astype(object)
        probability[~labels.was_read] = None
        names = labels.names.tolist()
        columns |= {task: _each(table_name, names), f"{task}_probability": probability.tolist()}
        if task == SMOOTHED_TASK:
            key, _ = shown_labels(annotation, task)
            columns[f"{task}_span"] = _each(table_name, labels.names_of(key).tolist())
        if task == TRACK_TASK:
            columns[f"{task}_shown"] = _each(readable_name, names)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _each(rename: Callable[[str], str], names: list[str | None]) -> list[str | None]:
    return [None if name is None else rename(name) for name in names]


def _by_class(classes: tuple[str, ...], probabilities: np.ndarray) -> dict[str, float]:
    return dict(zip(classes, probabilities.astype(np.float64).round(4).tolist(), strict=True))


def _json(value: dict, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, allow_nan=False)
