"""An annotation as one HTML page: the piano roll in the colours of its labels."""

import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from m2bert.annotation.colours import NO_CLASS, class_colours
from m2bert.annotation.labels import (
    BEAT_TASKS,
    SPAN_TASKS,
    Annotation,
    beat_ticks,
    note_names,
    shown_labels,
    spans,
)
from m2bert.annotation.models import ModelFacts
from m2bert.annotation.names import readable_name, short_name
from m2bert.base.files import write_text
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.notes.song import Song
from m2bert.tasks import TASKS

TEMPLATE = Path(__file__).with_suffix(".html")

NOTE_FIELDS = ("start", "end", "pitch", "velocity", "track")


def write_page(annotation: Annotation, path: Path) -> None:
    """Write a self-contained page: notes and labels are embedded as JSON."""
    parts = {
        "title": html.escape(annotation.song.name),
        # a string of JSON may contain "</script>", but no string needs a "<" as such
        "song": json.dumps(page_data(annotation), separators=(",", ":")).replace("<", "\\u003c"),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    write_text(path, re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template))


def page_data(annotation: Annotation) -> dict[str, Any]:
    """The data that the page's script reads; notes are in the song's order, times are ticks."""
    song, notes = annotation.song, annotation.song.notes
    clock = np.unique([0, *(tick for tick, _ in song.tempos), notes.end.max()])
    return {
        "file": song.name,
        "ticks_per_beat": notes.ticks_per_beat,
        "clock": {"tick": clock.tolist(), "second": song.seconds(clock).round(6).tolist()},
        "bars": _bars(song),
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
                **_named(name, labels.classes, range(len(labels.classes))),
                "probability": _thousandths(labels.probabilities),
                "limits": next((m.limits for m in annotation.models[name] if m.limits), ""),
            }
            for name, labels in annotation.piece_labels.items()
        ],
        "models": [
            {"title": TASKS[task].title, "facts": list(map(_facts_line, facts))}
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


def _bars(song: Song) -> dict[str, Any]:
    """The bars of a song, and the end of the last one."""
    begins, usual = song.bars.start, BEATS_PER_BAR * song.notes.ticks_per_beat
    end = begins[-1] + usual if song.measures is None else max(song.notes.end.max(), begins[-1] + 1)
    return {
        "tick": [*begins.tolist(), int(end)],
        "number": song.bars.number,
        "kind": "bar" if song.measures is None else "measure",
    }


def _note_task(annotation: Annotation, name: str) -> dict[str, Any]:
    """A task with the classes that occur. Labels are indices of these, -1 where there is none;
    probabilities are in thousandths."""
    labels = annotation.note_labels[name]
    label, probability = shown_labels(annotation, name)
    found = spans(annotation, name) if name in SPAN_TASKS else []
    present = np.unique([*label[labels.was_read], *(span.label for span in found)]).astype(int)
    place_of = np.full(len(labels.classes) + 1, -1)  # the last entry is read by NOT_READ, -1
    place_of[present] = np.arange(len(present))
    return {
        **_named(name, labels.classes, present),
        "short": [short_name(labels.classes[place]) for place in present],
        "label": place_of[label].tolist(),
        "probability": _thousandths(probability),
        "spans": [[start, end, int(place_of[of_span])] for start, end, of_span in found],
        "moments": beat_ticks(annotation, name) if name in BEAT_TASKS else [],
    }


def _named(name: str, classes: tuple[str, ...], present: Iterable[int]) -> dict[str, Any]:
    """Names of a task, and names and colours of its classes that are `present`."""
    colours = class_colours(TASKS[name], classes)
    return {
        "name": name,
        "title": TASKS[name].title,
        "classes": [readable_name(classes[place]) for place in present],
        "colours": [colours[place] for place in present],
    }


def _thousandths(probability: np.ndarray) -> list[int]:
    return np.rint(1000 * np.nan_to_num(probability)).astype(int).tolist()
