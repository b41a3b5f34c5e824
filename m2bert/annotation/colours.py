"""Colours of classes, the same in the page and in the picture of an annotation."""

import math
from collections.abc import Sequence

import numpy as np

from m2bert.tasks import FINGERING, PADDING, Task, place_in_fifths

NO_CLASS = "#c9ced8"
"""Colour of notes without a label, and of classes that mean the absence of something."""

BLUE, VERMILION, GREEN, YELLOW = "#2f6fc0", "#d9480f", "#2fbf9b", "#e6b816"
WINE, LAVENDER, NAVY, MAUVE = "#8a435b", "#bb9af4", "#202d8f", "#9f717f"

CATEGORIES = (BLUE, VERMILION, GREEN, YELLOW, WINE, LAVENDER, NAVY, MAUVE)
"""Colours of classes without a colour in `NAMED`, in this order and then from the first again. All
differ for readers with any kind of dichromacy, too."""

# Roles that are classes of several tasks have one colour. Yes is a strong colour and no a pale one;
# ordered classes go from dark and cold to light and warm.
ABSENT = "#a3abb9"
NAMED = {
    PADDING: NO_CLASS,
    "no beat": ABSENT,
    "beat": "#d4367f",
    "no downbeat": ABSENT,
    "downbeat": "#8431c4",
    "no motif": ABSENT,
    "motif": "#0f8a5f",
    "melody": VERMILION,
    "bridge": GREEN,
    "accompaniment": BLUE,
    "no role": NO_CLASS,
    "harmony": BLUE,
    "rhythm": GREEN,
    "rhythm+harmony": NAVY,
    "melody+harmony": WINE,
    "melody+rhythm": YELLOW,
    "melody+rhythm+harmony": LAVENDER,
    "0-31": "#1a3680",
    "32-47": "#674395",
    "48-63": "#a75590",
    "64-79": "#da727a",
    "80-95": "#f79e63",
    "96-127": "#f9d46b",
    "Q1": YELLOW,
    "Q2": VERMILION,
    "Q3": BLUE,
    "Q4": GREEN,
    "no fingering": NO_CLASS,
    "unused": NO_CLASS,
}
"""Colours of classes by name."""


def class_colours(task: Task, classes: Sequence[str]) -> list[str]:
    """Colours (`#rrggbb`) of `classes`, names of classes of `task`.

    The colour of one of the task's own classes does not depend on the other `classes`.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys((*task.classes, *classes)))}
    return [_class_colour(name, places[name]) for name in classes]


def _class_colour(name: str, place: int) -> str:
    if name in NAMED:
        return NAMED[name]
    if fingering := FINGERING.fullmatch(name):
        string, position, finger = fingering.groups()
        # hue by string (and a little by finger), darker higher up
        hue = 90 * "GDAE".index(string) + 30 + 14 * int(finger)
        return oklch_hex(0.76 - 0.035 * (int(position) - 1), 0.14, hue)
    if tonic := place_in_fifths(name):
        return pitch_colour(*tonic)
    return CATEGORIES[place % len(CATEGORIES)]


def pitch_colour(fifths: int, is_minor: bool) -> str:
    """Colour of a chord root or key: the circle of fifths is the circle of hues.

    Yellow-green is the lightest hue and purple the darkest, so that readers with dichromacy, for
    whom pairs of hues are equal, see them differ in lightness. A minor key has the hue of its
    relative major key, darker. Enharmonic names differ in lightness.

    fifths: place of the name on the line of fifths (`tasks.place_in_fifths`).
    """
    fifths -= 3 * is_minor
    hue = 30 * fifths + 60
    turn = (fifths + 5) // 12  # 0 from D- to F#
    lightness = 0.64 + 0.16 * math.cos(math.radians(hue - 150)) - 0.1 * is_minor - 0.06 * turn
    return oklch_hex(min(max(lightness, 0.35), 0.85), 0.12, hue)


def oklch_hex(lightness: float, chroma: float, hue: float) -> str:
    """A colour of the perceptually uniform space OKLCH (hue in degrees) as `#rrggbb`, clipped to
    sRGB (https://bottosson.github.io/posts/oklab)."""
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
