"""A file -> song: the only reader, for all formats."""

from pathlib import Path

from m2bert.notes.midi_reader import read_midi
from m2bert.notes.score_formats import score_in
from m2bert.notes.skipped import UNREADABLE, RejectedSong
from m2bert.notes.song import Song


def read_song(path: Path | str, midi_reader: str = "mido", as_published: bool = False) -> Song:
    """Read a MIDI file or a score (MusicXML, Humdrum kern, MEI), recognised by its content.

    midi_reader: one of `midi.READERS`.
    as_published: whether a malformed MIDI file is read as the original reads it: by miditoolkit as
        it is, or not at all if miditoolkit fails. Otherwise it is repaired first (`legal_midi`).

    Raises `RejectedSong` if it cannot be read or has no notes, or is a score and partitura is not
    installed.
    """
    path = Path(path)
    try:
        data = _read_bytes(path)
        if (score := score_in(data)) is not None:
            from m2bert.notes.score_reader import read_score  # which needs an optional library

            return read_score(path, score)
        return read_midi(path, data, midi_reader, as_published)
    except RejectedSong as rejection:
        rejection.path = path
        raise


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise RejectedSong(UNREADABLE, "it is a folder, or one that cannot be listed")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise RejectedSong(UNREADABLE, "it is not a regular file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RejectedSong(UNREADABLE, "there is no such file") from error
    except OSError as error:
        raise RejectedSong(UNREADABLE, f"{error.strerror or error}") from error
