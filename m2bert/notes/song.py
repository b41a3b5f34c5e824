"""A MIDI file with all its notes and tracks, and its time in ticks, beats and seconds."""

import codecs
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import accumulate
from pathlib import Path

import mido
import numpy as np
from miditoolkit import MidiFile, TempoChange

from m2bert.base.errors import UserError
from m2bert.notes.events import Event, events_of_notes, played_events
from m2bert.notes.midi import Notes, beginnings, notes_of, parse_midi, read_legal, refuse_no_notes
from m2bert.notes.midi_files import refuse_no_file
from m2bert.notes.skipped import RejectedMidi

USUAL_TEMPO = 120.0
"""Beats a minute before the first tempo of a file, as the MIDI standard has it."""

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Track:
    """An instrument of a file. Attributes: its name, the General MIDI program with which it begins
    and whether it is drums."""

    name: str
    program: int
    is_drum: bool


@dataclass(frozen=True)
class Song:
    """A parsed file and its notes.

    Attributes:
        path: the file.
        midi: everything in it, as miditoolkit read it, except the tempos, which are those of
            `tempo_changes`; not to be changed.
        notes: its notes in the file's order; the arrays below have an entry for each, (notes,).
        file: all its events, as mido read them; not to be changed.
        never_ended: how many notes begin in the file and never end; they are not among `notes`.
    """

    path: Path
    midi: MidiFile
    notes: Notes
    file: mido.MidiFile
    never_ended: int = 0

    def __len__(self) -> int:
        return len(self.notes.start)

    @property
    def name(self) -> str:
        """The file's name as text, whatever bytes it has."""
        return os.fsencode(self.path.name).decode("utf-8", "replace")

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """The instruments that `Notes.track` counts."""
        _, first = np.unique(self.notes.track, return_index=True)
        programs = self.events_of_notes[2][first].tolist()
        return tuple(
            Track(decoded(instrument.name).strip(), program, instrument.is_drum)
            for instrument, program in zip(self.midi.instruments, programs, strict=True)
        )

    @cached_property
    def events(self) -> list[Event]:
        """The events of all tracks in the order in which they are played."""
        return played_events(self.file)

    @cached_property
    def events_of_notes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each note begins and ends among `events`, and its program (`events_of_notes`)."""
        return events_of_notes(self.events)

    @cached_property
    def is_drum(self) -> np.ndarray:
        """The notes of drums, bool."""
        return np.array([track.is_drum for track in self.tracks], bool)[self.notes.track]

    def beats(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks -> quarter notes from the beginning, float64."""
        return ticks / self.notes.ticks_per_beat

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks -> seconds from the beginning, float64."""
        changes = {0: USUAL_TEMPO} | {t.time: t.tempo for t in self.midi.tempo_changes}
        tick = np.array(sorted(changes), np.float64)
        beat_seconds = 60 / np.array([changes[t] for t in sorted(changes)])
        tick_seconds = beat_seconds / self.notes.ticks_per_beat
        begins = np.concatenate([[0.0], np.cumsum(np.diff(tick) * tick_seconds[:-1])])
        return np.interp(ticks, tick, begins) + tick_seconds[-1] * np.maximum(ticks - tick[-1], 0)


def read_song(path: Path | str) -> Song:
    """Read a MIDI file, made legal (`legal_midi`) if it is odd.

    Raises `UserError` if it is not there, is no MIDI file or has no notes.
    """
    path = Path(path)
    refuse_no_file(path)
    try:
        legal = read_legal(path)
        midi = parse_midi(legal.data)
        notes = notes_of(midi, legal.oddities)
        refuse_no_notes(notes, legal.data)
    except RejectedMidi as rejection:
        raise UserError(f"{path} cannot be used: {rejection}") from rejection
    file = mido.MidiFile(file=BytesIO(legal.data))
    midi.tempo_changes = tempo_changes(file)
    return Song(path, midi, notes, file, beginnings(file) - len(notes.start))


def decoded(text: str) -> str:
    """Text of a MIDI file, whose bytes were taken for Latin-1 but may be UTF-8, or UTF-16 with its
    byte order mark. Control characters become spaces."""
    data = text.encode("latin-1")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        with suppress(UnicodeDecodeError):
            text = data.decode("utf-8-sig")
    return CONTROL_CHARACTERS.sub(" ", text)


def tempo_changes(file: mido.MidiFile) -> list[TempoChange]:
    """The tempos of all tracks, ordered by tick; of those at one tick the last holds.

    miditoolkit forgets the tempos of other tracks where one begins with a tempo, and puts one where
    there is none.
    """
    changes = [
        TempoChange(mido.tempo2bpm(message.tempo), int(tick))
        for track in file.tracks
        for message, tick in zip(track, accumulate(m.time for m in track), strict=True)
        if message.type == "set_tempo"
    ]
    return sorted(changes, key=lambda change: change.time)
