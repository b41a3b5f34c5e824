"""The picture of an annotation, read back from matplotlib's axes."""

import os

import numpy as np
import pytest
from matplotlib.colors import to_hex

from m2bert.annotation.colours import class_colours
from m2bert.annotation.picture import (
    DOTS,
    NOT_READ_COLOUR,
    PLAIN_COLOUR,
    draw_annotation,
    figure_of,
    systems_of,
)
from m2bert.base.errors import UserError
from m2bert.model.predictions import NOT_READ
from m2bert.notes.reader import read_song
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import WALTZ_ROOTS, annotate, made_up_annotation, write_waltz
from tests.helpers.midi_files import write_midi

BAR = 4 * 480
LINES = [(bar * BAR, (bar + 1) * BAR, 60 + 7 * (bar % 3)) for bar in range(8)]
"""Eight notes, a bar each."""


@pytest.fixture
def song(tmp_path):
    return read_song(write_midi(tmp_path / "in.mid", LINES))


@pytest.fixture
def waltz(tmp_path):
    return read_song(write_waltz(tmp_path / "waltz.mid"))


def colours_of_notes(roll) -> dict[tuple[float, int], str]:
    """The colours of a roll's lines, by the bar and the pitch at which they begin."""
    (lines,) = roll.collections
    colours = np.broadcast_to(lines.get_colors(), (len(lines.get_segments()), 4))
    for (begin, pitch), (end, same_pitch) in lines.get_segments():
        assert same_pitch == pitch
        assert 2.8 < end - begin < 4  # nearly the bar, with a gap before the next note
    begins = [(begin / 4, int(pitch)) for (begin, pitch), _ in lines.get_segments()]
    return dict(zip(begins, map(to_hex, colours), strict=True))


def test_notes_are_drawn_in_the_colours_of_their_labels(song):
    labels = [1, 1, 2, 2, 3, 3, NOT_READ, NOT_READ]
    _, roll = figure_of(annotate(song, {"melody": labels})).axes
    palette = [*class_colours(TASKS["melody"], TASKS["melody"].classes), NOT_READ_COLOUR]
    assert colours_of_notes(roll) == {
        (bar, pitch): palette[label]
        for bar, ((_, _, pitch), label) in enumerate(zip(LINES, labels, strict=True))
    }


def test_strips_show_ticks_at_downbeats_and_chords_by_name(waltz):
    axes = figure_of(annotate(waltz, {"downbeat": [1] * 21, "chordroot": WALTZ_ROOTS})).axes
    (ticks,), (spans,) = axes[0].collections, axes[2].collections
    assert [segment[0, 0] for segment in ticks.get_segments()] == [0, 3, 6]  # those of the file
    assert axes[3].get_xticks().tolist() == [0, 3, 6]
    assert [label.get_text() for label in axes[3].get_xticklabels()] == ["1", "2", "3"]
    reach = [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in spans.get_paths()]
    assert reach == [(0, 3), (3, 6), (6, 9)]
    assert [text.get_text() for text in axes[2].texts] == ["Cm", "G7/B", "Cm"]
    palette = class_colours(TASKS["chordroot"], TASKS["chordroot"].classes)
    assert [to_hex(c) for c in spans.get_facecolors()] == [palette[k] for k in WALTZ_ROOTS[::7]]


def test_systems_show_four_bars_each_with_chords(song, waltz):
    melody = {"beat": [2] * 8, "melody": [1] * 8, "chordroot": [1] * 8}
    systems = systems_of(annotate(song, melody), "2", "7").axes
    assert len(systems) == 4  # a strip and a roll in each
    bars = [[label.get_text() for label in roll.get_xticklabels()] for roll in systems[1::2]]
    assert bars == [["2", "3", "4", "5"], ["6", "7"]]
    assert [len(colours_of_notes(roll)) for roll in systems[1::2]] == [4, 2]
    widths = [roll.get_position().width for roll in systems[1::2]]
    assert widths[0] == pytest.approx(2 * widths[1])  # on one scale
    strip, _ = systems_of(annotate(waltz, {"chordroot": WALTZ_ROOTS}), "2", "3").axes
    assert [text.get_text() for text in strip.texts] == ["G7/B", "Cm"]
    with pytest.raises(UserError, match="has no bars 3 to 4: its bars are 1 to 3"):
        systems_of(annotate(waltz), "3", "4")


@pytest.mark.parametrize(
    ("bars", "tasks"), [(1, BENCHMARK_TASKS), (3000, ("beat", "chordroot", "emotion"))]
)
def test_size_is_limited_for_music_of_any_length(bars, tasks, tmp_path):
    notes = [(BAR * bar, BAR * bar + 100, 40 + bar % 40) for bar in range(bars)]
    figure = figure_of(made_up_annotation(read_song(write_midi(tmp_path / "in.mid", notes)), tasks))
    width, height = DOTS * figure.get_size_inches()
    assert 1200 < width < 4000
    assert height < 3000


def test_notes_are_drawn_without_note_tasks_and_the_piece_is_named(song):
    figure = figure_of(annotate(song, {}, {"emotion": [[0.125, 0.5, 0.375, 0]]}))
    _, roll = figure.axes
    assert set(colours_of_notes(roll).values()) == {PLAIN_COLOUR}
    assert [text.get_text() for text in figure.texts] == [
        "in.mid",
        "8 notes, 0:16 minutes, emotion Q2: negative, lively (50%)",
    ]


@pytest.mark.filterwarnings("error")
def test_any_file_name_can_be_drawn(tmp_path):
    for name in (rb"$\frac$.mid", "日本.mid".encode(), b"\xff\xfe.mid"):
        song = read_song(write_midi(tmp_path / os.fsdecode(name), LINES[:1]))
        draw_annotation(annotate(song), tmp_path / "out.png")
