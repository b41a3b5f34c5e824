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


@pytest.mark.parametrize("task", [task for task in TASKS.values() if len(task.classes) < 10])
def test_few_classes_are_all_told_apart(task):
    assert len(set(class_colours(task, task.classes))) == len(task.classes)


def test_classes_that_a_task_does_not_know_have_colours_too():
    colours = class_colours(TASKS["genre"], ["rock", "jazz", "genre 1"])
    assert len(set(colours)) == 3


def test_relative_keys_share_a_hue_and_enharmonic_names_differ():
    def hue(colour):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return max("rgb", key=dict(zip("rgb", (red, green, blue), strict=True)).get)

    major, minor, sharp, flat = class_colours(
        TASKS["localkey"], ["C major", "A minor", "D# major", "E- major"]
    )
    assert major != minor
    assert hue(major) == hue(minor)
    assert sharp != flat


def test_known_colours_of_the_oklch_space():
    assert oklch_hex(1, 0, 0) == "#ffffff"
    assert oklch_hex(0, 0, 0) == "#000000"
    assert oklch_hex(0.62796, 0.25768, 29.234) == "#ff0000"
    assert oklch_hex(0.45201, 0.31321, 264.05) == "#0000ff"
