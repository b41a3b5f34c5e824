"""The labels of a song: of its notes, of spans of time, and of the piece."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from m2bert.annotation.beats import decode_beats
from m2bert.annotation.chord_names import chord_symbol, root_name
from m2bert.annotation.chords import Chord, decode_chords
from m2bert.annotation.decoding import means_of_onsets
from m2bert.annotation.keys import joined_keys, most_probable_keys
from m2bert.annotation.meter import Beats, bars_of, beats_of_file, has_written_bars, ticks_at
from m2bert.annotation.models import BEAT_TASKS, ModelFacts
from m2bert.annotation.names import pitch_name, table_name
from m2bert.model.predictions import NoteLabels, PieceLabels
from m2bert.notes.song import Bars, Song
from m2bert.tasks import PADDING, TASKS, Task

KEY_TASK, CHORD_TASK = "localkey", "chordroot"
SPAN_TITLES = {KEY_TASK: "key", CHORD_TASK: "chords"}
"""Tasks whose labels are decoded over the piece, as spans of time (`spans`), and their titles."""

KEY_CHANGE = 8.0
"""The cost of a change of key, as the logarithm of a ratio of probabilities. A lower one finds more
of the changes that are annotated in classical music, and more false ones in pop songs
(benchmarks/LOG.md)."""

UNSURE_BELOW = 0.5
"""Labels with a lower mean probability are called unsure (docs/annotate.md has how often they are
right)."""

UNKNOWN = 0.25
"""The probability of a beat or a downbeat where only the other task has a model."""


@dataclass(frozen=True, eq=False)  # hashed by identity
class Annotation:
    """A song and its labels.

    Attributes:
        marks: notes that models skip or read as something else, by the reason
            (`warnings.marks_of`), (notes,) bool.
        note_labels, piece_labels: by task (those of `tasks.TASKS` in that order, then others).
        models: by task, facts about the models whose probabilities were averaged.
        warnings: sentences for the user.
        tasks: the tasks by name.
        key_change: as `KEY_CHANGE`; with 0 each onset has its most probable key.
    """

    song: Song
    marks: dict[str, np.ndarray]
    note_labels: dict[str, NoteLabels]
    piece_labels: dict[str, PieceLabels]
    models: dict[str, list[ModelFacts]]
    warnings: list[str]
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    key_change: float = KEY_CHANGE

    @cached_property
    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """The decoded key of each note, and the sum of the probabilities of the keys that are
        enharmonically equivalent to it; as `shown_labels`."""
        labels = self.note_labels[KEY_TASK]
        label, probability, read = labels.label, labels.probability, labels.was_read
        if read.any():
            found = labels.probabilities[read]
            _, group, mean = means_of_onsets(self.song.notes.start[read], found)
            label[read] = most_probable_keys(mean, labels.classes, self.key_change)[group]
            joined = joined_keys(found, labels.classes)
            probability[read] = np.take_along_axis(joined, label[read, np.newaxis], 1)[:, 0]
        return label, probability

    @cached_property
    def chords(self) -> list[Chord]:
        """The decoded chords; empty without a model of chord roots."""
        if CHORD_TASK not in self.note_labels:
            return []
        song, labels = self.song, self.note_labels[CHORD_TASK]
        read, notes = labels.was_read, song.notes
        times = song.beats(notes.start[read]), song.beats(notes.end[read])
        return decode_chords(*times, notes.pitch[read], labels.probabilities[read], labels.classes)

    @cached_property
    def beats(self) -> Beats:
        """The beats that the file writes, or the decoded ones if the notes ignore them."""
        song, notes = self.song, self.song.notes
        found = [self.note_labels[task] for task in BEAT_TASKS if task in self.note_labels]
        if has_written_bars(song) or not found or not found[0].was_read.any():
            return beats_of_file(song)
        read = found[0].was_read
        probabilities = [
            self.note_labels[task].probabilities[read, -1]
            if task in self.note_labels
            else np.full(read.sum(), UNKNOWN)
            for task in BEAT_TASKS
        ]
        second, number = decode_beats(song.seconds(notes.start[read]), *probabilities)
        return Beats(ticks_at(song, second), second, number, is_decoded=True)

    @cached_property
    def bars(self) -> Bars:
        """The measures of a score; of a MIDI file the bars of its `beats`."""
        return self.song.measures or bars_of(self.song, self.beats)


class Span(NamedTuple):
    """A span of time under one label: ticks, a class, and the name as in tables: "Bb major", "Cm7"
    (`names.with_signs` has it in text)."""

    start: int
    end: int
    label: int
    name: str


def shown_labels(annotation: Annotation, task: str) -> tuple[np.ndarray, np.ndarray]:
    """The class that is shown of each note, (notes,) int64, and its probability, (notes,) float32:
    those of `NoteLabels`, of keys those of `Annotation.keys`."""
    if task == KEY_TASK:
        return annotation.keys
    return annotation.note_labels[task].label, annotation.note_labels[task].probability


def spans(annotation: Annotation, task: str) -> list[Span]:
    """The decoded keys or chords (a task of `SPAN_TITLES`). Each lasts until the next one, the last
    one until the music ends. Keys of the class "padding" are omitted."""
    return chord_spans(annotation) if task == CHORD_TASK else key_spans(annotation)


def key_spans(annotation: Annotation) -> list[Span]:
    """The decoded keys; empty without a model of keys."""
    labels, notes = annotation.note_labels.get(KEY_TASK), annotation.song.notes
    if labels is None or not labels.was_read.any():
        return []
    read = labels.was_read
    onsets, note = np.unique(notes.start[read], return_index=True)
    label = annotation.keys[0][read][note]
    first = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
    ends = np.append(onsets[first[1:]], notes.end.max())
    found = zip(onsets[first].tolist(), ends.tolist(), label[first].tolist(), strict=True)
    all_spans = [Span(*span, table_name(labels.classes[span[2]])) for span in found]
    return [span for span in all_spans if span.name != PADDING]


def chord_spans(annotation: Annotation) -> list[Span]:
    """The decoded chords by their symbols; the label is the class of the root as the local key
    spells it."""
    found = []
    for chord, key in zip(annotation.chords, chord_keys(annotation), strict=True):
        label = annotation.note_labels[CHORD_TASK].classes.index(root_name(chord.root, key))
        found.append(Span(*chord_ticks(annotation, chord), label, chord_symbol(chord, key)))
    return found


def chord_keys(annotation: Annotation) -> list[str | None]:
    """The local key at the beginning of each of the chords, a class of its task."""
    ticks = [chord_ticks(annotation, chord)[0] for chord in annotation.chords]
    keys = spans_at(key_spans(annotation), ticks)
    return [key and annotation.note_labels[KEY_TASK].classes[key.label] for key in keys]


def chord_ticks(annotation: Annotation, chord: Chord) -> tuple[int, int]:
    """The ticks at which a chord begins and ends."""
    ticks_per_beat = annotation.song.notes.ticks_per_beat
    return round(chord.start * ticks_per_beat), round(chord.end * ticks_per_beat)


def bar_edges(annotation: Annotation) -> np.ndarray:
    """The ticks at which bars begin, and the one at which the last bar ends, int64 (bars + 1,). It
    is as long as the one before, in a score as its notes."""
    song, begins = annotation.song, annotation.bars.start
    common_time = 4 * song.notes.ticks_per_beat
    full = 1 if song.measures else np.diff(begins, prepend=begins[0] - common_time)[-1]
    return np.append(begins, max(song.notes.end.max(), begins[-1] + full))


def spans_at(found: list[Span], ticks: Sequence[int] | np.ndarray) -> list[Span | None]:
    """The span at each tick; None before the first one."""
    places = np.searchsorted([span.start for span in found], ticks, side="right")
    around = [None, *found]
    return [around[place] for place in places]


def beat_ticks(annotation: Annotation, task: str) -> list[int]:
    """The ticks of `Annotation.beats`, of the task "downbeat" those of downbeats."""
    beats = annotation.beats
    return beats.tick[(beats.number == 1) | (task == "beat")].tolist()


def mean_probability(annotation: Annotation, task: str) -> float | None:
    """The mean probability of the labels that are shown of the notes, or the probability of the
    piece's class; None where no note was read."""
    if piece := annotation.piece_labels.get(task):
        return float(piece.probabilities.max())
    if not annotation.note_labels[task].was_read.any():
        return None
    return float(np.nanmean(shown_labels(annotation, task)[1]))


def mean_probabilities(annotation: Annotation) -> dict[str, float | None]:
    """`mean_probability` by task."""
    tasks = (*annotation.note_labels, *annotation.piece_labels)
    return {task: mean_probability(annotation, task) for task in tasks}


def note_names(annotation: Annotation, accidentals: str = "#b") -> list[str]:
    """The names of the notes' pitches, spelled by the local key of each, if there is one;
    accidentals: as in `names.pitch_name`."""
    pitches = annotation.song.notes.pitch.tolist()
    keys = [None] * len(pitches)
    if labels := annotation.note_labels.get(KEY_TASK):
        keys = labels.names_of(annotation.keys[0]).tolist()
    return [pitch_name(*note, accidentals) for note in zip(pitches, keys, strict=True)]
