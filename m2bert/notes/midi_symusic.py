"""Bytes of a MIDI file -> song, by symusic.

It is much faster than mido, but forgets which instrument of a track came first and counts time in
32 bits. So it reads each track by itself, and rejects files that it might read differently.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from m2bert.notes.drums import is_named_drums, may_state_drums
from m2bert.notes.midi_repair import (
    LAST_TICK,
    channel_bytes,
    has_programs_before_notes,
    track_chunks,
)
from m2bert.notes.song import Notes, Song, Track, in_order

_HIGH_BYTES = bytes(byte & 0x80 for byte in range(256))
# what may be a note's beginning and a change of program (the latter also some long times)
_NOTE_ON = re.compile(rb"[\x90-\x9f][\x00-\x7f]{2}")
_PROGRAM_CHANGE = re.compile(rb"[\xc0-\xcf][\x00-\x7f]")


def read_with_symusic(path: Path, data: bytes) -> Song | None:
    """The song in a legal file, with the notes that miditoolkit finds; notes that never end are not
    counted. None for a file that symusic might read in another way. Raises any error of symusic."""
    from symusic import Score  # an optional install

    header = data[:8] + b"\0\0\0\1" + data[12:14]
    chunks = track_chunks(data)
    # symusic has ticks of 32 bits, takes the instrument of a note from the last program of its
    # track, and knows drums only on channel 10
    if may_state_drums(data) or any(_lasts_too_long(c) or _changes_program(c) for c in chunks):
        return None
    scores: list[Any] = [Score.from_midi(header + chunk) for chunk in chunks]
    of_tracks = [[its for its in score.tracks if len(its.notes)] for score in scores]
    tracks = [instrument for instruments in of_tracks for instrument in instruments]
    # "\0": names in UTF-16 are read with mido
    named_drums = any(not t.is_drum and (is_named_drums(t.name) or "\0" in t.name) for t in tracks)
    if named_drums or any(len(instruments) > 1 for instruments in of_tracks):
        return None
    played = [track.notes.numpy() for track in tracks]
    fields = ("time", "duration", "pitch", "velocity")
    parts = [np.stack([notes[field] for field in fields]) for notes in played]
    columns = np.concatenate([np.empty((4, 0), np.int64), *parts], axis=1)
    columns[1] += columns[0]
    signatures = [
        (signature.numerator, signature.denominator, signature.time)
        for score in scores
        for signature in score.time_signatures
    ]
    tempos = [(tempo.time, tempo.qpm) for score in scores for tempo in score.tempos]
    return Song(
        path,
        Notes(
            *in_order(columns, [part.shape[1] for part in parts]),
            ticks_per_beat=int.from_bytes(data[12:14], "big"),
            time_signatures=tuple(sorted(signatures, key=lambda signature: signature[2])),
        ),
        tracks=tuple(Track(track.name.strip(), track.program, track.is_drum) for track in tracks),
        tempos=tuple(sorted(tempos, key=lambda tempo: tempo[0])),
    )


def _lasts_too_long(chunk: bytes) -> bool:
    """Whether a track may have more ticks than `LAST_TICK`."""
    return _most_ticks(chunk) > LAST_TICK and _most_ticks(channel_bytes(chunk)) > LAST_TICK


def _most_ticks(events: bytes) -> int:
    """An upper bound for the ticks of events."""
    # A time has up to three bytes above 127, and seven bits in each byte. Two such bytes in a row
    # are otherwise only in meta events and around system messages.
    high = events.translate(_HIGH_BYTES)
    return sum(high.count(b"\x80" * length) << 7 * (length + 1) for length in range(4))


def _changes_program(chunk: bytes) -> bool:
    """Whether a track has a change of program after its first note begins."""
    note = _NOTE_ON.search(chunk)
    may_change = note is not None and _PROGRAM_CHANGE.search(chunk, note.end()) is not None
    return may_change and not has_programs_before_notes(chunk)
