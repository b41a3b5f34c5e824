"""An annotation as an HTML page: a piano roll in the colours of the labels, to play and correct."""

import gzip
import html
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np

from m2bert.annotation.colours import NO_CLASS, class_colours
from m2bert.annotation.labels import (
    SPAN_TITLES,
    Annotation,
    bar_edges,
    beat_ticks,
    note_names,
    shown_labels,
    spans,
)
from m2bert.annotation.models import BEAT_TASKS, ModelFacts
from m2bert.annotation.names import class_in_table, readable_class, short_name, with_signs
from m2bert.annotation.tables import annotation_csv
from m2bert.base.files import write_text
from m2bert.base.outputs import sha256
from m2bert.base.tables import csv_text
from m2bert.tasks import Task

TEMPLATE = Path(__file__).with_suffix(".html")

NOTE_FIELDS = ("start", "end", "pitch", "velocity", "track")


def write_page(annotation: Annotation, path: Path) -> None:
    """Write `page_text`."""
    write_text(path, page_text(annotation))


def page_text(annotation: Annotation) -> str:
    """A self-contained page: notes and labels are embedded as JSON, the CSV file for corrections as
    gzip in base64."""
    table = annotation_csv(annotation).encode()
    parts = {
        "title": html.escape(annotation.song.name),
        # a "</script>" in a string would end the element
        "song": json.dumps(page_data(annotation), separators=(",", ":")).replace("<", "\\u003c"),
        "table": b64encode(gzip.compress(table, mtime=0)).decode(),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def page_data(annotation: Annotation) -> dict[str, Any]:
    """The data of the page's script; notes are in the song's order, times are ticks."""
    song, notes = annotation.song, annotation.song.notes
    bars, beats = bar_edges(annotation), annotation.beats
    clock = np.unique([0, *(tick for tick, _ in song.tempos), bars[-1]])
    return {
        "file": song.name,
        "sha256": sha256(song.path),
        "ticks_per_beat": notes.ticks_per_beat,
        "clock": {"tick": clock.tolist(), "second": song.seconds(clock).round(6).tolist()},
        "bars": {
            "tick": bars.tolist(),
            "number": annotation.bars.number,
            "kind": "bar" if song.measures is None else "measure",
        },
        "beats": {
            "tick": beats.tick.tolist(),
            "number": beats.number.tolist(),
            "first_bar": beats.first_bar,
        },
        "tempo": beats.tempo.round(1).tolist() if beats.is_decoded else [],
        "tracks": [
            {"name": track.name or f"track {number}", "is_drum": track.is_drum}
            for number, track in enumerate(song.tracks, 1)
        ],
        **{name: getattr(notes, name).tolist() for name in NOTE_FIELDS},
        "pitch_name": note_names(annotation, "♯♭"),
        "marks": {
            name: np.flatnonzero(marked).tolist() for name, marked in annotation.marks.items()
        },
        "tasks": [_note_task(annotation, name) for name in annotation.note_labels],
        "pieces": [
            {
                **_named(annotation.tasks[name], labels.classes),
                "probability": _thousandths(labels.probabilities),
                "limits": next((m.limits for m in annotation.models[name] if m.limits), ""),
            }
            for name, labels in annotation.piece_labels.items()
        ],
        "models": [
            {"title": annotation.tasks[task].title, "facts": list(map(_facts_line, facts))}
            for task, facts in annotation.models.items()
        ],
        "warnings": annotation.warnings,
        "no_class": NO_CLASS,
    }


def _facts_line(facts: ModelFacts) -> str:
    """The recorded facts about a model in words."""
    words = [facts.name]
    for part, score in (("test", facts.test_score), ("validation", facts.valid_score)):
        if score is not None:
            words.append(f"{facts.metric or 'score'} {score:.3f} ({part} set)")
            break
    if facts.licence:
        words.append(f"licence of the weights {facts.licence}")
    return ", ".join(words) + (f". {facts.limits}" if facts.limits else "")


def _note_task(annotation: Annotation, name: str) -> dict[str, Any]:
    """A task on notes. Labels are places in its classes, -1 for notes that were not read;
    probabilities are in thousandths."""
    labels, task = annotation.note_labels[name], annotation.tasks[name]
    label, probability = shown_labels(annotation, name)
    cells = [{name: class_in_table(one, task)} for one in labels.classes]
    return {
        **_named(task, labels.classes),
        "strip": SPAN_TITLES.get(name, task.title),
        "short": [short_name(one, task) for one in labels.classes],
        "cells": csv_text(cells).splitlines()[1:],
        "label": label.tolist(),
        "probability": _thousandths(probability),
        "spans": [
            span._replace(name=with_signs(span.name))
            for span in (spans(annotation, name) if name in SPAN_TITLES else [])
        ],
        "events": beat_ticks(annotation, name) if name in BEAT_TASKS else [],
    }


def _named(task: Task, classes: tuple[str, ...]) -> dict[str, Any]:
    """The names of a task, and the names and colours of its classes."""
    return {
        "name": task.name,
        "title": task.title,
        "classes": [readable_class(name, task) for name in classes],
        "colours": class_colours(task, classes),
    }


def _thousandths(probability: np.ndarray) -> list[int]:
    return np.rint(1000 * np.nan_to_num(probability)).astype(int).tolist()
