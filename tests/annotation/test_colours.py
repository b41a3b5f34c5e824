"""Colours of classes: distinct, also for readers with dichromacy, and independent of each other."""

import re
from itertools import combinations

import numpy as np
import pytest

from m2bert.annotation.colours import class_colours, oklch_hex
from m2bert.tasks import TASKS

VISIONS = {
    "full": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red cones": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
"""How linear sRGB is seen (Machado et al. 2009)."""

TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def seen(colours: list[str], vision: str) -> np.ndarray:
    """Colours as points of the space OKLab, (colours, 3)."""
    srgb = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    shown = np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1)
    return np.cbrt(shown @ np.transpose(TO_CONES)) @ np.transpose(TO_OKLAB)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_class_colours_do_not_depend_on_the_other_classes(task):
    colours = class_colours(task, task.classes)
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert class_colours(task, task.classes[::-3]) == colours[::-3]


@pytest.mark.parametrize("vision", VISIONS)
def test_class_colours_are_distinct_for_every_vision(vision):
    fifths = ["D-", "A-", "E-", "B-", "F", "C", "G", "D", "A", "E", "B", "F#"]
    palettes = [
        class_colours(task, task.classes) for task in TASKS.values() if len(task.classes) < 10
    ]
    for colours, apart in [(class_colours(TASKS["chordroot"], fifths), 0.045)] + [
        (palette, 0.07) for palette in palettes
    ]:
        pairs = combinations(seen(colours, vision), 2)
        assert min(np.linalg.norm(one - other) for one, other in pairs) > apart


def test_relative_keys_share_a_hue_and_enharmonic_and_unknown_names_differ():
    assert len(set(class_colours(TASKS["genre"], ["rock", "jazz", "genre 1"]))) == 3
    keys = ["C major", "A minor", "D# major", "E- major"]
    major, minor, sharp, flat = class_colours(TASKS["localkey"], keys)
    strongest = [max(range(3), key=bytes.fromhex(key[1:]).__getitem__) for key in (major, minor)]
    assert strongest[0] == strongest[1]
    assert major != minor
    assert sharp != flat


def test_known_colours_of_the_oklch_space():
    assert oklch_hex(1, 0, 0) == "#ffffff"
    assert oklch_hex(0, 0, 0) == "#000000"
    assert oklch_hex(0.62796, 0.25768, 29.234) == "#ff0000"
    assert oklch_hex(0.45201, 0.31321, 264.05) == "#0000ff"
