"""What in a song is unlike the music that the models were trained on."""

import numpy as np

from m2bert.annotation.names import counted
from m2bert.notes.cp import HIGHEST_PITCH, LOWEST_PITCH, ORDINARY_SIZES, SHORTEST_NOTE_BEATS
from m2bert.notes.drums import is_named_drums
from m2bert.notes.skipped import told
from m2bert.notes.song import Song, Track, other_metres

LONGEST_BEATS = ORDINARY_SIZES[3] / 8
"""The longest duration that a token stands for: 64 32nd notes."""


def marks_of(song: Song) -> dict[str, np.ndarray]:
    """Which notes the models do not read, or read as something else: by name, (notes,) bool each.

    "drums": not read by models of notes; "short": under 1/16 beat, not read by models of pieces;
    "pitch clipped", "duration clipped": read as the nearest pitch or duration of the vocabulary.
    """
    notes = song.notes
    beats = song.beats(notes.end - notes.start)
    return {
        "drums": song.is_drum,
        "short": beats < SHORTEST_NOTE_BEATS,
        "pitch clipped": (notes.pitch < LOWEST_PITCH) | (notes.pitch > HIGHEST_PITCH),
        "duration clipped": beats > LONGEST_BEATS,
    }


def warnings_of(song: Song, marks: dict[str, np.ndarray]) -> list[str]:
    """Sentences that tell a musician why some labels may be missing or wrong."""
    drums, short, pitch, duration = (
        int(marks[name].sum()) for name in ("drums", "short", "pitch clipped", "duration clipped")
    )
    found = []
    if drums:
        found.append(
            f"{_notes_are(drums)} drums{_names([t for t in song.tracks if t.is_drum])}: they get "
            "no labels, as the models of notes were trained on pitched instruments alone"
        )
    doubtful = [track for track in song.tracks if not track.is_drum and is_named_drums(track.name)]
    if doubtful:
        found.append(
            f"notes{_names(doubtful)} were read as pitches, although the name means drums: the "
            "program is that of a pitched instrument, or the file would have nothing but drums; "
            "drums on channel 10 are always recognised"
        )
    if metres := other_metres(song.notes):
        found.append(
            f"time signature {', '.join(metres)}: the models assume bars of four quarter notes, so "
            "labels that depend on bars may be wrong"
        )
    if pitch:
        found.append(
            f"{_notes_are(pitch)} below A#0 or above B7 and read at the nearest of these pitches"
        )
    if duration:
        beats = f"{LONGEST_BEATS:g} quarter notes"
        found.append(f"{_notes_are(duration)} longer than {beats} and read as that long")
    found += [f"{_notes_are(number)} {what}: omitted" for what, number in song.omitted.items()]
    if short:
        whole = "models of whole pieces"
        found.append(
            f"every note is shorter than a 64th note: {whole} read nothing"
            if short == len(song)
            else f"{_notes_are(short)} shorter than a 64th note: left out by {whole}"
        )
    if oddities := song.oddities:
        found.append(f"the file is odd, but was read as far as it goes: {told(oddities)}")
    if not song.tempos:
        found.append("the file has no tempo: seconds are computed at 120 quarter notes per minute")
    return found


def _names(tracks: list[Track]) -> str:
    """The names of some tracks in words, " (Kit, Perc)"; nothing where none has a name."""
    names = list(dict.fromkeys(track.name for track in tracks if track.name))
    return f" ({', '.join(names)})" if names else ""


def _notes_are(count: int) -> str:
    return f"{counted(count, 'note')} {'is' if count == 1 else 'are'}"
