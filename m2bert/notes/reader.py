"""A file -> song: the only reader, for all formats."""

from pathlib import Path

from m2bert.notes.midi_reader import read_midi
from m2bert.notes.score_formats import score_in
from m2bert.notes.skipped import UNREADABLE, RejectedSong
from m2bert.notes.song import Song


def read_song(path: Path | str, midi_reader: str = "mido", as_published: bool = False) -> Song:
    """Read a MIDI file or a score (MusicXML, Humdrum kern, MEI), recognised by its content.

    midi_reader: one of `midi_reader.READERS`; as_published: whether miditoolkit reads a malformed
    MIDI file as it is, as in the original, instead of its repaired bytes (`legal_midi`).

    Raises `RejectedSong` if it cannot be read, has no notes, or needs partitura, which is missing.
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
