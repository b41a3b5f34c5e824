"""An annotation in a few lines: what a musician asks of a piece."""

from collections import Counter
from itertools import pairwise

import numpy as np

from m2bert.annotation.labels import (
    CHORD_TASK,
    KEY_TASK,
    SPAN_TITLES,
    UNSURE_BELOW,
    Annotation,
    mean_probabilities,
    mean_probability,
    shown_labels,
    spans,
)
from m2bert.annotation.meter import has_written_bars
from m2bert.annotation.models import BEAT_TASKS
from m2bert.annotation.names import clock, readable_class, with_signs

FIRST_TITLES = ("key", "tempo", "time signature", "chords")
"""The titles of the first lines."""

MOST_NAMES, LEAST_FRACTION = 5, 0.005
"""The most names in a line, each of at least this fraction of the notes or of the time."""


def summary(annotation: Annotation) -> str:
    """A line for the key, the tempo, the time signature, the chords and each other task; then the
    warnings."""
    lines = {"tempo": tempo_line(annotation), "time signature": meter_line(annotation)}
    for task in (*annotation.note_labels, *annotation.piece_labels):
        if task not in BEAT_TASKS:
            line = f"{fractions(annotation, task)}{certainty(annotation, task)}"
            lines[SPAN_TITLES.get(task, annotation.tasks[task].title)] = line
    order = [title for title in FIRST_TITLES if title in lines]
    width = max(map(len, lines))
    rows = [f"  {title:<{width}}  {lines[title]}" for title in dict.fromkeys([*order, *lines])]
    return "\n".join(rows + [f"warning: {warning}" for warning in annotation.warnings])


def certainty(annotation: Annotation, task: str) -> str:
    """In brackets: the mean probability of the labels, and the number of models if there are
    several; empty if no note was read."""
    mean = mean_probability(annotation, task)
    if mean is None:
        return ""
    kind = "probability" if task in annotation.piece_labels else "mean probability"
    models = len(annotation.models[task])
    several = f", mean of {models} models" if models > 1 else ""
    return f"  ({kind} {mean:.2f}{', unsure' if mean < UNSURE_BELOW else ''}{several})"


def tempo_line(annotation: Annotation) -> str:
    """The median tempo, and its 10th and 90th percentiles if they differ."""
    tempo = annotation.beats.tempo
    if not len(tempo):
        return "unknown: there is a single beat"
    low, median, high = np.rint(np.percentile(tempo, (10, 50, 90))).astype(int)
    changing = f", mostly {low} to {high}" if low < high else ""
    return f"{median} beats per minute{changing}{_source(annotation)}"


def meter_line(annotation: Annotation) -> str:
    """The time signatures of the file, the longest first; where bars are decoded, the most
    frequent number of beats."""
    if annotation.beats.is_decoded:
        if "downbeat" not in annotation.note_labels:
            return "unknown, as downbeats were not labelled"
        number = annotation.beats.number
        lengths = np.diff(np.flatnonzero(number == 1))
        usual = np.bincount(lengths).argmax() if len(lengths) else number.max()
        return f"{usual} beats in a bar{_source(annotation)}"
    notes = annotation.song.notes
    held: Counter[str] = Counter()
    for (top, bottom, tick), (*_, end) in pairwise(
        [*notes.time_signatures, (0, 0, notes.end.max())]
    ):
        held[f"{top}/{bottom}"] += max(end - tick, 0)
    names = [name for name, _ in held.most_common()] or ["4/4"]
    return f"{_several(names)}{_source(annotation)}"


def _source(annotation: Annotation) -> str:
    if annotation.beats.is_decoded:
        return "  (decoded)"
    ignored = "" if has_written_bars(annotation.song) else "; the notes ignore it"
    return f"  (as written in the file{ignored})"


def fractions(annotation: Annotation, task: str) -> str:
    """The most frequent labels: of keys and chords with their fractions of the time, of notes with
    those of the notes; of a piece its class."""
    if piece := annotation.piece_labels.get(task):
        return readable_class(piece.name, annotation.tasks[task])
    if not annotation.note_labels[task].was_read.any():
        return "no note that the models read"
    ordered = [(n, part) for n, part in _most_frequent(annotation, task) if part >= LEAST_FRACTION]
    shown = with_signs if task in SPAN_TITLES else str
    return _several([f"{shown(name)} {part:.0%}" for name, part in ordered])


def row(annotation: Annotation, name: str) -> dict:
    """The summary as a row of a table, for the song `name`; None if unknown."""
    keys = _most_frequent(annotation, KEY_TASK) if KEY_TASK in annotation.note_labels else []
    means = mean_probabilities(annotation)
    tempo = annotation.beats.tempo
    return {
        "file": name,
        "notes": len(annotation.song),
        "duration": clock(annotation.song),
        "key": keys[0][0] if keys else None,
        "key_fraction": round(keys[0][1], 3) if keys else None,
        "chords": fractions(annotation, CHORD_TASK) if CHORD_TASK in means else None,
        "tempo": round(float(np.median(tempo))) if len(tempo) else None,
        **{f"{task}_probability": mean and round(mean, 3) for task, mean in means.items()},
        "warnings": "; ".join(annotation.warnings),
    }


def _most_frequent(annotation: Annotation, task: str) -> list[tuple[str, float]]:
    """The labels of a task, as in tables, with their fractions, the most frequent first."""
    labels = annotation.note_labels[task]
    found: Counter[str] = Counter()
    if task in SPAN_TITLES:
        for span in spans(annotation, task):
            root_position = span.name.split("/")[0]
            found[root_position] += span.end - span.start
    else:
        names = labels.names_of(shown_labels(annotation, task)[0][labels.was_read])
        found.update(readable_class(name, annotation.tasks[task]) for name in names)
    total = max(found.total(), 1)
    return [(name, part / total) for name, part in found.most_common()]


def _several(names: list[str]) -> str:
    """At most `MOST_NAMES` names, and the number of the others."""
    more = len(names) - MOST_NAMES
    return "; ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
