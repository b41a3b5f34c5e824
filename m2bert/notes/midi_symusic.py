"""MIDI file -> notes, by symusic.

It is much quicker than miditoolkit, but forgets which instrument of a track came first and counts
time in 32 bits. So it reads each track for itself, and what could be doubted is left to
miditoolkit.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from m2bert.notes.legal_midi import (
    LAST_TICK,
    channel_bytes,
    has_programs_before_notes,
    track_chunks,
)
from m2bert.notes.midi import Notes, in_order, notes_of, parse_midi

_HIGH_BYTES = bytes(byte & 0x80 for byte in range(256))
# what may be a note's beginning and a change of program (the latter also some long times)
_NOTE_ON = re.compile(rb"[\x90-\x9f][\x00-\x7f]{2}")
_PROGRAM_CHANGE = re.compile(rb"[\xc0-\xcf][\x00-\x7f]")


class _DoubtfulMidiError(Exception):
    """A file that symusic might read in another way than miditoolkit."""


def read_with_symusic(data: bytes) -> Notes:
    """The notes of a legal file (`legal_midi`), as miditoolkit finds them.

    Raises `RejectedMidi` if miditoolkit cannot read a doubtful file either.
    """
    from symusic import Score  # an optional install

    try:
        return _read_undoubtful(data, Score.from_midi)
    except Exception:  # symusic raises whatever a file leads it to
        return notes_of(parse_midi(data))


def _read_undoubtful(data: bytes, parse: Callable[[bytes], Any]) -> Notes:
    header = data[:8] + b"\0\0\0\1" + data[12:14]
    chunks = track_chunks(data)
    if any(map(_lasts_too_long, chunks)):
        raise _DoubtfulMidiError("ticks beyond 32 bits")
    if any(map(_changes_program, chunks)):
        raise _DoubtfulMidiError("miditoolkit reckons a note by the program at its end")
    scores = [parse(header + chunk) for chunk in chunks]
    played = [track.notes.numpy() for score in scores for track in _instrument(score)]
    fields = ("time", "duration", "pitch", "velocity")
    parts = [np.stack([notes[field] for field in fields]) for notes in played]
    columns = np.concatenate([np.empty((4, 0), np.int64), *parts], axis=1)
    columns[1] += columns[0]
    signatures = [
        (signature.numerator, signature.denominator, signature.time)
        for score in scores
        for signature in score.time_signatures
    ]
    return Notes(
        *in_order(columns, [part.shape[1] for part in parts]),
        ticks_per_beat=int.from_bytes(data[12:14], "big"),
        time_signatures=tuple(sorted(signatures, key=lambda signature: signature[2])),
    )


def _lasts_too_long(chunk: bytes) -> bool:
    """Whether a track may have more ticks than `LAST_TICK`."""
    return _most_ticks(chunk) > LAST_TICK and _most_ticks(channel_bytes(chunk)) > LAST_TICK


def _most_ticks(events: bytes) -> int:
    """A bound for the ticks of events."""
    # A time has up to three bytes above 127, and seven bits in each byte. Two such bytes in a row
    # are otherwise only in meta events and around system messages.
    high = events.translate(_HIGH_BYTES)
    return sum(high.count(b"\x80" * length) << 7 * (length + 1) for length in range(4))


def _changes_program(chunk: bytes) -> bool:
    """Whether a track has a change of program after its first note begins."""
    note = _NOTE_ON.search(chunk)
    may_change = note is not None and _PROGRAM_CHANGE.search(chunk, note.end()) is not None
    return may_change and not has_programs_before_notes(chunk)


def _instrument(score: Any) -> list[Any]:
    """The one instrument of a track, if it has notes at all."""
    instruments = [track for track in score.tracks if len(track.notes)]
    if len(instruments) > 1:
        raise _DoubtfulMidiError("their order")
    return instruments
