"""MIDI file -> notes -> CP notes, by miditoolkit.

It is the parser of the original, whose reading of a file is the rule.
"""

from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from operator import attrgetter
from pathlib import Path

import mido
import numpy as np
from miditoolkit import MidiFile

from m2bert.notes.cp import cp_notes
from m2bert.notes.events import is_beginning
from m2bert.notes.legal_midi import LAST_TICK, LegalMidi, legal_midi
from m2bert.notes.skipped import (
    NO_METRE,
    NO_USABLE_NOTES,
    SEVERAL_METRES,
    UNREADABLE,
    RejectedMidi,
    Tallies,
)


@dataclass(frozen=True)
class Notes:
    """The notes of a MIDI file: its instruments one after another, drums included.

    `start`, `end` (ticks), `pitch`, `velocity` (0..127) and `track` (index of the instrument) are
    int64 (notes,), ordered by track, start, pitch and end. An instrument is what one track of the
    file plays on one channel with one program; those of a track stand in the order in which their
    first notes end. `time_signatures` are (numerator, denominator, tick), ordered by tick.
    Overlapping notes of one pitch end first-in first-out. `oddities`: see `LegalMidi`.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    track: np.ndarray
    ticks_per_beat: int
    time_signatures: tuple[tuple[int, int, int], ...]
    oddities: Tallies = field(default_factory=dict)


def in_order(
    columns: np.ndarray, lengths: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The columns of `Notes`: start, end, pitch, velocity and track, in its order.

    columns: start, end, pitch and velocity of the notes of one instrument after another, int64
    (4, notes); notes that start together on one key are in the order of their ends. lengths: how
    many notes each instrument has.
    """
    track = np.repeat(np.arange(len(lengths)), lengths)
    start, end, pitch, velocity = columns
    # one key, since sorting by three of them takes four times as long
    key = (track * (start.max(initial=0) + 1) + start) * 128 + pitch
    order = np.argsort(key, kind="stable")
    return start[order], end[order], pitch[order], velocity[order], track[order]


def read_legal(path: Path | str) -> LegalMidi:
    """The bytes of a MIDI file, made legal. Raises `RejectedMidi` if that is not possible."""
    return legal_midi(read_bytes(path))


def read_bytes(path: Path | str) -> bytes:
    """The bytes of a file. Raises `RejectedMidi` if there is none, or none that can be read."""
    path = Path(path)
    try:
        if path.is_dir():
            raise RejectedMidi(UNREADABLE, "it is a folder that cannot be listed")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise RejectedMidi(UNREADABLE, "it is no ordinary file")
        return path.read_bytes()
    except OSError as error:
        raise RejectedMidi(UNREADABLE, f"{error.strerror or error}") from error


def parse_midi(data: bytes) -> MidiFile:
    """Everything that miditoolkit keeps of a file. Raises `RejectedMidi` if it cannot read it."""
    try:
        midi = MidiFile(file=BytesIO(data))
    except Exception as error:  # the parser raises whatever a damaged file leads it to
        raise RejectedMidi(UNREADABLE, "it is no legal MIDI") from error
    if midi.max_tick > LAST_TICK + 1:
        raise RejectedMidi(UNREADABLE, f"it lasts longer than {LAST_TICK:,} ticks")
    return midi


def notes_of(midi: MidiFile, oddities: Tallies | None = None) -> Notes:
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
        oddities=oddities or {},
    )


def other_metres(notes: Notes) -> list[str]:
    """The time signatures whose bars are not four quarter notes, as "3/4", each once."""
    return sorted({f"{top}/{bottom}" for top, bottom, _ in notes.time_signatures if top != bottom})


def beginnings(file: mido.MidiFile) -> int:
    """How many notes begin; of each that ends, the parser makes one note."""
    return sum(is_beginning(message) for track in file.tracks for message in track)


def refuse_no_notes(notes: Notes, data: bytes) -> None:
    """Raise `RejectedMidi` if a file, legal `data`, has no notes."""
    if len(notes.start) == 0:
        begun = beginnings(mido.MidiFile(file=BytesIO(data)))
        detail = f"{begun:,} begin and none of them ends" if begun else "it has no notes"
        raise RejectedMidi(NO_USABLE_NOTES, detail)


def four_four_song(notes: Notes) -> np.ndarray:
    """Notes of a file of pre-training -> CP notes, uint8 (notes, 4), at least one note.

    The file must hold exactly one time signature, 4/4, at any tick. (`tokenised_song` takes files
    of any metre.) Raises `RejectedMidi` for another one.
    """
    metres = [f"{numerator}/{denominator}" for numerator, denominator, _ in notes.time_signatures]
    if metres != ["4/4"]:
        more = f" and {len(metres) - 8} more" if len(metres) > 8 else ""
        found = f"{', '.join(metres[:8]) or 'none'}{more}"
        reason = SEVERAL_METRES if len(metres) > 1 else metres[0] if metres else NO_METRE
        raise RejectedMidi(reason, f"it has {found}; pre-training takes one time signature, 4/4")
    return tokenise(notes)


def tokenise(notes: Notes) -> np.ndarray:
    """Notes -> CP notes, uint8 (notes, 4). Raises `RejectedMidi` if none is left."""
    song = cp_notes(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    if len(song) == 0:
        raise RejectedMidi(NO_USABLE_NOTES, f"{len(notes.start)} notes, none as long as a 64th")
    return song
