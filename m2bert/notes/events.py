"""The events of a MIDI file in the order in which they are played, and the notes that they make."""

from collections import defaultdict, deque
from itertools import accumulate
from typing import NamedTuple

import mido
import numpy as np


class Event(NamedTuple):
    """What happens at a tick: a message of a track of the file, and the port that it goes to."""

    tick: int
    track: int
    port: int
    message: mido.Message | mido.MetaMessage


def played_events(file: mido.MidiFile) -> list[Event]:
    """All events by tick; those of one tick by track, and of one track as they stand there."""
    events = []
    for number, track in enumerate(file.tracks):
        port = 0
        ticks = accumulate(message.time for message in track)
        for tick, message in zip(ticks, track, strict=True):
            port = message.port if message.type == "midi_port" else port
            events.append(Event(int(tick), number, port, message))
    return sorted(events, key=lambda event: event.tick)


def is_beginning(message: mido.Message | mido.MetaMessage) -> bool:
    """Whether a note begins."""
    return message.type == "note_on" and message.velocity > 0


class NoteEvents(NamedTuple):
    """The notes that events make, in the order of `song.Notes`.

    Attributes:
        begin, end: the index in the events where each note begins and ends, int64 (notes,).
        program: the program that its channel plays when it begins, whichever track set it, int64
            (notes,).
        instrument: its instrument, from 0, int64 (notes,).
        names: the name of each instrument's track, as it stands in the file.
        unended: the number of notes that begin and never end; they are not among the others.
    """

    begin: np.ndarray
    end: np.ndarray
    program: np.ndarray
    instrument: np.ndarray
    names: tuple[str, ...]
    unended: int


_NONE = np.empty(0, np.int64)
NO_NOTES = NoteEvents(_NONE, _NONE, _NONE, _NONE, names=(), unended=0)


def note_events(events: list[Event]) -> NoteEvents:
    """Pair the beginnings and ends of notes.

    This and the assignment of notes to instruments follow miditoolkit, which looks at each track
    alone: of a pitch, the note that began first ends first, and the program at its end decides on
    its instrument.
    """
    begun: dict[tuple, deque[tuple]] = defaultdict(deque)
    of_track: dict[tuple, int] = defaultdict(int)
    played: dict[tuple, int] = defaultdict(int)
    names: dict[int, str] = defaultdict(str)
    instruments: dict[tuple, list[tuple]] = {}
    name_of: dict[tuple, str] = {}
    for place, (tick, track, port, message) in enumerate(events):
        kind = message.type
        if kind in ("note_on", "note_off"):
            channel, pitch = message.channel, message.note
            waiting = begun[track, channel, pitch]
            if is_beginning(message):
                waiting.append((tick, pitch, place, played[port, channel]))
            elif waiting:
                instrument = track, channel, of_track[track, channel]
                if instrument not in instruments:
                    instruments[instrument], name_of[instrument] = [], names[track]
                instruments[instrument].append((*waiting.popleft(), place))
        elif kind == "program_change":
            of_track[track, message.channel] = played[port, message.channel] = message.program
        elif kind == "track_name":
            names[track] = message.name
    ordered = sorted(instruments, key=lambda instrument: instrument[0])
    notes = [
        (begin, end, program, number)
        for number, instrument in enumerate(ordered)
        for _, _, begin, program, end in sorted(instruments[instrument], key=lambda n: n[:2])
    ]
    begin, end, program, instrument_of_note = np.array(notes, np.int64).reshape(-1, 4).T
    return NoteEvents(
        begin,
        end,
        program,
        instrument_of_note,
        tuple(name_of[instrument] for instrument in ordered),
        sum(map(len, begun.values())),
    )
