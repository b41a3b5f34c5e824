"""Annotations in Python and in notebooks (docs/annotate.md, "In Python")."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from m2bert.annotation.ensemble import annotate
from m2bert.annotation.labels import Annotation, Span, chord_spans, key_spans
from m2bert.annotation.models import find_models, needed_models
from m2bert.annotation.page import page_text
from m2bert.annotation.summary import summary
from m2bert.annotation.tables import table_rows
from m2bert.annotation.writers import writers_of
from m2bert.base.devices import choose_device
from m2bert.base.outputs import output_files
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import BUNDLED_MODELS
from m2bert.notes.reader import read_song

_load = lru_cache(maxsize=16)(load_classifier)


class Beat(NamedTuple):
    """A beat: its time in seconds, to milliseconds, and its number in the bar, 1 for a
    downbeat."""

    time: float
    number: int


class Segment(NamedTuple):
    """A chord or a key: its begin and end in seconds, to milliseconds, its name ("Cm7",
    "Bb major"), and the mean probability of the chord's root or of the key."""

    start: float
    end: float
    name: str
    probability: float


@dataclass(frozen=True, repr=False)
class AnnotatedSong:
    """A song with its labels. Printed it is its summary, in a notebook also its page."""

    annotation: Annotation

    @property
    def beats(self) -> list[Beat]:
        """The beats, those of the file or decoded (docs/annotate.md, "Beats and bars")."""
        beats = self.annotation.beats
        return list(map(Beat, beats.second.round(3).tolist(), beats.number.tolist()))

    @property
    def chords(self) -> list[Segment]:
        """The decoded chords; empty without a model of chord roots."""
        probability = [chord.probability for chord in self.annotation.chords]
        return self._segments(chord_spans(self.annotation), probability)

    @property
    def keys(self) -> list[Segment]:
        """The decoded keys; empty without a model of keys."""
        found, onset = key_spans(self.annotation), self.annotation.song.notes.start
        inside = [(span.start <= onset) & (onset < span.end) for span in found]
        probability = [np.nanmean(self.annotation.keys[1][notes], dtype=float) for notes in inside]
        return self._segments(found, probability)

    def _segments(self, found: list[Span], probability: Sequence[float]) -> list[Segment]:
        edges = self.annotation.song.seconds(np.array([span[:2] for span in found]).reshape(-1, 2))
        names = [span.name for span in found]
        rounded = np.round(probability, 4).tolist()
        return list(map(Segment, *edges.T.round(3).tolist(), names, rounded))

    def to_dataframe(self) -> Any:
        """A pandas DataFrame: a row for each note, with the columns of the CSV file."""
        try:
            from pandas import DataFrame
        except ImportError:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from None
        return DataFrame(table_rows(self.annotation))

    def save(self, folder: Path | str, overwrite: bool = False) -> list[Path]:
        """Write the files that `python -m m2bert.annotate` writes, and return their paths.

        overwrite: also replace files that were changed, or written by something else.
        """
        folder, writers = Path(folder), writers_of(self.annotation.song, self.annotation.models)
        with output_files(folder, writers, overwrite) as temporary:
            for name, write in writers.items():
                write(self.annotation, temporary / name)
        return [folder / name for name in writers]

    def __repr__(self) -> str:
        return f"{self.annotation.song.name}\n{summary(self.annotation)}"

    def _repr_html_(self) -> str:
        text, page = html.escape(repr(self)), html.escape(page_text(self.annotation))
        return f"""<pre style="white-space: pre-wrap">{text}</pre>
            <iframe style="width: 100%; height: 720px; border: 0" srcdoc="{page}"></iframe>"""


def annotate_song(
    path: Path | str,
    model: Path | str | Sequence[Path | str] = BUNDLED_MODELS,
    tasks: Sequence[str] | None = None,
) -> AnnotatedSong:
    """Label the notes of a MIDI file or score, and the piece.

    model: one or more folders with fine-tuned models at any depth, by default the bundled models,
    which are read once for all songs; several models of a task are averaged. tasks: as `--tasks` of
    the command, by default all with a model.
    Raises `UserError` for a file that cannot be used, and for folders or tasks without a model.
    """
    song = read_song(path)
    folders = [model] if isinstance(model, Path | str) else model
    models = needed_models(song, find_models(list(map(Path, folders)), tasks), tasks)
    return AnnotatedSong(annotate(song, models, choose_device(False), load=_load))
