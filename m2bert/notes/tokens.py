"""A song as CP notes, by the rules of pre-training, and where each of them is in the file."""

from dataclasses import dataclass

import numpy as np

from m2bert.notes.cp import cp_notes, reading_order
from m2bert.notes.skipped import (
    NO_TIME_SIGNATURE,
    NO_USABLE_NOTES,
    SEVERAL_TIME_SIGNATURES,
    RejectedSong,
    Tallies,
)
from m2bert.notes.song import Notes, Song, other_meters


@dataclass(frozen=True)
class TokenisedSong:
    """A song of any time signature, cut into bars of four beats.

    Attributes:
        notes: CP notes, (notes, 4) uint8, at least one.
        file_note: the index of each in `song.Notes`, (notes,) int64.
        onset_beats: onsets in the file, in quarter notes, (notes,) float64.
        has_other_meter: some bars are not four quarter notes long.
    """

    notes: np.ndarray
    file_note: np.ndarray
    onset_beats: np.ndarray
    has_other_meter: bool
    has_drums: bool
    defects: Tallies


def cp_notes_of(song: Song) -> np.ndarray:
    """Song -> CP notes, (notes, 4) uint8. Raises `RejectedSong` if no note is long enough."""
    notes = song.notes
    cp = cp_notes(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    if len(cp) == 0:
        detail = f"{len(song)} notes, none as long as a 64th"
        raise RejectedSong(NO_USABLE_NOTES, detail, song.path)
    return cp


def tokenise(song: Song) -> TokenisedSong:
    """Song -> CP notes with their places in the file. Raises as `cp_notes_of`."""
    notes = song.notes
    order = reading_order(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    return TokenisedSong(
        notes=cp_notes_of(song),
        file_note=order,
        onset_beats=song.beats(notes.start[order]),
        has_other_meter=bool(other_meters(notes)),
        has_drums=any(track.is_drum for track in song.tracks),
        defects=song.defects,
    )


def check_four_four(notes: Notes, by_default: bool = False) -> None:
    """Raise `RejectedSong` unless a file has exactly one time signature, 4/4, at any tick, or, with
    `by_default`, none (docs/METHOD.md, "Tokens")."""
    meters = [f"{numerator}/{denominator}" for numerator, denominator, _ in notes.time_signatures]
    if meters != ["4/4"] and (meters or not by_default):
        more = f" and {len(meters) - 8} more" if len(meters) > 8 else ""
        found = f"{', '.join(meters[:8]) or 'none'}{more}"
        reason = SEVERAL_TIME_SIGNATURES if len(meters) > 1 else [*meters, NO_TIME_SIGNATURE][0]
        raise RejectedSong(reason, f"it has {found}; pre-training takes one time signature, 4/4")
