"""An annotation as tables for spreadsheets (CSV) and programs (JSON)."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from m2bert.annotation.labels import (
    CHORD_TASK,
    KEY_TASK,
    Annotation,
    chord_spans,
    mean_probabilities,
    note_names,
    shown_labels,
    spans_at,
)
from m2bert.annotation.models import VOICE_TASK
from m2bert.annotation.names import class_in_table, readable_name
from m2bert.base.files import write_text
from m2bert.base.outputs import sha256
from m2bert.base.tables import csv_text

ANNOTATION_FORMAT = 3
"""Version of the JSON file's format."""


def write_annotation_csv(annotation: Annotation, path: Path) -> None:
    """Write `annotation_csv`."""
    write_csv(path, annotation_csv(annotation))


def write_csv(path: Path, text: str) -> None:
    """Write CSV in UTF-8 with a byte order mark, without which spreadsheets misread names."""
    write_text(path, f"\ufeff{text}")


@lru_cache(maxsize=1)  # of the CSV file and the page
def annotation_csv(annotation: Annotation) -> str:
    """`table_rows` as CSV."""
    return csv_text(table_rows(annotation))


def table_rows(annotation: Annotation) -> list[dict]:
    """`note_records` with marks as text, joined by semicolons."""
    records = note_records(annotation)
    return [record | {"marks": ";".join(record["marks"])} for record in records]


def write_chords_csv(annotation: Annotation, path: Path) -> None:
    """Write a row for each chord: where it begins, its symbol, and its mean probability."""
    chords, found = annotation.chords, chord_spans(annotation)
    starts = np.array([span.start for span in found])
    places = annotation.beats.onto_beats(starts)
    columns = {
        "bar": annotation.bars.numbers_at(places).tolist(),
        "beat": annotation.beats.places(places).round(3).tolist(),
        "seconds": annotation.song.seconds(starts).round(3).tolist(),
        "name": [span.name for span in found],
        "probability": [round(chord.probability, 4) for chord in chords],
    }
    records = _records(columns)
    write_csv(path, csv_text(records) if records else ",".join(columns) + "\n")


def write_annotation_json(annotation: Annotation, path: Path) -> None:
    """Write one JSON object: facts about the file, probabilities of the piece (`piece`: by task and
    class; `piece_windows`: the same for each window), models, warnings, and the `note_records` as
    `notes`, one per line."""
    song, pieces = annotation.song, annotation.piece_labels.items()
    means = mean_probabilities(annotation)
    facts = {
        "format_version": ANNOTATION_FORMAT,
        "file": song.name,
        "sha256": sha256(song.path),
        "ticks_per_beat": song.notes.ticks_per_beat,
        "seconds": round(float(song.seconds(song.notes.end.max())), 6),
        "tracks": [
            {"track": number, **asdict(track)} for number, track in enumerate(song.tracks, 1)
        ],
        "piece": {task: _by_class(found.classes, found.probabilities) for task, found in pieces},
        "piece_windows": {
            task: [_by_class(found.classes, window) for window in found.windows]
            for task, found in pieces
        },
        "mean_probability": {
            task: None if mean is None else round(mean, 4) for task, mean in means.items()
        },
        "models": {task: [*map(asdict, facts)] for task, facts in annotation.models.items()},
        "warnings": annotation.warnings,
    }
    head = json.dumps(facts, indent=1, allow_nan=False).removesuffix("\n}")
    notes = ",\n".join(
        f"  {json.dumps(record, allow_nan=False)}" for record in note_records(annotation)
    )
    write_text(path, f'{head},\n "notes": [\n{notes}\n ]\n}}\n')


@lru_cache(maxsize=1)  # of the CSV and JSON files
def note_records(annotation: Annotation) -> list[dict]:
    """A record for each note by onset and pitch; docs/annotate.md describes the columns."""
    song, notes = annotation.song, annotation.song.notes
    track_names = np.array([track.name for track in song.tracks], object)
    places = annotation.beats.onto_beats(notes.start)
    arrays: dict[str, Any] = {
        "index": np.arange(len(song)),
        "bar": annotation.bars.numbers_at(places),
        "beat_in_bar": annotation.beats.places(places).round(3),
        "track": notes.track + 1,
        "track_name": track_names[notes.track],
        "onset_ticks": notes.start,
        "duration_ticks": notes.end - notes.start,
        "onset_beats": song.beats(notes.start).round(6),
        "duration_beats": song.beats(notes.end - notes.start).round(6),
        "onset_seconds": song.seconds(notes.start).round(6),
        "duration_seconds": (song.seconds(notes.end) - song.seconds(notes.start)).round(6),
        "pitch": notes.pitch,
        "pitch_name": np.array(note_names(annotation), object),
        "midi_velocity": notes.velocity,
    }
    columns: dict[str, list] = {name: array.tolist() for name, array in arrays.items()}
    marked = np.column_stack(list(annotation.marks.values()))
    columns["marks"] = [list(compress(annotation.marks, row)) for row in marked]
    for task, labels in annotation.note_labels.items():
        probability = labels.probability.astype(np.float64).round(4).astype(object)
        probability[~labels.was_read] = None
        names = [class_in_table(name, annotation.tasks[task]) for name in labels.classes]
        columns[task] = _named(names, labels.label)
        columns[f"{task}_probability"] = probability.tolist()
        if task == KEY_TASK:
            columns[f"{task}_span"] = _named(names, shown_labels(annotation, task)[0])
        if task == CHORD_TASK:
            found = spans_at(chord_spans(annotation), notes.start)
            columns["chord"] = [span and span.name for span in found]
        if task == VOICE_TASK:
            columns[f"{task}_shown"] = _named(map(readable_name, labels.classes), labels.label)
    records = _records(columns)
    return [records[note] for note in np.lexsort((notes.track, notes.pitch, notes.start))]


def _records(columns: dict[str, list]) -> list[dict]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _named(names: Iterable[str], label: np.ndarray) -> list[str | None]:
    """The names of classes of notes; None for those that were not read (`NOT_READ` is -1)."""
    return np.array([*names, None], object)[label].tolist()


def _by_class(classes: tuple[str, ...], probabilities: np.ndarray) -> dict[str, float]:
    return dict(zip(classes, probabilities.astype(np.float64).round(4).tolist(), strict=True))
