"""Colours of the classes, the same in every picture of an annotation."""

import math
import re
from collections.abc import Sequence

import numpy as np

from m2bert.tasks import PADDING, Task, place_in_fifths

NO_CLASS = "#a8adb5"
"""The colour of notes without a label, and of classes that mean "none"."""

# Classes of the same name have one colour in all tasks. "Yes" is strong and "no" pale; ordered
# classes are on a scale from cold to warm.
NAMED = {
    PADDING: NO_CLASS,
    "no beat": "#b4bccb",
    "beat": "#d4367f",
    "no downbeat": "#b4bccb",
    "downbeat": "#8431c4",
    "no motif": "#b4bccb",
    "motif": "#0f8a5f",
    "melody": "#d9480f",
    "bridge": "#2b9348",
    "accompaniment": "#3d7fc4",
    "no role": NO_CLASS,
    "harmony": "#3d7fc4",
    "rhythm": "#2b9348",
    "rhythm+harmony": "#16a3a8",
    "melody+harmony": "#a13fb5",
    "melody+rhythm": "#d99a00",
    "melody+rhythm+harmony": "#5c4033",
    "0-31": "#3b3fb0",
    "32-47": "#2f7fd0",
    "48-63": "#22a699",
    "64-79": "#8fa31e",
    "80-95": "#e8871a",
    "96-127": "#d1242f",
    "Q1": "#e0a100",
    "Q2": "#d1242f",
    "Q3": "#3d6fc4",
    "Q4": "#2b9348",
    "no fingering": NO_CLASS,
    "unused": NO_CLASS,
}
"""Colours of classes by their names."""

# fmt: off
CATEGORIES = (
    "#3d7fc4", "#d9480f", "#2b9348", "#a13fb5", "#d99a00", "#16a3a8", "#d4367f", "#8a6d3b",
    "#5b5fc7", "#7a9a01", "#b3392f", "#5f7486",
)
# fmt: on
"""Colours of all other classes, in this order, repeated as needed."""


def class_colours(task: Task, classes: Sequence[str]) -> list[str]:
    """Colours of classes of `task`, `#rrggbb`, in the order of their names `classes`.

    A class of the task has the same colour whichever others are in `classes`.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys((*task.classes, *classes)))}
    return [_class_colour(name, places[name]) for name in classes]


def _class_colour(name: str, place: int) -> str:
    if name in NAMED:
        return NAMED[name]
    if fingering := re.fullmatch(r"string ([GDAE]), position (\d+), finger (\d)", name):
        string, position, finger = fingering.groups()
        # hue by string (and a little by finger), darker higher up
        hue = 90 * "GDAE".index(string) + 30 + 14 * int(finger)
        return oklch_hex(0.76 - 0.035 * (int(position) - 1), 0.14, hue)
    if tonic := place_in_fifths(name):
        return pitch_colour(*tonic)
    return CATEGORIES[place % len(CATEGORIES)]


def pitch_colour(fifths: int, is_minor: bool) -> str:
    """Colour of a chord root or key: the circle of fifths is mapped to the circle of hues.

    fifths: its place on the line of fifths (`tasks.place_in_fifths`). A minor key has the hue of
    the major key of its signature, darker. Enharmonically equivalent names differ in lightness.
    """
    fifths -= 3 * is_minor
    turn = (fifths + 5) // 12  # 0 from D- to F#
    lightness = min(max(0.70 - 0.13 * is_minor - 0.06 * turn, 0.35), 0.85)
    return oklch_hex(lightness, 0.145, 30 * fifths + 60)


def oklch_hex(lightness: float, chroma: float, hue: float) -> str:
    """A colour of the perceptually uniform space OKLCH (hue in degrees) as `#rrggbb`, clipped
    (https://bottosson.github.io/posts/oklab)."""
    a, b = (chroma * turn(math.radians(hue)) for turn in (math.cos, math.sin))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    linear = np.clip([red, green, blue], 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{value:02x}" for value in np.rint(255 * srgb).astype(int))
