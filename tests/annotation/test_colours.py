"""Colours of classes: distinct where they must be, the same wherever they are asked for."""

import re

import pytest

from m2bert.annotation.colours import class_colours, oklch_hex
from m2bert.tasks import TASKS


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_every_class_has_a_colour_whichever_others_are_there(task):
    colours = class_colours(task, task.classes)
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert class_colours(task, task.classes[::-3]) == colours[::-3]
    if len(colours) < 10:
        assert len(set(colours)) == len(colours)


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
