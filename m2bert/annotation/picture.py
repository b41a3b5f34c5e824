"""A picture of an annotation: a piano roll for each note task, in the colours of the labels."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import (
    MOMENT_TASKS,
    SPAN_TASKS,
    Annotation,
    moments,
    shown_labels,
    spans,
)
from m2bert.annotation.names import clock, counted, pitch_name, readable_name
from m2bert.base.files import replacing
from m2bert.model.predictions import NOT_READ, NoteLabels
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.notes.song import Song
from m2bert.tasks import TASKS

PLAIN_COLOUR, NOT_READ_COLOUR = "#5b6b80", "#d2d2d2"

MOST_IN_LEGEND = 12
"""Classes of a note task that its legend names, the most frequent ones."""

MOST_BARS = 8
"""Classes of a piece task that are shown, the most probable ones."""

LEAST_PITCHES = 24
"""Semitones that a roll shows at least."""

# the layout, in inches
BAR_WIDTH = 0.26
ROLL_WIDTHS = (10, 28)  # least and greatest: an hour of music is drawn denser, not wider
ROLL_HEIGHTS, STRIP_HEIGHT, GAP = (1.75, 3.5), 0.2, 0.25
ALL_ROLLS_HEIGHT = 7  # shared by few tasks, within the heights above
LEFT, RIGHT, TOP, BOTTOM = 0.9, 2.7, 0.5, 0.6
PIECE_WIDTH, PIECE_STEP, PIECE_LINE, PIECE_MARGIN = 1.4, 3.3, 0.17, 0.6

DOTS, POINTS = 120, 72
"""Dots and points an inch."""

SMALL = 7.5
"""Size of small letters in points."""


def draw_annotation(annotation: Annotation, path: Path) -> None:
    """Draw an annotation to a PNG.

    Each note task has a piano roll over bars of four beats; above it stand chords and keys by
    name, or ticks at beats. Without note tasks there is one plain roll. Piece tasks are shown as
    bars on top.
    """
    with replacing(path) as temporary, warnings.catch_warnings():
        # characters that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure_of(annotation).savefig(temporary, dpi=DOTS, format="png")


def figure_of(annotation: Annotation) -> Figure:
    """The figure that `draw_annotation` saves."""
    song = annotation.song
    bars = _bars(song)
    roll_width = float(np.clip(BAR_WIDTH * (bars[1] - bars[0]), *ROLL_WIDTHS))
    rolls: dict[str, NoteLabels | None] = {**annotation.note_labels} or {"": None}
    top = TOP + _piece_height(annotation)
    roll_height = float(np.clip(ALL_ROLLS_HEIGHT / len(rolls), *ROLL_HEIGHTS))
    step = STRIP_HEIGHT + roll_height + GAP
    figure = Figure(figsize=(LEFT + roll_width + RIGHT, top + step * len(rolls) + BOTTOM))
    _write_heading(figure, song)
    _draw_pieces(figure, annotation)
    for task, labels in rolls.items():
        strip = _place(figure, LEFT, top, roll_width, STRIP_HEIGHT)
        roll = _place(figure, LEFT, top + STRIP_HEIGHT, roll_width, roll_height)
        top += step
        strip.set(xlim=bars, ylim=(0, 1), xticks=[], yticks=[])
        strip.spines[:].set_visible(False)
        roll.set_xlim(bars)
        if labels is None:
            _draw_notes(roll, song, [PLAIN_COLOUR], np.zeros(len(song), int))
        else:
            colours = class_colours(TASKS[task], labels.classes)
            _draw_strip(strip, annotation, task, colours)
            shown, _ = shown_labels(annotation, task)
            _draw_notes(roll, song, [*colours, NOT_READ_COLOUR], shown)
            _draw_legend(strip, labels.classes, shown, colours)
        _draw_axes(roll, song, "notes" if labels is None else TASKS[task].title)
    what = "bar (of four quarter notes)" if song.measures is None else "measure"
    roll.set_xlabel(what, fontsize=9)
    return figure


def _bars(song: Song) -> tuple[int, int]:
    """The bar in which the first note begins and the one after the last end, from 0."""
    bar = BEATS_PER_BAR * song.notes.ticks_per_beat
    first, last = song.notes.start.min() // bar, -(-song.notes.end.max() // bar)
    return int(first), int(max(last, first + 1))


def _in_bars(song: Song, ticks: np.ndarray) -> np.ndarray:
    return song.beats(ticks) / BEATS_PER_BAR


def _place(figure: Figure, left: float, top: float, width: float, height: float) -> Any:
    """Add axes at a place in inches from the upper left corner."""
    across, down = figure.get_size_inches()
    bottom = down - top - height
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def _points(axes: Any) -> np.ndarray:
    """Points that a bar is wide and a semitone high, (2,)."""
    origin, one = axes.transData.transform([(0, 0), (1, 1)])
    return (one - origin) * POINTS / axes.figure.dpi


def _write_heading(figure: Figure, song: Song) -> None:
    facts = f"{counted(len(song), 'note')}, {clock(song)} minutes"
    across, down = figure.get_size_inches()
    y = 1 - 0.3 / down
    # a file may be called "$5.mid"
    figure.text(LEFT / across, y, song.name, fontsize=13, weight="bold", parse_math=False)
    figure.text(1 - 0.2 / across, y, facts, fontsize=9, color="0.35", ha="right")


def _piece_height(annotation: Annotation) -> float:
    """Inches that the piece tasks take."""
    most = max((len(labels.classes) for labels in annotation.piece_labels.values()), default=0)
    return PIECE_MARGIN + PIECE_LINE * min(most, MOST_BARS) if most else 0


def _draw_pieces(figure: Figure, annotation: Annotation) -> None:
    """Draw the piece tasks beside one another, the most probable classes first."""
    for place, (task, labels) in enumerate(annotation.piece_labels.items()):
        order = np.argsort(-labels.probabilities, kind="stable")[:MOST_BARS]
        names, shares = [labels.classes[label] for label in order], labels.probabilities[order]
        left, rows = LEFT + 0.4 + PIECE_STEP * place, np.arange(len(order))
        axes = _place(figure, left, TOP + 0.2, PIECE_WIDTH, PIECE_LINE * len(order))
        bars = axes.barh(rows, shares, 0.75, color=class_colours(TASKS[task], names))
        axes.bar_label(bars, list(map(_percent, shares)), padding=3, fontsize=SMALL)
        axes.set_yticks(rows, list(map(readable_name, names)), fontsize=SMALL, parse_math=False)
        axes.set(xlim=(0, 1), ylim=(len(order) - 0.5, -0.5), xticks=[])
        axes.set_title(TASKS[task].title, fontsize=9, weight="bold", loc="left", pad=3)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(length=0)


def _draw_notes(axes: Any, song: Song, palette: list[str], label: np.ndarray) -> None:
    """Draw the notes in the colours that their labels have in the palette."""
    pitch = song.notes.pitch
    middle = (pitch.min() + pitch.max()) / 2
    reach = max(np.ptp(pitch), LEAST_PITCHES) / 2 + 1.5
    axes.set_ylim(middle - reach, middle + reach)
    bar, semitone = _points(axes)
    start, end = _in_bars(song, song.notes.start), _in_bars(song, song.notes.end)
    # a gap between repeated notes; and however short, a note is seen
    end = np.maximum(end - np.minimum(0.15 * (end - start), 0.6 / bar), start + 1 / bar)
    order = np.argsort(label != NOT_READ, kind="stable")  # what was not read lies below
    lines = LineCollection(
        list(np.stack([np.stack([start, pitch], 1), np.stack([end, pitch], 1)], 1)[order]),
        colors=np.array(palette)[label[order]],  # NOT_READ is the last
        linewidths=max(0.85 * semitone, 1),
        antialiased=False,  # smooth edges would make short notes pale
    )
    axes.add_collection(lines, autolim=False)


def _draw_legend(
    axes: Any, classes: tuple[str, ...], label: np.ndarray, colours: list[str]
) -> None:
    """Name the classes that occur, the most frequent first, to the right of the axes."""
    counts = np.bincount(label[label != NOT_READ], minlength=len(classes))
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    entries = [
        (colours[k], f"{readable_name(classes[k])}  {_percent(counts[k] / len(label))}")
        for k in order[:MOST_IN_LEGEND]
    ]
    if len(order) > MOST_IN_LEGEND:
        entries.append(("none", f"and {len(order) - MOST_IN_LEGEND} more"))
    if (label == NOT_READ).any():
        entries.append((NOT_READ_COLOUR, f"not read  {_percent((label == NOT_READ).mean())}"))
    for colour, text in entries:
        axes.plot([], [], "s", color=colour, label=text, ms=6)
    spaces = {"labelspacing": 0.15, "handletextpad": 0.2, "borderpad": 0}
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=SMALL, frameon=False, **spaces)


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _draw_axes(axes: Any, song: Song, title: str) -> None:
    """Number the bars, name the octaves, and draw lines at both."""
    first, last = axes.get_xlim()
    bars, numbers = _in_bars(song, song.bars.start), song.bars.number
    step = 1
    while step * np.diff(bars, append=last).mean() * _points(axes)[0] < 0.5 * POINTS:
        step *= 2
    shown = [
        bar
        for bar, number in enumerate(numbers)
        if first <= bars[bar] < last
        and (step == 1 or (number.isdigit() and int(number) % step == 1))  # 1, 5, 9, ...
    ]
    labels = [numbers[bar] for bar in shown]
    axes.set_xticks(bars[shown], labels, fontsize=SMALL, parse_math=False)
    low, high = axes.get_ylim()
    octaves = [pitch for pitch in range(0, 128, 12) if low < pitch < high]
    axes.set_yticks(octaves, [pitch_name(pitch) for pitch in octaves], fontsize=SMALL)
    axes.set_ylabel(title, fontsize=10, weight="bold", parse_math=False)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=2, color="0.6")
    axes.spines[:].set(color="0.75", zorder=0.5)  # below the notes


def _draw_strip(axes: Any, annotation: Annotation, task: str, colours: list[str]) -> None:
    """Draw what a task says of time: ticks at moments, or stretches with the names that fit in."""
    song, labels = annotation.song, annotation.note_labels[task]
    bar = _points(axes)[0]
    if task in MOMENT_TASKS:
        onsets = _in_bars(song, moments(song, labels))
        width = np.clip(bar / BEATS_PER_BAR / 3, 0.3, 1.5)
        axes.vlines(onsets, 0.1, 0.8, colors=colours[-1], linewidths=width)
    elif task in SPAN_TASKS:
        start, end, label = np.array(spans(annotation, task), np.int64).reshape(-1, 3).T
        begins, widths = _in_bars(song, start), _in_bars(song, end - start)
        boxes = list(zip(begins, widths, strict=True))
        axes.broken_barh(boxes, (0.05, 0.9), facecolors=[colours[k] for k in label], alpha=0.45)
        for (begin, width), name in zip(boxes, (labels.classes[k] for k in label), strict=True):
            name = readable_name(name)
            if width * bar > SMALL * (0.65 * len(name) + 0.4):
                axes.text(begin + width / 2, 0.45, name, fontsize=SMALL, ha="center", va="center")
