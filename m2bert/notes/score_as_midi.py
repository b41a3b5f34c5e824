"""A score as the events of a MIDI file, which has its notes, programs, tempos and signatures."""

from collections.abc import Sequence

import mido
import numpy as np

from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.notes.drums import DRUM_CHANNEL
from m2bert.notes.events import Event, NoteEvents
from m2bert.notes.song import Notes, Track

CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]

SLOWEST = 2**24 - 1
"""The most microseconds per quarter note that a MIDI file can state."""

_META, _PROGRAM, _END, _BEGIN = range(4)
"""The order of simultaneous events."""


def events_of_score(
    notes: Notes, tracks: Sequence[Track], tempos: Sequence[tuple[int, float]], downbeat: int
) -> tuple[list[Event], NoteEvents]:
    """The events, and which of them make the notes. Grace notes sound for a 32nd.

    tempos: as in `song.Song`. downbeat: the tick of the first downbeat after a pickup, else 0. The
    pickup and the silence before it are a bar of four beats.
    """
    channels = [
        DRUM_CHANNEL if track.is_drum else CHANNELS[number % len(CHANNELS)]
        for number, track in enumerate(tracks)
    ]
    signatures = [(max(tick, downbeat), top, bottom) for top, bottom, tick in notes.time_signatures]
    if downbeat:
        signatures.insert(0, (0, BEATS_PER_BAR, 4))
    head = [
        (tick, _META, 0, mido.MetaMessage("set_tempo", tempo=min(round(60e6 / tempo), SLOWEST)))
        for tick, tempo in tempos
    ]
    head += [
        (tick, _META, 0, mido.MetaMessage("time_signature", numerator=top, denominator=bottom))
        for tick, top, bottom in signatures
        if 0 < top < 256 and bottom in (1, 2, 4, 8, 16, 32, 64)
    ]
    head += [
        (0, _PROGRAM, track, mido.Message("program_change", channel=channel, program=its.program))
        for track, (its, channel) in enumerate(zip(tracks, channels, strict=True), 1)
    ]
    sounds_until = np.where(
        notes.end > notes.start, notes.end, notes.start + notes.ticks_per_beat // 8
    )
    columns = (notes.start, sounds_until, notes.track, notes.pitch, notes.velocity)
    begins, ends = [], []
    for start, end, track, pitch, velocity in np.stack(columns, 1).tolist():
        note = {"channel": channels[track], "note": pitch}
        ends.append((end, _END, track + 1, mido.Message("note_off", **note)))
        on = mido.Message("note_on", **note, velocity=velocity)
        begins.append((start, _BEGIN, track + 1, on))
    unordered = [*head, *ends, *begins]
    order = sorted(range(len(unordered)), key=lambda index: unordered[index][:3])
    in_order = [unordered[index] for index in order]
    events = [Event(tick, track, 0, message) for tick, _, track, message in in_order]
    _, end, begin = np.split(np.argsort(order), [len(head), len(head) + len(ends)])
    names = tuple(track.name.encode().decode("latin-1") for track in tracks)  # as mido reads them
    program = np.array([track.program for track in tracks])[notes.track]
    return events, NoteEvents(begin, end, program, notes.track, names, unended=0)
