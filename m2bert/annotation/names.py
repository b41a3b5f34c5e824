"""Classes, pitches, numbers and durations as people write them."""

import re
from functools import cache

from m2bert.notes.song import Song
from m2bert.tasks import PADDING, place_in_fifths

READABLE = {
    PADDING: "no label",
    "bridge": "second voice",  # a bridge is also a section of a song
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


def table_name(name: str) -> str:
    """A class as tables and markers have it: that of the benchmark, but "Bb" for "B-", which reads
    as a minor chord."""
    return name.replace("-", "b") if place_in_fifths(name) else name


def short_name(name: str) -> str:
    """A class in few letters, which fit into a drawn note: "3 on A" for a violin fingering."""
    if fingering := re.fullmatch(r"string (\w), position \d+, finger (\d)", name):
        string, finger = fingering.groups()
        return f"{finger} on {string}"
    return readable_name(name)


@cache
def pitch_name(pitch: int, key: str | None = None, accidentals: str = "#b") -> str:
    """The name of a MIDI pitch in a key: 60 is "C4", 70 "Bb4" in C major and "A#4" in B minor.

    key: a class of the task of local keys, which twelve names suit: in C major E flat, A flat and
    B flat, F sharp and C sharp; in A minor G sharp for A flat. Other texts, and None, stand for C
    major. accidentals: a sharp and a flat.
    """
    fifths, is_minor = place_in_fifths(key or "") or (0, False)
    lowest = fifths - (6 if is_minor else 4)
    place = lowest + (7 * pitch - lowest) % 12 + 1  # on the line of fifths, from F
    alteration, letter = divmod(place, 7)
    sign = accidentals[alteration < 0] * abs(alteration)
    return f"{'FCGDAEB'[letter]}{sign}{(pitch - alteration) // 12 - 1}"


def counted(number: int, thing: str) -> str:
    """A number of things: "1 note", "1,200 notes"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def clock(song: Song) -> str:
    """How long a song lasts, in minutes and seconds: "3:05"."""
    minutes, seconds = divmod(round(float(song.seconds(song.notes.end.max()))), 60)
    return f"{minutes}:{seconds:02}"
