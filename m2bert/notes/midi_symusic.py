"""MIDI file -> notes, by symusic.

It is much quicker than miditoolkit, but reads on where miditoolkit gives up, and forgets which
instrument of a track came first. So it reads each track for itself, and what could be doubted is
left to miditoolkit.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from m2bert.notes.midi import Notes, in_order, read_with_miditoolkit

_HEADER_BYTES = 14
_END_OF_TRACK = b"\xff\x2f\x00"
# time signature, tempo, key, SMPTE offset, channel or sequence number with too few bytes
_SHORT_META_EVENT = re.compile(
    rb"\xff(?:\x58[\x00-\x03]|\x51[\x00-\x02]|\x59[\x00\x01]|\x54[\x00-\x04]|\x20\x00|\x00\x01)"
)
# 0xF7 where it is neither the end of a whole system message nor part of a time
_CONTINUED_MESSAGE = re.compile(rb"[\x00-\x7f]\xf7(?![\x00-\x7f][\x80-\xff])")


class _DoubtfulMidi(Exception):
    """A file that symusic might read in another way than miditoolkit."""


def read_with_symusic(path: Path | str) -> Notes:
    """The same notes as `read_with_miditoolkit`, from symusic where the file leaves no doubt.

    Raises `RejectedMidi` if miditoolkit cannot read a doubtful file either.
    """
    from symusic import Score  # an optional install

    try:
        return _read_undoubtful(Path(path).read_bytes(), Score.from_midi)
    except Exception:  # symusic, too, raises whatever a damaged file leads it to
        return read_with_miditoolkit(path)


def _read_undoubtful(data: bytes, parse: Callable[[bytes], Any]) -> Notes:
    header = b"MThd\0\0\0\6\0\0\0\1" + data[12:_HEADER_BYTES]
    scores = [parse(header + track) for track in _tracks(data)]
    for score in scores:
        _check_signatures(score)
    played = [track.notes.numpy() for score in scores for track in _instrument(score)]
    fields = ("time", "duration", "pitch", "velocity")
    parts = [np.stack([notes[field] for field in fields]) for notes in played]
    columns = np.concatenate([np.empty((4, 0), np.int64), *parts], axis=1)
    if (columns < 0).any():
        raise _DoubtfulMidi("ticks beyond 32 bits")
    columns[1] += columns[0]
    signatures = [
        (signature.numerator, signature.denominator, signature.time)
        for score in scores
        for signature in score.time_signatures
    ]
    return Notes(
        *in_order(columns, [part.shape[1] for part in parts]),
        ticks_per_beat=_ticks_per_beat(data),
        time_signatures=tuple(sorted(signatures, key=lambda signature: signature[2])),
    )


def _ticks_per_beat(data: bytes) -> int:
    return int.from_bytes(data[12:_HEADER_BYTES], "big")


def _tracks(data: bytes) -> list[bytes]:
    """The track chunks of a file, as many as its header says."""
    tracks = []
    at = 8 + int.from_bytes(data[4:8], "big")
    if data[:4] != b"MThd" or at < _HEADER_BYTES or not 0 < _ticks_per_beat(data) < 0x8000:
        raise _DoubtfulMidi("header")
    for _ in range(int.from_bytes(data[10:12], "big")):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        track = data[at:end]
        _check_track(track, end - at)
        tracks.append(track)
        at = end
    if not tracks:
        raise _DoubtfulMidi("no track")
    return tracks


def _check_track(track: bytes, size: int) -> None:
    """Look for what symusic would pass over. Bytes within a text may be mistaken for it."""
    if track[:4] != b"MTrk" or len(track) < size or size == 8:
        raise _DoubtfulMidi("not a whole track")
    if 0 <= track.find(_END_OF_TRACK) < size - len(_END_OF_TRACK):
        raise _DoubtfulMidi("events after the end of the track")
    if _SHORT_META_EVENT.search(track):
        raise _DoubtfulMidi("a meta event that is too short")
    if len(_CONTINUED_MESSAGE.findall(track)) > track.count(0xF0):
        raise _DoubtfulMidi("a continued system message")


def _instrument(score: Any) -> list[Any]:
    """The one instrument of a track, if it has notes at all."""
    instruments = [track for track in score.tracks if len(track.notes)]
    if len(instruments) > 1:
        raise _DoubtfulMidi("their order")
    return instruments


def _check_signatures(score: Any) -> None:
    times, keys = score.time_signatures.numpy(), score.key_signatures.numpy()
    if not (times["numerator"].all() and times["denominator"].all()):
        raise _DoubtfulMidi("time signature")
    if (np.abs(keys["key"].astype(int)) > 7).any() or (keys["tonality"] > 1).any():
        raise _DoubtfulMidi("key signature")
    if not score.tempos.numpy()["mspq"].all():
        raise _DoubtfulMidi("tempo")
