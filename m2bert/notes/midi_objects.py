"""Songs from objects of MIDI libraries, besides files."""

from io import BytesIO
from pathlib import Path
from typing import Any

from m2bert.notes.midi_reader import read_midi
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song


def song_of(music: Any) -> Song:
    """The song in a file (its path), or in an object of pretty_midi, miditoolkit, mido or symusic;
    a `Song` as it is. Raises `RejectedSong` as `reader.read_song` does, else `TypeError`."""
    if isinstance(music, Song):
        return music
    if isinstance(music, str | Path):
        return read_song(music)
    return read_midi(Path(type(music).__name__), _midi_bytes(music), "mido", as_published=False)


def _midi_bytes(music: Any) -> bytes:
    if hasattr(music, "dumps_midi"):  # symusic
        return music.dumps_midi()
    data = BytesIO()
    if hasattr(music, "dump"):  # miditoolkit
        music.dump(file=data, charset="utf-8")
    elif hasattr(music, "save"):  # mido
        music.save(file=data)
    elif hasattr(music, "write"):  # pretty_midi
        music.write(data)
    else:
        raise TypeError(
            "music is a path, or an object of pretty_midi, miditoolkit, mido or symusic, not "
            f"{type(music).__name__}"
        )
    return data.getvalue()
