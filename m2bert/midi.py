"""MIDI file -> notes -> CP notes."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from miditoolkit import MidiFile

from m2bert.cp import cp_notes
from m2bert.errors import UserError

SYMUSIC = "symusic==0.6.0"  # an optional install

# Why a file gives no song: a small fixed set, so that files can be counted by reason.
UNREADABLE = "unreadable"
NOT_FOUR_FOUR = "not 4/4"
NO_USABLE_NOTES = "no usable notes"


class RejectedMidi(Exception):
    """A MIDI file that gives no song: `reason` is one of the constants above, `detail` is free."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})"


@dataclass(frozen=True)
class Notes:
    """The notes of a MIDI file: its instruments one after another, drums included.

    `start`, `end` (ticks), `pitch`, `velocity` (0..127) and `track` (index of the instrument) are
    int64 (notes,), ordered by track, start, pitch and end. An instrument is what one track of the
    file plays on one channel with one program; those of a track stand in the order in which their
    first notes end. `time_signatures` are (numerator, denominator, tick), ordered by tick.
    Overlapping notes of one pitch end first-in first-out.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    track: np.ndarray
    ticks_per_beat: int
    time_signatures: tuple[tuple[int, int, int], ...]


def read_midi(path: Path | str, reader: str = "miditoolkit") -> Notes:
    """Read a MIDI file with one of `READERS`. Raises `RejectedMidi` if it cannot be read."""
    return READERS[reader](path)


def check_reader(reader: str) -> None:
    """Raise `UserError` if the library of one of `READERS` is not installed."""
    if importlib.util.find_spec(reader) is None:
        raise UserError(f"{reader} is not installed: pip install {SYMUSIC}")


def _in_order(columns: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    """The five columns of `Notes`, from instruments with so many notes each.

    `columns`: start, end, pitch, velocity, int64 (4, notes), in which the notes that start together
    on one key stand in the order of their ends.
    """
    track = np.repeat(np.arange(len(lengths)), lengths)
    start, pitch = columns[0], columns[2]
    # one key, since sorting by three of them takes four times as long
    key = (track * (start.max(initial=0) + 1) + start) * 128 + pitch
    order = np.argsort(key, kind="stable")
    return [column[order] for column in (*columns, track)]


# miditoolkit: the parser of the original, whose reading of a file is the rule


def read_with_miditoolkit(path: Path | str) -> Notes:
    """Read a MIDI file. Raises `RejectedMidi` if the parser cannot."""
    return notes_of(parse_midi(path))


def parse_midi(path: Path | str) -> MidiFile:
    """Read everything that miditoolkit keeps of a file. Raises `RejectedMidi` if it cannot."""
    try:
        midi = MidiFile(str(path))
    except EOFError as error:
        raise RejectedMidi(UNREADABLE, "the file ends too early") from error
    except ZeroDivisionError as error:
        raise RejectedMidi(UNREADABLE, "it has a tempo of 0") from error
    except Exception as error:  # the parser raises whatever a damaged file leads it to
        raise RejectedMidi(UNREADABLE, f"{type(error).__name__}: {error}"[:200]) from error
    if midi.ticks_per_beat < 0:
        raise RejectedMidi(UNREADABLE, "it counts time in frames, not in beats")
    if midi.ticks_per_beat == 0:
        raise RejectedMidi(UNREADABLE, "its beats have 0 ticks")
    return midi


def notes_of(midi: MidiFile) -> Notes:
    """The notes of a parsed file as arrays."""
    lengths = [len(instrument.notes) for instrument in midi.instruments]
    notes = chain.from_iterable(instrument.notes for instrument in midi.instruments)
    fields = chain.from_iterable(map(attrgetter("start", "end", "pitch", "velocity"), notes))
    table = np.fromiter(fields, np.int64, 4 * sum(lengths)).reshape(-1, 4)
    return Notes(
        *_in_order(table.T, lengths),
        ticks_per_beat=midi.ticks_per_beat,
        time_signatures=tuple(
            (change.numerator, change.denominator, change.time)
            for change in midi.time_signature_changes
        ),
    )


# symusic: much quicker, but it reads on where miditoolkit gives up, and forgets which instrument of
# a track came first. So it reads each track for itself, and what could be doubted is left to
# miditoolkit.

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
        *_in_order(columns, [part.shape[1] for part in parts]),
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


# Adding a reader is adding a row; its name is that of the library.
READERS: dict[str, Callable[[Path | str], Notes]] = {
    "miditoolkit": read_with_miditoolkit,
    "symusic": read_with_symusic,
}


def read_cp_notes(
    path: Path | str, check_signature: bool, reader: str = "miditoolkit"
) -> np.ndarray:
    """MIDI file -> CP notes, uint8 (notes, 4), at least one note.

    With `check_signature` (pre-training) the file must hold exactly one time signature, 4/4, at
    any tick; without it (the piece-level tasks) every file is cut in bars of four beats.
    `reader` is one of `READERS`. Raises `RejectedMidi` for a file that gives no song.
    """
    notes = read_midi(path, reader)
    if check_signature:
        _check_four_four(notes)
    return tokenise(notes)


def other_metres(notes: Notes) -> list[str]:
    """The time signatures whose bars are not four quarter notes, as "3/4", each once."""
    return sorted({f"{top}/{bottom}" for top, bottom, _ in notes.time_signatures if top != bottom})


def tokenise(notes: Notes) -> np.ndarray:
    """Notes -> CP notes, uint8 (notes, 4). Raises `RejectedMidi` if none is left."""
    song = cp_notes(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    if len(song) == 0:
        raise RejectedMidi(NO_USABLE_NOTES, f"{len(notes.start)} notes, none as long as a 64th")
    return song


def _check_four_four(notes: Notes) -> None:
    signatures = [
        f"{numerator}/{denominator}" for numerator, denominator, _ in notes.time_signatures
    ]
    if signatures != ["4/4"]:
        found = ", ".join(signatures[:8]) or "none"
        more = f" and {len(signatures) - 8} more" if len(signatures) > 8 else ""
        raise RejectedMidi(NOT_FOUR_FOUR, f"time signatures: {found}{more}")
