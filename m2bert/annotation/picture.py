"""A picture of an annotation: a piano roll for each note task, in the colours of the labels."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import (
    BEAT_TASKS,
    SPAN_TASKS,
    Annotation,
    beat_ticks,
    shown_labels,
    spans,
)
from m2bert.annotation.names import clock, counted, pitch_name, readable_name
from m2bert.model.predictions import NOT_READ
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.notes.song import Song
from m2bert.tasks import TASKS

PLAIN_COLOUR, NOT_READ_COLOUR = "#5b6b80", "#d2d2d2"

MOST_CLASSES = 12
"""The most classes in a legend."""

LEAST_PITCHES = 24
"""The fewest semitones in a roll."""

# the layout, in inches
BAR_WIDTH = 0.26
ROLL_WIDTHS = (10, 28)  # least and greatest: an hour of music is drawn denser, not wider
ROLL_HEIGHTS, STRIP_HEIGHT, GAP = (1.75, 3.5), 0.2, 0.25
ALL_ROLLS_HEIGHT = 7  # divided among few tasks, within the heights above
LEFT, RIGHT, TOP, BOTTOM = 0.9, 2.7, 0.7, 0.6

DOTS, POINTS = 120, 72
"""Dots and points per inch."""

SMALL = 7.5
"""Size of small letters in points."""


def draw_annotation(annotation: Annotation, path: Path) -> None:
    """Draw an annotation to a PNG.

    Each note task has a piano roll over bars of four beats; above it are chords and keys by name,
    or ticks at beats. Without note tasks there is one plain roll. Labels of the piece are on top.
    """
    with warnings.catch_warnings():
        # characters that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure_of(annotation).savefig(path, dpi=DOTS, format="png")


def figure_of(annotation: Annotation) -> Figure:
    """The figure that `draw_annotation` saves."""
    song = annotation.song
    bar = BEATS_PER_BAR * song.notes.ticks_per_beat
    first = int(song.notes.start.min() // bar)  # the bars of the music, counted from 0
    last = max(int(-(-song.notes.end.max() // bar)), first + 1)
    roll_width = float(np.clip(BAR_WIDTH * (last - first), *ROLL_WIDTHS))
    rolls = list(annotation.note_labels) or [""]
    roll_height = float(np.clip(ALL_ROLLS_HEIGHT / len(rolls), *ROLL_HEIGHTS))
    step = STRIP_HEIGHT + roll_height + GAP
    figure = Figure(figsize=(LEFT + roll_width + RIGHT, TOP + step * len(rolls) + BOTTOM))
    _write_heading(figure, annotation)
    for place, task in enumerate(rolls):
        top = TOP + place * step
        strip = _axes(figure, LEFT, top, roll_width, STRIP_HEIGHT)
        roll = _axes(figure, LEFT, top + STRIP_HEIGHT, roll_width, roll_height)
        strip.set(xlim=(first, last), ylim=(0, 1), xticks=[], yticks=[])
        strip.spines[:].set_visible(False)
        roll.set_xlim(first, last)
        if task:
            colours = class_colours(TASKS[task], annotation.note_labels[task].classes)
            shown, _ = shown_labels(annotation, task)
            _draw_strip(strip, annotation, task, colours)
            _draw_notes(roll, song, [*colours, NOT_READ_COLOUR], shown)
            _draw_legend(strip, annotation.note_labels[task].classes, shown, colours)
        else:
            _draw_notes(roll, song, [PLAIN_COLOUR], np.zeros(len(song), int))
        _draw_grid(roll, song, TASKS[task].title if task else "notes")
    roll.set_xlabel("measure" if song.measures else "bar (of four quarter notes)", fontsize=9)
    return figure


def _in_bars(song: Song, ticks: Any) -> np.ndarray:
    return song.beats(np.asarray(ticks)) / BEATS_PER_BAR


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Any:
    """Add axes at a place in inches from the upper left corner."""
    across, down = figure.get_size_inches()
    bottom = down - top - height
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def _points(axes: Any) -> np.ndarray:
    """The width of a bar and the height of a semitone in points, (2,)."""
    origin, one = axes.transData.transform([(0, 0), (1, 1)])
    return (one - origin) * POINTS / axes.figure.dpi


def _write_heading(figure: Figure, annotation: Annotation) -> None:
    """The name of the file, and below it facts and the labels of the piece."""
    song, (across, down) = annotation.song, figure.get_size_inches()
    facts = [counted(len(song), "note"), f"{clock(song)} minutes"]
    for task, labels in annotation.piece_labels.items():
        percent = _percent(labels.probabilities.max())
        facts.append(f"{TASKS[task].title} {readable_name(labels.name)} ({percent})")
    # a file may be called "$5.mid"
    place = {"x": LEFT / across, "parse_math": False}
    figure.text(y=1 - 0.3 / down, s=song.name, fontsize=13, weight="bold", **place)
    figure.text(y=1 - 0.5 / down, s=", ".join(facts), fontsize=9, color="0.35", **place)


def _draw_notes(axes: Any, song: Song, palette: list[str], label: np.ndarray) -> None:
    """Draw the notes in the colours that their labels have in the palette."""
    pitch = song.notes.pitch
    middle = (pitch.min() + pitch.max()) / 2
    reach = max(np.ptp(pitch), LEAST_PITCHES) / 2 + 1.5
    axes.set_ylim(middle - reach, middle + reach)
    bar, semitone = _points(axes)
    start, end = _in_bars(song, song.notes.start), _in_bars(song, song.notes.end)
    # a gap between repeated notes, and a least width
    end = np.maximum(end - np.minimum(0.15 * (end - start), 0.6 / bar), start + 1 / bar)
    order = np.argsort(label != NOT_READ, kind="stable")  # notes that were not read lie below
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
        for k in order[:MOST_CLASSES]
    ]
    if len(order) > MOST_CLASSES:
        entries.append(("none", f"and {len(order) - MOST_CLASSES} more"))
    if (label == NOT_READ).any():
        entries.append((NOT_READ_COLOUR, f"not read  {_percent((label == NOT_READ).mean())}"))
    for colour, text in entries:
        axes.plot([], [], "s", color=colour, label=text, ms=6)
    spaces = {"labelspacing": 0.15, "handletextpad": 0.2, "borderpad": 0}
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=SMALL, frameon=False, **spaces)


def _percent(fraction: float) -> str:
    return "<1%" if 0 < fraction < 0.005 else f"{fraction:.0%}"


def _draw_grid(axes: Any, song: Song, title: str) -> None:
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
    axes.set_yticks(octaves, list(map(pitch_name, octaves)), fontsize=SMALL)
    axes.set_ylabel(title, fontsize=10, weight="bold", parse_math=False)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=2, color="0.6")
    axes.spines[:].set(color="0.75", zorder=0.5)  # below the notes


def _draw_strip(axes: Any, annotation: Annotation, task: str, colours: list[str]) -> None:
    """Draw the ticks, or the spans with the names that fit, of a task that has them."""
    song, bar = annotation.song, _points(axes)[0]
    if task in BEAT_TASKS:
        onsets = _in_bars(song, beat_ticks(annotation, task))
        width = np.clip(bar / BEATS_PER_BAR / 3, 0.3, 1.5)
        axes.vlines(onsets, 0.1, 0.8, colors=colours[-1], linewidths=width)
    elif task in SPAN_TASKS:
        found, classes = spans(annotation, task), annotation.note_labels[task].classes
        boxes = [_in_bars(song, [span.start, span.end - span.start]) for span in found]
        faces = [colours[span.label] for span in found]
        axes.broken_barh(boxes, (0.05, 0.9), facecolors=faces, alpha=0.45)
        for (begin, width), span in zip(boxes, found, strict=True):
            name = readable_name(classes[span.label])
            if width * bar > SMALL * (0.65 * len(name) + 0.4):
                axes.text(begin + width / 2, 0.45, name, fontsize=SMALL, ha="center", va="center")
