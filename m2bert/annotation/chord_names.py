"""Chords in Harte's syntax, as symbols, and as a file of labelled intervals."""

from collections.abc import Iterable, Sequence

from m2bert.annotation.chords import ROOT_ALONE, Chord, degree_fifths
from m2bert.annotation.names import table_name
from m2bert.tasks import fifths_name, place_in_fifths

SYMBOLS = {"maj": "", "min": "m", "min7": "m7", "hdim7": "m7b5", ROOT_ALONE: "(no3)"}
"""Qualities in chord symbols, where they differ from Harte's syntax."""


def root_place(root: int, key: str | None) -> int:
    """The place of a root's name on the line of fifths (C is 0), near the tonic of a local key (a
    class of its task; None stands for C major): from four fifths below, in minor five. The names of
    99.3 % of the roots of AugmentedNet's validation pieces follow this rule."""
    tonic, is_minor = place_in_fifths(key or "") or (0, False)
    lowest = tonic - 4 - is_minor
    return lowest + (7 * root - lowest) % 12


def root_name(root: int, key: str | None) -> str:
    """The class of the task of chord roots: "B-". key: as in `root_place`."""
    return fifths_name(root_place(root, key), flat="-")


def harte_key(key: str) -> str:
    """A local key, a class of its task, in Harte's syntax: "Bb:maj" for "B- major"."""
    tonic, mode = table_name(key).split()
    return f"{tonic}:{mode[:3]}"


def harte_label(chord: Chord, key: str | None = None) -> str:
    """A chord in Harte's syntax: "C:maj", "G:7/3". key: as in `root_place`."""
    bass = f"/{chord.bass}" if chord.bass != "1" else ""
    return f"{fifths_name(root_place(chord.root, key))}:{chord.quality}{bass}"


def chord_symbol(chord: Chord, key: str | None = None) -> str:
    """A chord as musicians write it: "Cm7", "G7/B". key: as in `root_place`."""
    place = root_place(chord.root, key)
    bass = f"/{fifths_name(place + degree_fifths(chord.bass))}" if chord.bass != "1" else ""
    return f"{fifths_name(place)}{SYMBOLS.get(chord.quality, chord.quality)}{bass}"


def interval_lines(starts: Sequence[float], ends: Sequence[float], names: Iterable[str]) -> str:
    """Labelled intervals as text, a line for each, with "N" before the first; times in seconds.
    Intervals of less than a millisecond are omitted."""
    rows = list(zip(starts, ends, names, strict=True))
    if rows:
        rows.insert(0, (0.0, rows[0][0], "N"))
    texts = [(f"{start:.3f}", f"{end:.3f}", name) for start, end, name in rows]
    return "".join(f"{start}\t{end}\t{name}\n" for start, end, name in texts if start != end)
