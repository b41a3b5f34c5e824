"""Beats, chords and keys as text with times in seconds, as mir_eval reads it."""

from pathlib import Path

import numpy as np

from m2bert.annotation.chord_names import harte_key, harte_label, interval_lines
from m2bert.annotation.labels import KEY_TASK, Annotation, Span, chord_keys, chord_spans, key_spans
from m2bert.annotation.meter import beat_lines
from m2bert.base.files import write_text


def write_beats_lab(annotation: Annotation, path: Path) -> None:
    """Write a line for each beat: its time and its number in the bar."""
    write_text(path, beat_lines(annotation.beats.second, annotation.beats.number))


def write_chords_lab(annotation: Annotation, path: Path) -> None:
    """Write a line for each chord: its begin and end, and its name in Harte's syntax."""
    named = zip(annotation.chords, chord_keys(annotation), strict=True)
    _write(path, annotation, chord_spans(annotation), [harte_label(*chord) for chord in named])


def write_keys_lab(annotation: Annotation, path: Path) -> None:
    """Write a line for each key: its begin and end, and its name in Harte's syntax."""
    classes, found = annotation.note_labels[KEY_TASK].classes, key_spans(annotation)
    _write(path, annotation, found, [harte_key(classes[span.label]) for span in found])


def _write(path: Path, annotation: Annotation, found: list[Span], names: list[str]) -> None:
    starts, ends = annotation.song.seconds(np.array([span[:2] for span in found]).reshape(-1, 2)).T
    write_text(path, interval_lines(starts, ends, names))
