"""The events of a MIDI file in the order in which they are played, and the notes that they form."""

from collections import defaultdict, deque
from itertools import accumulate
from typing import NamedTuple

import mido
import numpy as np


class Event(NamedTuple):
    """A message of a track at a tick, and the port that it is sent to."""

    tick: int
    track: int
    port: int
    message: mido.Message | mido.MetaMessage


def played_events(file: mido.MidiFile) -> list[Event]:
    """All events by tick; those of one tick by track, and those of one track in its order."""
    events = []
    for number, track in enumerate(file.tracks):
        port = 0
        ticks = accumulate(message.time for message in track)
        for tick, message in zip(ticks, track, strict=True):
            port = message.port if message.type == "midi_port" else port
            events.append(Event(int(tick), number, port, message))
    return sorted(events, key=lambda event: event.tick)


class NoteEvents(NamedTuple):
    """The notes that events form, in the order of `song.Notes`.

    `begin`, `end` (indices of events), `program` (of the channel when a note begins, from any
    track) and `instrument` (from 0) are int64 (notes,). names: the track name of each instrument;
    unended: the number of notes without an end, which are omitted.
    """

    begin: np.ndarray
    end: np.ndarray
    program: np.ndarray
    instrument: np.ndarray
    names: tuple[str, ...]
    unended: int


def note_events(events: list[Event]) -> NoteEvents:
    """Pair the beginnings and ends of notes as miditoolkit does: in each track, first-in first-out
    for each pitch; the program at the end of a note decides on its instrument."""
    begun: dict[tuple, deque[tuple]] = defaultdict(deque)
    of_track: dict[tuple, int] = defaultdict(int)
    played: dict[tuple, int] = defaultdict(int)
    track_names: dict[int, str] = defaultdict(str)
    instruments: dict[tuple, list[tuple]] = defaultdict(list)
    names: dict[tuple, str] = {}
    for place, (tick, track, port, message) in enumerate(events):
        kind = message.type
        if kind in ("note_on", "note_off"):
            channel, pitch = message.channel, message.note
            waiting = begun[track, channel, pitch]
            if kind == "note_on" and message.velocity > 0:
                waiting.append((tick, pitch, place, played[port, channel]))
            elif waiting:
                instrument = track, channel, of_track[track, channel]
                names.setdefault(instrument, track_names[track])
                instruments[instrument].append((*waiting.popleft(), place))
        elif kind == "program_change":
            of_track[track, message.channel] = played[port, message.channel] = message.program
        elif kind == "track_name":
            track_names[track] = message.name
    ordered = sorted(instruments, key=lambda instrument: instrument[0])
    notes = [
        (begin, end, program, index)
        for index, instrument in enumerate(ordered)
        for _, _, begin, program, end in sorted(instruments[instrument], key=lambda n: n[:2])
    ]
    begin, end, program, number = np.array(notes, np.int64).reshape(-1, 4).T
    unended = sum(map(len, begun.values()))
    ordered_names = tuple(names[instrument] for instrument in ordered)
    return NoteEvents(begin, end, program, number, ordered_names, unended)
