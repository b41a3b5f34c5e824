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


def events_of_notes(events: list[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three arrays, int64 (notes,), in the order of `midi.Notes`: the index in `events` where each
    note begins, the index where it ends, and the program that its channel plays when it begins.

    Beginnings and ends are paired, and notes given to instruments, by miditoolkit's rules, which
    look at one track alone: of a pitch, the note that began first ends first, and the program at
    its end decides on its instrument. The program that its channel plays is the last one that any
    track has set on its port and channel.
    """
    begun: dict[tuple, deque[tuple]] = defaultdict(deque)
    of_track: dict[tuple, int] = defaultdict(int)
    played: dict[tuple, int] = defaultdict(int)
    instruments: dict[tuple, list[tuple]] = defaultdict(list)
    for place, (tick, track, port, message) in enumerate(events):
        if message.type == "program_change":
            of_track[track, message.channel] = played[port, message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            channel, pitch = message.channel, message.note
            waiting = begun[track, channel, pitch]
            if is_beginning(message):
                waiting.append((tick, pitch, place, played[port, channel]))
            elif waiting:
                instrument = track, channel, of_track[track, channel]
                instruments[instrument].append((*waiting.popleft(), place))
    notes = [
        (begin, end, program)
        for instrument in sorted(instruments, key=lambda instrument: instrument[0])
        for _, _, begin, program, end in sorted(instruments[instrument], key=lambda n: n[:2])
    ]
    begin, end, program = np.array(notes, np.int64).reshape(-1, 3).T
    return begin, end, program
