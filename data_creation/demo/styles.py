"""The vocabulary of the demo music and its styles, as data.

Rhythms are written as text, one character per sixteenth of a 4/4 bar: a symbol starts a note, `-`
holds it, `.` is a rest.
"""

from typing import NamedTuple

from m2bert.tasks import TASKS

# Degrees of the scale, the chords of the four bars of a phrase.
PROGRESSIONS = {
    "hymn": ("1415", "4165", "1245"),
    "pop": ("1564", "6415", "1645"),
    "rock": ("1454", "1415", "1145"),
    "jazz": ("2511", "1625", "3625"),
    "classical": ("1551", "1451", "1625"),
}

# The left hand, one bar: the bass line in degrees above the chord's root (8 an octave up), and the
# hand above it with C the whole chord, 1 to 3 its tones upwards, 4 and 5 the lowest an octave up.
FIGURES = {
    "block": ("1-------1-------", "C-------C-------"),
    "pads": ("1-------8-------", "C-----------C---"),
    "anthem": ("1-----1-1-----1-", "C---C---C---C---"),
    "broken": ("1-------5-------", "..1-2-3-4-3-2-1-"),
    "alberti": ("1-------........", "1-3-2-3-1-3-2-3-"),
    "arpeggio": ("1-5-8---1-5-8---", "......1-2-3-4-3-"),
    "ostinato": ("1-5-8-5-1-5-8-5-", "....1-......2-.."),
    "walking": ("1---3---5---6---", "......C-......C-"),
    "country": ("1---....5---....", "....C-C-....C-C-"),
    "habanera": ("1-----5-8---5---", "..C-..C-..C-C---"),
    "drive": ("1-1-1-1-1-1-1-5-", "C-----C-----C---"),
}

# The right hand as (motif, answer, cadence), one bar each. The last note of a bar begins later
# than the first of any other, which separates bars where beats are counted per bar.
MELODIES = {
    "sparse": ("x-------x-------", "x-----------x---", "x---------x-----"),
    "lyrical": ("x-----x-x---x---", "x---x---x-------", "x-----x-x-------"),
    "flowing": ("x-x-x-x-x---x---", "..x-x-x-x-x-x---", "x-x-x---x-------"),
    "syncopated": ("x--x--x-x--x--x-", "..x-x--x--x-x---", "x--x--x---x-----"),
    "running": ("x-xxx-x-x-xxx-x-", "xxxxx-x-xxxxx-x-", "x-x-xxxxx-------"),
    "dotted": ("x--xx---x--xx---", "x--xx--xx---x---", "x--xx--xx-----.."),
}


class Style(NamedTuple):
    """What the pieces of a class have in common.

    tempo: quarter notes per minute; progressions, figure, melody: rows of the tables above;
    register: MIDI pitch around which the melody lies; velocity: mean MIDI velocity.
    """

    minor: bool
    tempo: int
    progressions: str
    figure: str
    melody: str
    register: int
    velocity: int


COMPOSERS = TASKS["composer"].classes
EMOTIONS = TASKS["emotion"].classes
GENRES = ("pop", "rock", "jazz", "country", "latin")
"""What the genres of the task, which have numbers only, are in the demo."""

# The composers' names say for whose class the pieces stand in, not whose music they are. Emotions
# are Russell's quadrants: valence high or low as major or minor, arousal high or low as fast, loud
# and dense or slow, soft and sparse.
STYLES = {
    "Bethel": Style(False, 70, "hymn", "block", "sparse", 67, 66),
    "Clayderman": Style(True, 84, "pop", "arpeggio", "lyrical", 79, 74),
    "Einaudi": Style(True, 66, "pop", "ostinato", "sparse", 76, 46),
    "Hancock": Style(True, 138, "jazz", "walking", "syncopated", 70, 86),
    "Hillsong": Style(False, 77, "pop", "anthem", "dotted", 72, 90),
    "Hisaishi": Style(False, 104, "classical", "alberti", "flowing", 77, 68),
    "Ryuichi": Style(True, 64, "jazz", "pads", "lyrical", 65, 42),
    "Yiruma": Style(False, 72, "hymn", "broken", "dotted", 74, 54),
    "Q1": Style(False, 136, "pop", "country", "running", 77, 92),
    "Q2": Style(True, 140, "rock", "drive", "syncopated", 66, 98),
    "Q3": Style(True, 60, "hymn", "pads", "sparse", 65, 40),
    "Q4": Style(False, 70, "jazz", "broken", "lyrical", 76, 52),
    "pop": Style(False, 96, "pop", "anthem", "syncopated", 70, 70),
    "rock": Style(True, 130, "rock", "drive", "dotted", 67, 94),
    "jazz": Style(False, 132, "jazz", "walking", "running", 72, 76),
    "country": Style(False, 106, "classical", "country", "flowing", 74, 56),
    "latin": Style(True, 104, "pop", "habanera", "lyrical", 69, 82),
    "sonata": Style(False, 112, "classical", "alberti", "running", 76, 72),
}
