"""MIDI file -> notes -> CP notes. The only module that needs a MIDI library."""

from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
from miditoolkit import MidiFile

from m2bert.cp import cp_notes

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
    """The notes of a MIDI file, in the file's order: tracks one after another, drums included.

    `start`, `end` (ticks), `pitch`, `velocity` (0..127) and `track` (index of the instrument) are
    int64 (notes,); `time_signatures` are (numerator, denominator, tick). Overlapping notes of one
    pitch end first-in first-out.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    track: np.ndarray
    ticks_per_beat: int
    time_signatures: tuple[tuple[int, int, int], ...]


def read_midi(path: Path | str) -> Notes:
    """Read a MIDI file. Raises `RejectedMidi` if the parser cannot."""
    try:
        midi = MidiFile(str(path))
    except EOFError as error:
        raise RejectedMidi(UNREADABLE, "the file ends too early") from error
    except Exception as error:  # the parser raises whatever a damaged file leads it to
        raise RejectedMidi(UNREADABLE, f"{type(error).__name__}: {error}"[:200]) from error
    if midi.ticks_per_beat <= 0:
        raise RejectedMidi(UNREADABLE, "it counts time in frames, not in beats")
    return notes_of(midi)


def notes_of(midi: MidiFile) -> Notes:
    """The notes of a parsed file as arrays."""
    lengths = [len(instrument.notes) for instrument in midi.instruments]
    notes = chain.from_iterable(instrument.notes for instrument in midi.instruments)
    fields = chain.from_iterable(map(attrgetter("start", "end", "pitch", "velocity"), notes))
    table = np.fromiter(fields, np.int64, 4 * sum(lengths)).reshape(-1, 4)
    return Notes(
        *table.T,
        track=np.repeat(np.arange(len(lengths)), lengths),
        ticks_per_beat=midi.ticks_per_beat,
        time_signatures=tuple(
            (change.numerator, change.denominator, change.time)
            for change in midi.time_signature_changes
        ),
    )


def read_cp_notes(path: Path | str, check_signature: bool) -> np.ndarray:
    """MIDI file -> CP notes, uint8 (notes, 4), at least one note.

    With `check_signature` (pre-training) the file must hold exactly one time signature, 4/4, at
    any tick; without it (the piece-level tasks) every file is cut in bars of four beats.
    Raises `RejectedMidi` for a file that gives no song.
    """
    notes = read_midi(path)
    if check_signature:
        _check_four_four(notes)
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
