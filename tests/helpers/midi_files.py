"""MIDI files, written by events or byte by byte."""

from pathlib import Path

import mido
import numpy as np

from data_creation.prepare_pretrain import read_file


def read_cp_notes(path: Path) -> np.ndarray:
    """The CP notes of a file of the paper's corpora."""
    notes, _ = read_file(path.parent, "mido", True, any_time_signature=False, file=path.name)
    return notes


SCALE = tuple((480 * i, 480 * i + 400, 60 + i) for i in range(8))


def write_midi(
    path: Path, notes=SCALE, signatures=((4, 4),), tempos=(500_000,), ticks_per_beat: int = 480
) -> Path:
    """Write notes (start, end, pitch) in ticks to one track; returns `path`.

    Signatures and tempos (microseconds a beat) follow one another, one each tick from 0.
    """
    events = [
        (tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator))
        for tick, (numerator, denominator) in enumerate(signatures)
    ]
    events += [
        (tick, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in enumerate(tempos)
    ]
    for start, end, pitch in notes:
        events.append((start, mido.Message("note_on", note=pitch, velocity=64)))
        events.append((end, mido.Message("note_off", note=pitch)))
    events.sort(key=lambda event: event[0])
    ticks = np.diff([tick for tick, _ in events], prepend=0).tolist()
    track = [message.copy(time=time) for time, (_, message) in zip(ticks, events, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, track, ticks_per_beat=ticks_per_beat)


def save(path, *tracks, ticks_per_beat=480):
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(path)
    return path


def note(start, end, pitch=60, channel=0, velocity=64):
    """A note whose `start` counts from the message before it."""
    return [
        mido.Message("note_on", time=start, note=pitch, channel=channel, velocity=velocity),
        mido.Message("note_off", time=end - start, note=pitch, channel=channel),
    ]


# Byte by byte: an event is its time after the event before, in ticks, and a message

FOUR_FOUR = b"\0\xff\x58\4\4\2\x18\x08"
END = b"\0\xff\x2f\0"


def time_bytes(ticks: int) -> bytes:
    groups = [ticks & 127]
    while ticks := ticks >> 7:
        groups.append(ticks & 127 | 128)
    return bytes(reversed(groups))


def on(delta: int, pitch: int, channel: int = 0, velocity: int = 64) -> bytes:
    return time_bytes(delta) + bytes([0x90 | channel, pitch, velocity])


def off(delta: int, pitch: int, channel: int = 0) -> bytes:
    return time_bytes(delta) + bytes([0x80 | channel, pitch, 0])


def program(delta: int, number: int, channel: int = 0) -> bytes:
    return time_bytes(delta) + bytes([0xC0 | channel, number])


def midi_bytes(
    *tracks: bytes,
    form: int = 1,
    declared: int | None = None,
    division: int = 480,
    more_header: bytes = b"",
) -> bytes:
    """A file of tracks; its header counts `declared` of them."""
    count = len(tracks) if declared is None else declared
    header = b"".join(number.to_bytes(2, "big") for number in (form, count, division))
    chunks = [(b"MThd", header + more_header), *((b"MTrk", track) for track in tracks)]
    return b"".join(name + len(data).to_bytes(4, "big") + data for name, data in chunks)
