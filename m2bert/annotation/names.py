"""Classes, pitches, numbers and durations as people write them."""

import re

from m2bert.notes.song import Song
from m2bert.tasks import PADDING

READABLE = {
    PADDING: "no label",
    "Q1": "Q1: positive, lively",
    "Q2": "Q2: negative, lively",
    "Q3": "Q3: negative, calm",
    "Q4": "Q4: positive, calm",
}
"""What is written for classes whose own names explain too little."""


def readable_name(name: str) -> str:
    """A class as people write it: "B♭ major" for "B- major"."""
    if pitch := re.fullmatch(r"([A-G])(#*|-*)((?: major| minor)?)", name):
        letter, accidentals, mode = pitch.groups()
        return letter + accidentals.replace("#", "♯").replace("-", "♭") + mode
    return READABLE.get(name, name)


def short_name(name: str) -> str:
    """A class in few letters, which fit into a drawn note: "3 on A" for a violin fingering."""
    if fingering := re.fullmatch(r"string (\w), position \d+, finger (\d)", name):
        string, finger = fingering.groups()
        return f"{finger} on {string}"
    return readable_name(name)


PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch: "C4" for 60."""
    octave, within = divmod(pitch, 12)
    return f"{PITCH_NAMES[within]}{octave - 1}"


def counted(number: int, thing: str) -> str:
    """A number of things: "1 note", "1,200 notes"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def clock(song: Song) -> str:
    """How long a song lasts, in minutes and seconds: "3:05"."""
    minutes, seconds = divmod(round(float(song.seconds(song.notes.end.max()))), 60)
    return f"{minutes}:{seconds:02}"
