"""A piece of music: its notes and tracks, and its time in ticks, beats, bars and seconds."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from m2bert.base.files import path_text
from m2bert.notes.skipped import Tallies

DEFAULT_TEMPO = 120.0
"""Quarter notes per minute before the first tempo of a file (MIDI standard)."""

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Notes:
    """The notes of a file, one instrument after another, drums included.

    `start`, `end` (ticks), `pitch`, `velocity` (0..127) and `track` (index of the instrument) are
    int64 (notes,), ordered by track, start, pitch and end. `time_signatures` are (numerator,
    denominator, tick), ordered by tick.

    In a MIDI file an instrument is what one track plays on one channel with one program, in a score
    a part, where tied notes are one note and grace notes have no duration.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    track: np.ndarray
    ticks_per_beat: int
    time_signatures: tuple[tuple[int, int, int], ...]


def in_order(
    columns: np.ndarray, lengths: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The columns of `Notes`: start, end, pitch, velocity and track, in its order.

    columns: start, end, pitch and velocity, int64 (4, notes), one instrument after another, equal
    onsets and pitches by their ends; lengths: the number of notes of each instrument.
    """
    track = np.repeat(np.arange(len(lengths)), lengths)
    start, end, pitch, velocity = columns
    # one key, since sorting by three of them takes four times as long
    key = (track * (start.max(initial=0) + 1) + start) * 128 + pitch
    order = np.argsort(key, kind="stable")
    return start[order], end[order], pitch[order], velocity[order], track[order]


@dataclass(frozen=True)
class Track:
    """An instrument; `program` is the General MIDI program of its first note."""

    name: str
    program: int
    is_drum: bool


@dataclass(frozen=True)
class Bars:
    """Where bars begin, ticks int64 (bars,), and their numbers in the file, (bars,) strings."""

    start: np.ndarray
    number: tuple[str, ...]

    def numbers_at(self, ticks: np.ndarray) -> np.ndarray:
        """The number of the bar that each tick lies in, object of the same shape."""
        bar = np.searchsorted(self.start, ticks, side="right") - 1
        return np.array(self.number, object)[np.maximum(bar, 0)]


@dataclass(frozen=True, eq=False)  # hashed by identity
class Song:
    """A piece of music as read from a file.

    Attributes:
        tracks: the instruments that `notes.track` counts.
        tempos: (tick, quarter notes per minute), ordered by tick; of those at one tick the last
            holds.
        measures: the bars of a score; None for a MIDI file.
        omitted: what is not among `notes`, and how often ("begun but never ended").
        defects: how the file breaks the standard of its format (`legal_midi`), and how often.
    """

    path: Path
    notes: Notes
    tracks: tuple[Track, ...]
    tempos: tuple[tuple[int, float], ...]
    measures: Bars | None = None
    omitted: Tallies = field(default_factory=dict)
    defects: Tallies = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.notes.start)

    @property
    def name(self) -> str:
        """The file's name as text, also if its bytes are not UTF-8."""
        return path_text(Path(self.path.name))

    @cached_property
    def is_drum(self) -> np.ndarray:
        """The notes of drums, bool."""
        return np.array([track.is_drum for track in self.tracks], bool)[self.notes.track]

    def beats(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks -> quarter notes from the beginning, float64."""
        return ticks / self.notes.ticks_per_beat

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks -> seconds from the beginning, float64."""
        tempo_at = {0: DEFAULT_TEMPO} | dict(self.tempos)
        tick = np.array(sorted(tempo_at), np.float64)
        beat_seconds = 60 / np.array([tempo_at[t] for t in sorted(tempo_at)])
        tick_seconds = beat_seconds / self.notes.ticks_per_beat
        begins = np.concatenate([[0.0], np.cumsum(np.diff(tick) * tick_seconds[:-1])])
        return np.interp(ticks, tick, begins) + tick_seconds[-1] * np.maximum(ticks - tick[-1], 0)


def other_meters(notes: Notes) -> list[str]:
    """The time signatures whose bars are not four quarter notes, as "3/4", each once."""
    return sorted({f"{top}/{bottom}" for top, bottom, _ in notes.time_signatures if top != bottom})


def one_line(text: str) -> str:
    """Text of a file with spaces for control characters, and none at its ends."""
    return _CONTROL_CHARACTERS.sub(" ", text).strip()
