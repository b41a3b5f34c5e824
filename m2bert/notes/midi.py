"""MIDI file -> notes -> CP notes, by miditoolkit.

It is the parser of the original, whose reading of a file is the rule.
"""

from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
from miditoolkit import MidiFile

from m2bert.notes.cp import cp_notes

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


def in_order(
    columns: np.ndarray, lengths: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The five columns of `Notes`, from instruments with so many notes each.

    `columns`: start, end, pitch, velocity, int64 (4, notes), in which the notes that start together
    on one key stand in the order of their ends.
    """
    track = np.repeat(np.arange(len(lengths)), lengths)
    start, end, pitch, velocity = columns
    # one key, since sorting by three of them takes four times as long
    key = (track * (start.max(initial=0) + 1) + start) * 128 + pitch
    order = np.argsort(key, kind="stable")
    return start[order], end[order], pitch[order], velocity[order], track[order]


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
        *in_order(table.T, lengths),
        ticks_per_beat=midi.ticks_per_beat,
        time_signatures=tuple(
            (change.numerator, change.denominator, change.time)
            for change in midi.time_signature_changes
        ),
    )


def other_metres(notes: Notes) -> list[str]:
    """The time signatures whose bars are not four quarter notes, as "3/4", each once."""
    return sorted({f"{top}/{bottom}" for top, bottom, _ in notes.time_signatures if top != bottom})


def tokenise(notes: Notes) -> np.ndarray:
    """Notes -> CP notes, uint8 (notes, 4). Raises `RejectedMidi` if none is left."""
    song = cp_notes(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    if len(song) == 0:
        raise RejectedMidi(NO_USABLE_NOTES, f"{len(notes.start)} notes, none as long as a 64th")
    return song
