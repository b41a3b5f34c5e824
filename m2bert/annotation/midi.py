"""An annotation as MIDI: the file's own tracks with one of markers, and its voices as plain tracks.

mido writes both.
"""

from io import BytesIO
from operator import itemgetter
from pathlib import Path

import mido
import numpy as np

from m2bert.annotation.labels import CHORD_TASK, KEY_TASK, Annotation, beat_ticks, spans
from m2bert.annotation.models import BEAT_TASKS, VOICE_TASK
from m2bert.annotation.names import readable_name
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.notes.drums import DRUM_CHANNEL
from m2bert.notes.midi_repair import LONGEST_DELTA, legal_midi
from m2bert.notes.song import Song, Track
from m2bert.tasks import PADDING

MARKER_TRACK = "M2BERT labels"
SPAN_MARKERS = {KEY_TASK: "key {}", CHORD_TASK: "chord {}"}
"""Text of the marker at each change of a key or chord."""

CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
SLOWEST = 2**24 - 1
"""The most microseconds per quarter note that a MIDI file can contain."""

Timed = tuple[int, mido.Message | mido.MetaMessage]
"""A message and its tick."""


def write_marked_midi(annotation: Annotation, path: Path, beats: bool = False) -> None:
    """Write the file's own tracks, byte by byte, and a last track of markers (`markers`).

    A malformed file is repaired as for reading (`legal_midi`), and a score is written as plain
    tracks. The file has format 1.
    """
    song = annotation.song
    if song.measures is None:
        data = legal_midi(song.path.read_bytes()).data
    else:
        instruments = range(len(song.tracks))
        parts = [np.flatnonzero(song.notes.track == instrument) for instrument in instruments]
        data = _plain_midi(song, list(zip(song.tracks, parts, strict=True)))
    found = [(tick, mido.MetaMessage("marker", text=t)) for tick, t in markers(annotation, beats)]
    marker_track = _midi([_track(found, MARKER_TRACK)], song.notes.ticks_per_beat)[14:]
    tracks = int.from_bytes(data[10:12], "big") + 1
    header = data[:8] + b"\0\1" + tracks.to_bytes(2, "big") + data[12:14]
    path.write_bytes(header + data[14:] + marker_track)


def markers(annotation: Annotation, beats: bool = False) -> list[tuple[int, str]]:
    """Ticks and texts: changes of keys and chords, with `beats` also beats and downbeats."""
    found = [
        (span.start, text.format(span.name))
        for task, text in SPAN_MARKERS.items()
        for span in spans(annotation, task)
    ]
    for task in BEAT_TASKS if beats else ():
        found += [(tick, task) for tick in beat_ticks(annotation, task)]
    return found


def write_voices_midi(annotation: Annotation, path: Path) -> None:
    """Write a track for each voice that `VOICE_TASK` found, with the program that plays most of its
    notes. Drums and notes without a label are omitted."""
    song, labels = annotation.song, annotation.note_labels[VOICE_TASK]
    parts = []
    for label, name in enumerate(labels.classes):
        notes = np.flatnonzero(labels.label == label)
        if len(notes) and name != PADDING:
            instrument = song.tracks[np.bincount(song.notes.track[notes]).argmax()]
            shown = readable_name(name)
            shown = name if shown == name else f"{shown} ({name})"
            parts.append((Track(shown, instrument.program, is_drum=False), notes))
    path.write_bytes(_plain_midi(song, parts))


def _plain_midi(song: Song, parts: list[tuple[Track, np.ndarray]]) -> bytes:
    """A file with the tempos and time signatures of a song and a track for each of `parts`: its
    instrument and the indices of its notes. Notes without duration last a 32nd."""
    notes = song.notes
    head: list[Timed] = [
        (tick, mido.MetaMessage("set_tempo", tempo=min(round(60e6 / tempo), SLOWEST)))
        for tick, tempo in song.tempos
    ]
    head += [
        (tick, mido.MetaMessage("time_signature", numerator=top, denominator=bottom))
        for top, bottom, tick in _time_signatures(song)
        if 0 < top < 256 and bottom in (1, 2, 4, 8, 16, 32, 64)
    ]
    tracks = [_track(head)]
    end = np.where(
        notes.end > notes.start, notes.end, notes.start + max(notes.ticks_per_beat // 8, 1)
    )
    for number, (instrument, index) in enumerate(parts):
        channel = DRUM_CHANNEL if instrument.is_drum else CHANNELS[number % len(CHANNELS)]
        program = mido.Message("program_change", channel=channel, program=instrument.program)
        begins, ends = [], []
        columns = (notes.start, end, notes.pitch, notes.velocity)
        for start, stop, pitch, velocity in np.stack(columns, 1)[index].tolist():
            note = {"channel": channel, "note": pitch}
            begins.append((start, mido.Message("note_on", **note, velocity=velocity)))
            ends.append((stop, mido.Message("note_off", **note)))
        # of one tick in this order: a note ends before the next one of its pitch begins
        tracks.append(_track([(0, program), *ends, *begins], instrument.name))
    return _midi(tracks, notes.ticks_per_beat)


def _time_signatures(song: Song) -> list[tuple[int, int, int]]:
    """Those of `Notes`; in a score a pickup and the silence before it form a bar of 4/4."""
    signatures, bar = song.notes.time_signatures, BEATS_PER_BAR * song.notes.ticks_per_beat
    if song.measures is None or not signatures or not signatures[0][2]:
        return list(signatures)
    downbeat = -(-signatures[0][2] // bar) * bar
    return [(4, 4, 0), *((top, bottom, max(tick, downbeat)) for top, bottom, tick in signatures)]


def _track(events: list[Timed], name: str = "") -> mido.MidiTrack:
    """Events in order of time (of one tick: in the given order) as a track. No time between two is
    longer than the standard allows."""
    track, now = mido.MidiTrack(), 0
    if name:
        track.append(mido.MetaMessage("track_name", name=name))
    for tick, message in sorted(events, key=itemgetter(0)):
        while tick - now > LONGEST_DELTA:
            track.append(mido.MetaMessage("text", time=LONGEST_DELTA))
            now += LONGEST_DELTA
        track.append(message.copy(time=tick - now))
        now = tick
    return track


def _midi(tracks: list[mido.MidiTrack], ticks_per_beat: int) -> bytes:
    file, data = mido.MidiFile(ticks_per_beat=ticks_per_beat, charset="utf-8"), BytesIO()
    file.tracks += tracks
    file.save(file=data)
    return data.getvalue()
