"""A player of MIDI files, as plain as possible: what sounds, and in which state its channel is."""

from collections import defaultdict
from typing import NamedTuple

import mido

HOLDS = (64, 66, 69)


class Played(NamedTuple):
    """What a player does with a file.

    Attributes:
        notes: sorted (port, channel, start, end, pitch, velocity, program with its bank, bend and
            controllers when it begins, pedals when it ends).
        states: what is set on a channel after each tick at which something is set.
        events: (tick, port, message) of all messages to channels, as they come.
    """

    notes: list[tuple]
    states: dict[tuple, dict]
    events: list[tuple]

    def plain_notes(self):
        return sorted(note[:6] for note in self.notes)


def play(path):
    come = []
    for number, track in enumerate(mido.MidiFile(path).tracks):
        tick = port = 0
        for place, message in enumerate(track):
            tick += message.time
            if message.type == "midi_port":
                port = message.port
            elif hasattr(message, "channel") and not message.is_meta:
                come.append((tick, number, place, port, message))
    notes, states, events = [], {}, []
    waiting, now = defaultdict(list), defaultdict(dict)
    for tick, track, _, port, message in sorted(come, key=lambda event: event[:3]):
        events.append((tick, port, message.copy(time=0)))
        channel = port, message.channel
        state = now[channel]
        match message.type:
            case "note_on" | "note_off":
                key = track, message.channel, message.note
                if message.type == "note_on" and message.velocity:
                    kept = {name: value for name, value in state.items() if name not in HOLDS}
                    waiting[key].append((channel, tick, message.velocity, kept))
                elif waiting[key]:
                    began_on, start, velocity, kept = waiting[key].pop(0)
                    held = tuple(state.get(name, 0) for name in HOLDS)
                    what = start, tick, message.note, velocity
                    notes.append((*began_on, *what, sorted(kept.items(), key=str), held))
                continue
            case "control_change":
                state[message.control] = message.value
            case "program_change":
                state["program"] = state.get(0, 0), state.get(32, 0), message.program
            case "pitchwheel":
                state["bend"] = message.pitch
            case "aftertouch":
                state["pressure"] = message.value
            case "polytouch":
                state["pressure", message.note] = message.value
        states[tick, channel] = dict(state)
    return Played(sorted(notes, key=str), states, events)
