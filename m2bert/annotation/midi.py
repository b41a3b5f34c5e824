"""An annotated song as a MIDI file: the same notes, in a track for each role, and markers."""

from collections.abc import Iterable
from pathlib import Path

import mido
import numpy as np

from m2bert.annotation.labels import MOMENT_TASKS, Annotation, moments, spans
from m2bert.base.files import replacing
from m2bert.model.predictions import NOT_READ
from m2bert.notes.song import Song
from m2bert.tasks import PADDING

TRACK_TASK = "melody"
"""The task whose classes become tracks."""

SPAN_MARKERS = {"localkey": "key {}", "chordroot": "chord {}"}
"""Text of the marker wherever the label of a task changes (`labels.SPAN_TASKS`)."""

DRUM_CHANNEL = 9
CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]

Event = tuple[int, mido.Message | mido.MetaMessage]
"""Ticks from the beginning, and what happens then."""


def write_annotation_midi(annotation: Annotation, path: Path) -> None:
    """Write a MIDI file of format 1 with every note of the song once, unchanged.

    If the melody task labelled the notes, those of an instrument are split into a track for each
    class, named after it ("melody", or "melody (Piano)" if there are several instruments); drums
    and notes that were not read stay in tracks of their own. Markers name chords, keys, beats and
    downbeats. The song's tempos, time and key signatures, lyrics, markers, controls and pitch bends
    are kept.
    """
    song = annotation.song
    channels = _channels(song)
    file = mido.MidiFile(ticks_per_beat=song.notes.ticks_per_beat)
    file.tracks.append(_track("", [*_conductor_events(song), *marker_events(annotation)]))
    for name, index, members in _parts(annotation):
        channel = channels[index]
        events = [*_control_events(song, index, channel), *_note_events(song, members, channel)]
        file.tracks.append(_track(name, events))
    with replacing(path) as temporary:
        file.save(temporary)


def marker_events(annotation: Annotation) -> list[Event]:
    """The markers that an annotation adds. Flats are written "Bb": "B-" reads as a minor chord."""
    song, labels = annotation.song, annotation.note_labels
    texts = [
        (span.start, text.format(labels[task].classes[span.label].replace("-", "b")))
        for task, text in SPAN_MARKERS.items()
        if task in labels
        for span in spans(song, labels[task])
    ]
    texts += [
        (tick, labels[task].classes[-1])
        for task in MOMENT_TASKS
        if task in labels
        for tick in moments(song, labels[task]).tolist()
    ]
    return [(tick, mido.MetaMessage("marker", text=text)) for tick, text in texts]


def _parts(annotation: Annotation) -> Iterable[tuple[str, int, np.ndarray]]:
    """Yield the tracks to write: a name, the index of the instrument, the indices of its notes."""
    song = annotation.song
    instruments = song.midi.instruments
    label, classes = _roles(annotation)
    has_role = label != NOT_READ
    several = len(np.unique(song.notes.track[has_role])) > 1
    keys = np.stack([~has_role, label, song.notes.track], 1)  # what has no role comes last
    parts, part_of_note = np.unique(keys, axis=0, return_inverse=True)
    for part, (without_role, role, index) in enumerate(parts):
        own = instruments[index].name
        if without_role:
            name = own
        elif several:
            name = f"{classes[role]} ({own if own.strip() else f'track {index + 1}'})"
        else:
            name = classes[role]
        yield name, index, np.flatnonzero(part_of_note == part)


def _roles(annotation: Annotation) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of `TRACK_TASK` of each note, (notes,) int64, `NOT_READ` for notes that stay where
    they are; and the names of the classes."""
    song, labels = annotation.song, annotation.note_labels.get(TRACK_TASK)
    if labels is None:
        return np.full(len(song), NOT_READ), ()
    nothing = [place for place, name in enumerate(labels.classes) if name == PADDING]
    stays = song.is_drum | np.isin(labels.label, nothing)
    return np.where(stays, NOT_READ, labels.label), labels.classes


def _channels(song: Song) -> list[int]:
    """The channel of each instrument.

    Up to 15 instruments have a channel each; of more, those with one program share one. All tracks
    that are made of an instrument have its channel, so that its pedal holds for all their notes.
    """
    melodic = [index for index, track in enumerate(song.tracks) if not track.is_drum]
    alone = len(melodic) <= len(CHANNELS)
    sound = [index if alone else track.program for index, track in enumerate(song.tracks)]
    place = {key: n for n, key in enumerate(dict.fromkeys(sound[index] for index in melodic))}
    return [
        DRUM_CHANNEL if track.is_drum else CHANNELS[place[sound[index]] % len(CHANNELS)]
        for index, track in enumerate(song.tracks)
    ]


def _conductor_events(song: Song) -> list[Event]:
    """Tempo, signatures, lyrics and markers of the file itself."""
    midi, message = song.midi, mido.MetaMessage
    return [
        *(
            (t.time, message("set_tempo", tempo=mido.bpm2tempo(t.tempo)))
            for t in midi.tempo_changes
        ),
        *(
            (t.time, message("time_signature", numerator=t.numerator, denominator=t.denominator))
            for t in midi.time_signature_changes
        ),
        *((k.time, message("key_signature", key=k.key_name)) for k in midi.key_signature_changes),
        *((lyric.time, message("lyrics", text=lyric.text)) for lyric in midi.lyrics),
        *((marker.time, message("marker", text=marker.text)) for marker in midi.markers),
    ]


def _control_events(song: Song, index: int, channel: int) -> list[Event]:
    """An instrument's controls, program and pitch bends."""
    instrument = song.midi.instruments[index]
    controls = [
        (c.time, mido.Message("control_change", control=c.number, value=c.value, channel=channel))
        for c in instrument.control_changes
    ]
    # a bank that is chosen at the beginning holds for program changes that follow
    program = mido.Message("program_change", program=int(instrument.program), channel=channel)
    bends = [
        (bend.time, mido.Message("pitchwheel", pitch=bend.pitch, channel=channel))
        for bend in instrument.pitch_bends
    ]
    return [*controls, (0, program), *bends]


def _note_events(song: Song, members: np.ndarray, channel: int) -> list[Event]:
    """Beginnings and ends of the notes `members`, in an order in which they are read back as the
    same notes.

    A reader takes the end of a pitch for that of the note of this pitch that began first; of those
    that begin together, a song lists the one that ends first before the others.
    """
    start, end = song.notes.start[members], song.notes.end[members]
    is_end = np.repeat([False, True], len(members))
    tick = np.concatenate([start, end])
    # At one tick notes end before others begin, and notes without duration do both in between:
    # else their end would be taken for another's.
    rank = np.where(np.tile(start == end, 2), 1, np.where(is_end, 0, 2))
    note = np.tile(np.arange(len(members)), 2)
    order = np.lexsort((is_end, note, rank, tick))
    columns = (tick, is_end, song.notes.pitch[members][note], song.notes.velocity[members][note])
    return [
        (
            tick,
            mido.Message("note_off", note=pitch, channel=channel)
            if is_end
            else mido.Message("note_on", note=pitch, velocity=velocity, channel=channel),
        )
        for tick, is_end, pitch, velocity in zip(
            *(column[order].tolist() for column in columns), strict=True
        )
    ]


def _track(name: str, events: list[Event]) -> mido.MidiTrack:
    """Events in order of time (of one tick: in the given order) as a track."""
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)] if name else [])
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        message.time = tick - now
        track.append(message)
        now = tick
    return track
