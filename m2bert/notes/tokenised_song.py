"""Any MIDI file as CP notes, with what is needed to find them again in the file.

Light to import (no torch): worker processes read files with it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m2bert.base.errors import UserError
from m2bert.notes.cp import reading_order
from m2bert.notes.midi import (
    notes_of,
    other_metres,
    parse_midi,
    read_legal,
    refuse_no_notes,
    tokenise,
)
from m2bert.notes.midi_files import refuse_no_file
from m2bert.notes.skipped import RejectedMidi, Tallies


@dataclass(frozen=True)
class TokenisedSong:
    """A file of any metre, cut in bars of four beats.

    Attributes:
        notes: CP notes, (notes, 4) uint8, at least one.
        file_note: the place of each in the file's order (`midi.Notes`), (notes,) int64.
        onset_beats: when it begins in the file, in quarter notes, (notes,) float64.
        has_other_metre: some of it is in bars of more or less than four quarter notes.
        has_drums: some of its notes are drums.
        oddities: see `LegalMidi`.
    """

    notes: np.ndarray
    file_note: np.ndarray
    onset_beats: np.ndarray
    has_other_metre: bool
    has_drums: bool
    oddities: Tallies


def tokenise_file(path: Path | str) -> TokenisedSong:
    """Read a MIDI file. Raises `RejectedMidi` if it gives no CP notes."""
    legal = read_legal(path)
    midi = parse_midi(legal.data)
    notes = notes_of(midi)
    refuse_no_notes(notes, legal.data)
    order = reading_order(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    return TokenisedSong(
        notes=tokenise(notes),
        file_note=order,
        onset_beats=notes.start[order] / notes.ticks_per_beat,
        has_other_metre=bool(other_metres(notes)),
        has_drums=any(track.is_drum and track.notes for track in midi.instruments),
        oddities=legal.oddities,
    )


def read_tokenised_song(path: Path | str) -> TokenisedSong:
    """`tokenise_file` for a file that the user names: raises `UserError` instead."""
    refuse_no_file(Path(path))
    try:
        return tokenise_file(path)
    except RejectedMidi as rejection:
        raise UserError(f"{path} cannot be used: {rejection}") from rejection


def tokenise_or_reject(path: Path) -> TokenisedSong | RejectedMidi:
    """`tokenise_file` for worker processes: a rejection is returned instead of raised."""
    try:
        return tokenise_file(path)
    except RejectedMidi as rejection:
        return rejection
