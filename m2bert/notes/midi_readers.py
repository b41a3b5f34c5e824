"""The libraries that read MIDI files, and the two ways of reading odd ones.

Files are made legal before they are parsed. Those of the published corpora are not: they are read
as the original reads them, so that their tokens stay the original's.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.notes.legal_midi import NOT_COUNTED, legal_midi
from m2bert.notes.midi import Notes, notes_of, parse_midi, read_bytes, refuse_no_notes
from m2bert.notes.midi_symusic import read_with_symusic
from m2bert.notes.skipped import UNREADABLE, RejectedMidi, Tallies, told

SYMUSIC = "symusic==0.6.0"  # an optional install

# Adding a reader is adding a row; its name is that of the library. It gets legal bytes.
READERS: dict[str, Callable[[bytes], Notes]] = {
    "miditoolkit": lambda data: notes_of(parse_midi(data)),
    "symusic": read_with_symusic,
}


def check_reader(reader: str) -> None:
    """Raise `UserError` if the library of one of `READERS` is not installed."""
    if importlib.util.find_spec(reader) is None:
        raise UserError(f"{reader} is not installed: pip install {SYMUSIC}")


def read_midi(path: Path | str, reader: str = "miditoolkit", as_published: bool = False) -> Notes:
    """Read a MIDI file with one of `READERS`.

    as_published: whether an odd file is read as the original reads it: by miditoolkit as it is, or
        not at all if miditoolkit gives up. Otherwise it is made legal first (`legal_midi`).

    Raises `RejectedMidi` if it cannot be read.
    """
    data = read_bytes(path)
    legal = legal_midi(data)
    if not as_published or legal.data == data:
        notes = READERS[reader](legal.data)
        oddities = legal.oddities
    else:
        notes = _read_odd_file(data, legal.oddities)
        oddities = {kind: n for kind, n in legal.oddities.items() if kind == NOT_COUNTED}
    refuse_no_notes(notes, legal.data)
    return replace(notes, oddities=oddities)


def _read_odd_file(data: bytes, oddities: Tallies) -> Notes:
    try:
        return notes_of(parse_midi(data))
    except RejectedMidi as rejection:
        detail = f"{rejection.detail}: {told(oddities)}" if oddities else rejection.detail
        raise RejectedMidi(UNREADABLE, detail) from rejection
