"""Names of classes and pitches, numbers and durations in text."""

from functools import cache

from m2bert.notes.song import Song
from m2bert.tasks import FINGERING, PADDING, TASKS, Task, fifths_name, place_in_fifths

READABLE = {
    PADDING: "no label",
    "bridge": "second voice",  # a bridge is also a section of a song
    "Q1": "Q1: positive, lively",
    "Q2": "Q2: negative, lively",
    "Q3": "Q3: negative, calm",
    "Q4": "Q4: positive, calm",
}
"""The text for classes whose own names explain too little."""


def readable_name(name: str) -> str:
    """The name of a class in text: "B♭ major" for "B- major"."""
    if place_in_fifths(name):
        return name.replace("#", "♯").replace("-", "♭")
    return READABLE.get(name, name)


def table_name(name: str) -> str:
    """The name of a class in tables and markers: the benchmark's, but "Bb" for "B-", which reads
    as a minor chord."""
    return name.replace("-", "b") if place_in_fifths(name) else name


def readable_class(name: str, task: Task) -> str:
    """`readable_name` of a class of the benchmark's tasks; users' own classes are unchanged."""
    has_known_classes = task.name in TASKS or task.names_pitches or name == PADDING
    return readable_name(name) if has_known_classes else name


def class_in_table(name: str, task: Task) -> str:
    """`table_name` of a class that names a root or key; others are unchanged."""
    return table_name(name) if task.names_pitches else name


def with_signs(name: str) -> str:
    """The name of a chord or key in tables as it is written in text: "B♭m7♭5" for "Bbm7b5"."""
    return name.replace("#", "♯").replace("b", "♭")


def short_name(name: str, task: Task) -> str:
    """A short name of a class that fits into a drawn note: "3 on A" for a violin fingering."""
    if fingering := FINGERING.fullmatch(name):
        string, _, finger = fingering.groups()
        return f"{finger} on {string}"
    return readable_class(name, task)


@cache
def pitch_name(pitch: int, key: str | None = None, accidentals: str = "#b") -> str:
    """The name of a MIDI pitch in a key: 60 is "C4", 70 "Bb4" in C major and "A#4" in B minor.

    key: a class of the task of local keys, which twelve names suit: in C major E flat, A flat and
    B flat, F sharp and C sharp; in A minor G sharp for A flat. None and any other text stand for C
    major. accidentals: a sharp and a flat.
    """
    fifths, is_minor = place_in_fifths(key or "") or (0, False)
    lowest = fifths - (6 if is_minor else 4)
    place = lowest + (7 * pitch - lowest) % 12
    alteration = (place + 1) // 7  # B sharp 3 is as high as C 4
    return f"{fifths_name(place, *accidentals)}{(pitch - alteration) // 12 - 1}"


def counted(number: int, thing: str) -> str:
    """A number of things: "1 note", "1,200 notes"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def clock(song: Song) -> str:
    """The duration of a song in minutes and seconds: "3:05"."""
    minutes, seconds = divmod(round(float(song.seconds(song.notes.end.max()))), 60)
    return f"{minutes}:{seconds:02}"
