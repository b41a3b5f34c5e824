"""The libraries that read MIDI files, and the way from a file to CP notes."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from m2bert.base.errors import UserError
from m2bert.notes.midi import NOT_FOUR_FOUR, Notes, RejectedMidi, read_with_miditoolkit, tokenise
from m2bert.notes.midi_symusic import read_with_symusic

SYMUSIC = "symusic==0.6.0"  # an optional install


def read_midi(path: Path | str, reader: str = "miditoolkit") -> Notes:
    """Read a MIDI file with one of `READERS`. Raises `RejectedMidi` if it cannot be read."""
    return READERS[reader](path)


def check_reader(reader: str) -> None:
    """Raise `UserError` if the library of one of `READERS` is not installed."""
    if importlib.util.find_spec(reader) is None:
        raise UserError(f"{reader} is not installed: pip install {SYMUSIC}")


# Adding a reader is adding a row; its name is that of the library.
READERS: dict[str, Callable[[Path | str], Notes]] = {
    "miditoolkit": read_with_miditoolkit,
    "symusic": read_with_symusic,
}


def read_cp_notes(path: Path | str, reader: str = "miditoolkit") -> np.ndarray:
    """MIDI file of pre-training -> CP notes, uint8 (notes, 4), at least one note.

    The file must hold exactly one time signature, 4/4, at any tick. (`tokenised_song` reads files
    of any metre.) `reader` is one of `READERS`. Raises `RejectedMidi` for a file that gives no
    song.
    """
    notes = read_midi(path, reader)
    signatures = [
        f"{numerator}/{denominator}" for numerator, denominator, _ in notes.time_signatures
    ]
    if signatures != ["4/4"]:
        found = ", ".join(signatures[:8]) or "none"
        more = f" and {len(signatures) - 8} more" if len(signatures) > 8 else ""
        raise RejectedMidi(NOT_FOUR_FOUR, f"time signatures: {found}{more}")
    return tokenise(notes)
