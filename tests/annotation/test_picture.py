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
)
from m2bert.model.predictions import NOT_READ
from m2bert.notes.reader import read_song
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import annotate, made_up_annotation
from tests.helpers.midi_files import write_midi

BAR = 4 * 480
LINES = [(bar * BAR, (bar + 1) * BAR, 60 + 7 * (bar % 3)) for bar in range(8)]
"""Eight notes, a bar each."""


@pytest.fixture
def song(tmp_path):
    return read_song(write_midi(tmp_path / "in.mid", LINES))


def colours_of_notes(roll) -> dict[tuple[float, int], str]:
    """The colours of a roll's lines, by the bar and the pitch at which they begin."""
    (lines,) = roll.collections
    colours = np.broadcast_to(lines.get_colors(), (len(lines.get_segments()), 4))
    for (begin, pitch), (end, same_pitch) in lines.get_segments():
        assert same_pitch == pitch
        assert 0.7 < end - begin < 1  # nearly the bar, with a gap before the next note
    begins = [(begin, int(pitch)) for (begin, pitch), _ in lines.get_segments()]
    return dict(zip(begins, map(to_hex, colours), strict=True))


def test_notes_are_drawn_in_the_colours_of_their_labels(song):
    labels = [1, 1, 2, 2, 3, 3, NOT_READ, NOT_READ]
    _, roll = figure_of(annotate(song, {"melody": labels})).axes
    palette = [*class_colours(TASKS["melody"], TASKS["melody"].classes), NOT_READ_COLOUR]
    assert colours_of_notes(roll) == {
        (bar, pitch): palette[label]
        for bar, ((_, _, pitch), label) in enumerate(zip(LINES, labels, strict=True))
    }


def test_strips_show_ticks_at_beats_and_spans_of_chords(song):
    downbeats = [2, 1, 1, 2, 1, 1, 1, 1]
    roots = [1, 1, 0, 0, 5, 5, 5, 2]  # 0 is padding, which has no span
    axes = figure_of(annotate(song, {"downbeat": downbeats, "chordroot": roots})).axes
    (ticks,), (spans,) = axes[0].collections, axes[2].collections
    assert [segment[0, 0] for segment in ticks.get_segments()] == [0, 3]
    reach = [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in spans.get_paths()]
    assert reach == [(0, 2), (4, 7), (7, 8)]
    assert [text.get_text() for text in axes[2].texts] == ["C", "E", "C♯"]
    palette = class_colours(TASKS["chordroot"], TASKS["chordroot"].classes)
    assert [to_hex(c) for c in spans.get_facecolors()] == [palette[k] for k in (1, 5, 2)]


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
