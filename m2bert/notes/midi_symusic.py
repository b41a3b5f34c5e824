"""MIDI file -> notes, by symusic.

It is much quicker than miditoolkit, but forgets which instrument of a track came first and counts
time in 32 bits. So it reads each track for itself, and what could be doubted is left to
miditoolkit.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from m2bert.notes.legal_midi import LAST_TICK, track_chunks
from m2bert.notes.midi import Notes, in_order, notes_of, parse_midi

# Times between two events of at least 2**14 and 2**21 ticks: only in them (and in text) two or
# three bytes in a row are above 127.
_LONG_DELTA = re.compile(rb"[\x80-\xff]{2}[\x00-\x7f]")
_LONGEST_DELTA = re.compile(rb"[\x80-\xff]{3}[\x00-\x7f]")
_BYTES_OF_EVENT = 3  # at least
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
    if max(map(_most_ticks, chunks)) > LAST_TICK:
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


def _most_ticks(chunk: bytes) -> int:
    """A bound for the ticks of a track."""
    long, longest = (len(deltas.findall(chunk)) for deltas in (_LONG_DELTA, _LONGEST_DELTA))
    return (longest << 28) + (long << 21) + (len(chunk) // _BYTES_OF_EVENT << 14)


def _changes_program(chunk: bytes) -> bool:
    """Whether a track may have a change of program after its first note begins."""
    note = _NOTE_ON.search(chunk)
    return note is not None and _PROGRAM_CHANGE.search(chunk, note.end()) is not None


def _instrument(score: Any) -> list[Any]:
    """The one instrument of a track, if it has notes at all."""
    instruments = [track for track in score.tracks if len(track.notes)]
    if len(instruments) > 1:
        raise _DoubtfulMidiError("their order")
    return instruments
