"""An annotated song as a MIDI file: the same events, in a track for each role, and markers."""

from collections import defaultdict
from operator import itemgetter
from pathlib import Path

import mido
import numpy as np

from m2bert.annotation.labels import MOMENT_TASKS, Annotation, moments, spans
from m2bert.annotation.names import readable_name, table_name
from m2bert.base.files import replacing
from m2bert.model.predictions import NOT_READ
from m2bert.notes.events import is_beginning
from m2bert.notes.midi_reader import decoded
from m2bert.notes.midi_repair import LONGEST_DELTA
from m2bert.notes.song import Song
from m2bert.tasks import PADDING

TRACK_TASK = "melody"
"""The task whose classes become tracks."""

SPAN_MARKERS = {"localkey": "key {}", "chordroot": "chord {}"}
"""Text of the marker wherever the label of a task changes (`labels.SPAN_TASKS`)."""

BANK_SELECTS, PEDALS = (0, 32), (64, 66, 69)
"""Controllers: those that choose the bank for the next program change, and the pedals, which hold
notes beyond their ends."""

OF_A_TRACK = ("track_name", "midi_port", "end_of_track")
"""Meta events that each track has of its own."""

Event = tuple[int, mido.Message | mido.MetaMessage]
"""Ticks from the beginning, and what happens then."""


def write_annotation_midi(annotation: Annotation, path: Path) -> None:
    """Write a MIDI file of format 1 that sounds like the song: every event stands on its tick,
    channel and port.

    If the melody task labelled the notes, those of an instrument are split into a track for each
    class, named after it ("melody", or "melody (Piano)" if there are several instruments); drums
    and notes that were not read stay in tracks of their own. Markers name chords, keys, beats and
    downbeats. Left out are notes that never end, and names of tracks without notes, except that of
    the first, which is the title. `_tracks` says where the events stand that are no notes.
    """
    song = annotation.song
    names, parts = _parts(annotation)
    tracks = _tracks(song, parts)
    end = song.events[-1].tick
    tracks[0, 0] += [*marker_events(annotation), (end, mido.MetaMessage("end_of_track"))]
    has_ports = any(event.message.type == "midi_port" for event in song.events)
    file = mido.MidiFile(ticks_per_beat=song.notes.ticks_per_beat)
    for (number, port), events in sorted(tracks.items(), key=itemgetter(0)):
        begin = [mido.MetaMessage("track_name", name=names[number])] if names[number] else []
        begin += [mido.MetaMessage("midi_port", port=port)] if has_ports else []
        file.tracks.append(_track([*((0, message) for message in begin), *events]))
    with replacing(path) as temporary:
        file.save(temporary)


def marker_events(annotation: Annotation) -> list[Event]:
    """The markers that an annotation adds, by `names.table_name`."""
    song, labels = annotation.song, annotation.note_labels
    texts = [
        (span.start, text.format(table_name(labels[task].classes[span.label])))
        for task, text in SPAN_MARKERS.items()
        if task in labels
        for span in spans(annotation, task)
    ]
    texts += [
        (tick, labels[task].classes[-1])
        for task in MOMENT_TASKS
        if task in labels
        for tick in moments(song, labels[task]).tolist()
    ]
    return [(tick, mido.MetaMessage("marker", text=text)) for tick, text in texts]


def _parts(annotation: Annotation) -> tuple[list[str], list[np.ndarray]]:
    """The names of the tracks to write, and the notes of each after the first, which has none:
    those with one role, of one instrument, on one port."""
    song = annotation.song
    label, classes = _roles(annotation)
    has_role = label != NOT_READ
    several = len(np.unique(song.notes.track[has_role])) > 1
    begins = [song.events[place] for place in song.note_events.begin]
    ports = [event.port for event in begins]
    keys = np.stack([~has_role, label, song.notes.track, ports], 1)  # what has no role comes last
    keys, part_of_note = np.unique(keys, axis=0, return_inverse=True)
    of_first = (e.message for e in song.events if e.track == 0 and e.message.type == "track_name")
    titles = [message.name for message in of_first] if all(event.track for event in begins) else []
    names = [_written(titles[0] if titles else "")]
    for without_role, role, index, _ in keys:
        own = _written(song.note_events.names[index])
        if without_role:
            names.append(own)
        elif several:
            names.append(f"{_role_name(classes[role])} ({own or f'track {index + 1}'})")
        else:
            names.append(_role_name(classes[role]))
    return names, [np.flatnonzero(part_of_note == part) for part in range(len(keys))]


def _role_name(name: str) -> str:
    """A class as it is shown, with the benchmark's name beside it where that is another."""
    shown = readable_name(name)
    return name if shown == name else f"{shown} ({name})"


def _roles(annotation: Annotation) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of `TRACK_TASK` of each note, (notes,) int64, `NOT_READ` for notes that stay where
    they are; and the names of the classes."""
    song, labels = annotation.song, annotation.note_labels.get(TRACK_TASK)
    if labels is None:
        return np.full(len(song), NOT_READ), ()
    nothing = [place for place, name in enumerate(labels.classes) if name == PADDING]
    stays = song.is_drum | np.isin(labels.label, nothing)
    return np.where(stays, NOT_READ, labels.label), labels.classes


def _tracks(song: Song, parts: list[np.ndarray]) -> dict[tuple[int, int], list[Event]]:
    """The events of each track to write, by its number (that of a part, from 1 on) and port.

    Number 0 has the meta events, the system exclusive messages and the channels without notes.

    The other events of a channel are in the first part that has notes of the channel. But events of
    one tick are played track by track, so an event must not be in a track before that of a note
    which it follows. Therefore a pedal is in the last part with a note of its channel that begins
    or ends before it at its tick, and any other event in the last part with one that begins there:
    it may be meant for notes that begin after it.

    Program changes are repeated in the later parts, for software that looks at one track alone.
    """
    events, found = song.events, song.note_events
    part_of_event = np.zeros(len(events), np.int64)
    port_of_part, parts_of_channel = {}, defaultdict(list)
    for number, notes in enumerate(parts, 1):
        part_of_event[found.begin[notes]] = part_of_event[found.end[notes]] = number
        begin = events[found.begin[notes[0]]]
        port_of_part[number] = begin.port
        parts_of_channel[begin.port, begin.message.channel].append(number)
    banks = {
        (tick, port, message.channel): place
        for place, (tick, _, port, message) in enumerate(events)
        if message.type == "control_change" and message.control in BANK_SELECTS
    }
    # by tick, port and channel: the last part in which notes begin, and begin or end
    begun: dict[tuple, int] = defaultdict(int)
    struck: dict[tuple, int] = defaultdict(int)
    tracks: dict[tuple[int, int], list[Event]] = defaultdict(list, {(0, 0): []})
    for place, number in enumerate(part_of_event.tolist()):
        tick, _, port, message = events[place]
        event = tick, message
        if message.is_meta:
            if message.type not in OF_A_TRACK:
                tracks[0, 0].append(event)
        elif message.type == "sysex":
            tracks[0, port].append(event)
        elif not hasattr(message, "channel") or (is_beginning(message) and not number):
            continue  # no event for files, or a note that never ends
        else:
            port = port_of_part.get(number, port)  # notes end on the port where they begin
            here = tick, port, message.channel
            own = parts_of_channel[here[1:]]
            if number:
                struck[here] = max(struck[here], number)
                begun[here] = max(begun[here], number * is_beginning(message))
            elif own and message.type not in ("note_on", "note_off"):
                is_pedal = message.type == "control_change" and message.control in PEDALS
                number = max(own[0], (struck if is_pedal else begun)[here])
            tracks[number, port].append(event)
            # a bank that is chosen after it, for a later one, must not hold for its repetitions
            if message.type == "program_change" and banks.get(here, 0) <= place:
                for later in own[own.index(number) + 1 :] if number else ():
                    tracks[later, port].append(event)
    return tracks


def _written(name: str) -> str:
    """A name as it is written, in the encoding that the input has it in; UTF-16 as UTF-8.

    mido writes the characters as bytes, as it read them.
    """
    text = decoded(name)
    is_latin = len(text) == len(name)  # other encodings take more bytes than characters
    return (text if is_latin else text.encode().decode("latin-1")).strip()


def _track(events: list[Event]) -> mido.MidiTrack:
    """Events in order of time (of one tick: in the given order) as a track."""
    track, now = mido.MidiTrack(), 0
    for tick, message in sorted(events, key=itemgetter(0)):
        while tick - now > LONGEST_DELTA:
            track.append(mido.MetaMessage("text", time=LONGEST_DELTA))
            now += LONGEST_DELTA
        track.append(message.copy(skip_checks=True, time=tick - now))
        now = tick
    return track
