"""The styles of the demo music, as data.

Rhythms are text, one character per 16th of a 4/4 bar: a symbol starts a note, `-` holds it, `.` is
a rest.
"""

from typing import NamedTuple

from m2bert.tasks import TASKS

CLASSES = {
    "composer": TASKS["composer"].classes,
    "emotion": TASKS["emotion"].classes,
    "genre": ("pop", "rock", "jazz", "country", "latin"),  # in the task they are numbers
}
"""The classes of the piece tasks; the i-th of each is music in the i-th of `STYLES`."""

# Degrees of the scale: the chords of four bars.
_HYMN = ("1415", "4165", "1245")
_POP = ("1564", "6415", "1645")
_JAZZ = ("2511", "1625", "3625")
_CLASSICAL = ("1551", "1451", "1625")

# Motif, answer and cadence, a bar each. The last note of a bar begins later in it than the first
# note of any other bar, which separates bars where beats are counted in each.
_SPARSE = ("x-------x-------", "x-----------x---", "x---------x-----")
_LYRICAL = ("x-----x-x---x---", "x---x---x-------", "x-----x-x-------")
_FLOWING = ("x-x-x-x-x---x---", "..x-x-x-x-x-x---", "x-x-x---x-------")
_SYNCOPATED = ("x--x--x-x--x--x-", "..x-x--x--x-x---", "x--x--x---x-----")
_DOTTED = ("x--xx---x--xx---", "x--xx--xx---x---", "x--xx--xx-----..")


class Style(NamedTuple):
    """What the pieces of a class have in common.

    tempo: quarter notes per minute; register: the MIDI pitch around which the melody lies;
    velocity: mean MIDI velocity; bass: degrees above the chord's root (8 an octave up); hand: C is
    the whole chord, 1 to 3 are its tones upwards.
    """

    minor: bool
    tempo: int
    register: int
    velocity: int
    bass: str
    hand: str
    melody: tuple[str, str, str]
    progressions: tuple[str, ...]


STYLES = (
    Style(False, 70, 67, 66, "1-------1-------", "C-------C-------", _SPARSE, _HYMN),
    Style(True, 130, 79, 94, "1-5-8---1-5-8---", "......1-2-3-2-3-", _LYRICAL, _POP),
    Style(True, 66, 76, 46, "1-5-8-5-1-5-8-5-", "....1-......2-..", _SPARSE, _POP),
    Style(True, 138, 70, 86, "1---3---5---6---", "......C-......C-", _SYNCOPATED, _JAZZ),
    Style(False, 77, 72, 90, "1-----1-1-----1-", "C---C---C---C---", _DOTTED, _POP),
    Style(False, 104, 77, 68, "1-------........", "1-3-2-3-1-3-2-3-", _FLOWING, _CLASSICAL),
    Style(True, 64, 65, 42, "1-------8-------", "C-----------C---", _LYRICAL, _JAZZ),
    Style(False, 72, 74, 54, "1-------5-------", "..1-2-3-2-3-2-1-", _DOTTED, _HYMN),
)
