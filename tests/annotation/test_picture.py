"""The picture of an annotation, by its pixels."""

import os
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from m2bert.annotation.colours import class_colours
from m2bert.annotation.picture import NOT_READ_COLOUR, _draw_legend, draw_annotation
from m2bert.model.predictions import NOT_READ
from m2bert.notes.song import read_song
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import annotate, note_labels, random_annotation
from tests.helpers.midi_files import write_midi

BEAT = 480
LINES = [(4 * bar * BEAT, (4 * bar + 4) * BEAT, 60 + 7 * (bar % 3)) for bar in range(8)]
"""Eight notes, a bar each."""


def draw(annotation, folder):
    """The pixels of a picture, uint8 (rows, columns, 3)."""
    assert draw_annotation(annotation, folder / "out.png")
    return np.rint(255 * imread(folder / "out.png")[:, :, :3]).astype(np.uint8)


def places(picture, colour):
    """Rows and columns of the pixels of a colour, without the legend on the right and without
    single pixels, as letters have them."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    found = (picture[:, :-324] == wanted).all(2)
    return np.nonzero(found & (found.sum(0) > 5))


def test_notes_are_drawn_in_the_colours_of_their_labels(tmp_path):
    song = read_song(write_midi(tmp_path / "in.mid", LINES))
    labels = [1, 1, 2, 2, 3, 3, NOT_READ, NOT_READ]
    picture = draw(annotate(song, {"melody": labels}), tmp_path)
    classes = class_colours(TASKS["melody"], TASKS["melody"].classes)
    left = 108  # where the roll begins, which is 1200 wide
    for number, colour in enumerate([*classes[1:], NOT_READ_COLOUR]):
        _, columns = places(picture, colour)
        begin, end = left + 300 * number, left + 300 * (number + 1)
        assert columns.min() == pytest.approx(begin, abs=1)
        assert columns.max() == pytest.approx(end - 2, abs=2)


def test_beats_are_ticks_above_and_high_notes_lie_above_low_ones(tmp_path):
    song = read_song(write_midi(tmp_path / "in.mid", LINES))
    picture = draw(annotate(song, {"downbeat": [2, 1, 1, 1, 1, 1, 1, 1]}), tmp_path)
    no, yes = class_colours(TASKS["downbeat"], ("no downbeat", "downbeat"))
    rows, columns = places(picture, yes)
    assert rows.max() - rows.min() > 200
    assert columns[rows == rows.min()].max() == pytest.approx(108, abs=1)
    rows, columns = places(picture, no)
    heights = [rows[(columns > low) & (columns < low + 100)].mean() for low in (280, 430, 580)]
    assert heights[1] < heights[0] < heights[2]  # pitches 67, 74 and 60 lie at the bars 2, 3 and 4


@pytest.mark.parametrize(
    ("bars", "tasks"), [(1, BENCHMARK_TASKS), (3000, ("beat", "chordroot", "emotion"))]
)
def test_pictures_of_any_length_can_be_looked_at(bars, tasks, tmp_path):
    notes = [(4 * BEAT * bar, 4 * BEAT * bar + 100, 40 + bar % 40) for bar in range(bars)]
    picture = draw(random_annotation(write_midi(tmp_path / "in.mid", notes), tasks), tmp_path)
    assert 1200 < picture.shape[1] < 4000
    assert picture.shape[0] < 3000


@pytest.mark.parametrize("tasks", [["emotion", "composer"], []])
def test_without_note_tasks_the_notes_are_drawn_all_the_same(tasks, tmp_path):
    path = write_midi(tmp_path / "in.mid", LINES)
    picture = draw(random_annotation(path, tasks), tmp_path)
    plain = places(picture, "#5b6b80")[0]
    assert len(plain) > 5000
    bars = [
        len(places(picture, colour)[0])
        for task in tasks
        for colour in class_colours(TASKS[task], TASKS[task].classes)
    ]
    assert all(bars)


def test_the_legend_names_the_most_frequent_classes_first():
    from matplotlib.figure import Figure

    frequent = [label for label in range(2, 17) for _ in range(label)]
    axes = Figure().subplots()
    _draw_legend(axes, "violin_all", note_labels("violin_all", [*frequent, NOT_READ]))
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    names = TASKS["violin_all"].classes
    assert [text.split("  ")[0] for text in texts] == [
        *(names[label] for label in range(16, 4, -1)),
        "and 3 more",
        "not read",
    ]
    assert texts[0].endswith(f"  {round(100 * 16 / (len(frequent) + 1))}%")
    assert texts[-1].endswith("  1%")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [rb"$\frac$.mid", "日本.mid".encode(), b"\xff\xfe.mid"])
def test_any_name_of_a_file_can_be_drawn(name, tmp_path):
    path = write_midi(tmp_path / os.fsdecode(name), LINES)
    draw(random_annotation(path, ["melody"]), tmp_path)


def test_nothing_is_drawn_without_matplotlib(tmp_path, monkeypatch):
    annotation = random_annotation(write_midi(tmp_path / "in.mid", LINES))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not draw_annotation(annotation, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
