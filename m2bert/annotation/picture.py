"""A picture of an annotation: piano rolls in the colours of the labels."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import (
    SPAN_TITLES,
    Annotation,
    bar_edges,
    beat_ticks,
    shown_labels,
    spans,
)
from m2bert.annotation.models import BEAT_TASKS, VOICE_TASK
from m2bert.annotation.names import clock, counted, pitch_name, readable_class, with_signs
from m2bert.base.errors import UserError
from m2bert.base.pictures import save_figure
from m2bert.model.predictions import NOT_READ

PLAIN_COLOUR, NOT_READ_COLOUR = "#5b6b80", "#d2d2d2"

MOST_CLASSES = 12
"""The most classes in a legend."""

LEAST_PITCHES = 24
"""The fewest semitones in a roll."""

# the layout, in inches
BEAT_WIDTH = 0.065
ROLL_WIDTHS = (10, 28)  # least and greatest: an hour of music is drawn denser, not wider
ROLL_HEIGHTS, STRIP_HEIGHT, GAP = (1.75, 3.5), 0.2, 0.25
ALL_ROLLS_HEIGHT = 7  # divided among few tasks, within the heights above
LEFT, RIGHT, TOP, BOTTOM = 0.9, 2.7, 0.7, 0.6

SYSTEM_BARS, SYSTEM_WIDTH, SYSTEM_HEIGHT, SYSTEM_RIGHT = 4, 5.0, 1.6, 1.6
"""A system: its bars, the size of its roll, and the space to the right; together they fit A4."""

DOTS, PRINTED_DOTS, POINTS = 120, 300, 72
"""Dots and points per inch."""

MOST_DOTS = 30_000
"""The greatest height of a picture, which PNG libraries can read."""

SMALL, SMALLEST = 7.5, 4.5
"""Size of small letters, and the least size of the names of chords and keys, in points."""


def draw_annotation(
    annotation: Annotation, path: Path, bars: tuple[str, str] | None = None
) -> None:
    """Draw an annotation to a PNG.

    Each note task has a piano roll over the bars; above it are chords and keys by name, or ticks at
    beats. Without note tasks there is one plain roll. Labels of the piece are on top.

    bars: the numbers of the first and the last bar to draw, as `systems_of` does; by default all.
    """
    figure = systems_of(annotation, *bars) if bars else figure_of(annotation)
    dots = min(PRINTED_DOTS if bars else DOTS, MOST_DOTS / figure.get_figheight())
    save_figure(figure, path, dots)


def figure_of(annotation: Annotation) -> Figure:
    """The figure of a whole song."""
    song, edges = annotation.song, bar_edges(annotation)
    begin = edges[max(np.searchsorted(edges, song.notes.start.min(), side="right") - 1, 0)]
    width = float(np.clip(BEAT_WIDTH * song.beats(edges[-1] - begin), *ROLL_WIDTHS))
    rolls = list(annotation.note_labels) or [""]
    height = float(np.clip(ALL_ROLLS_HEIGHT / len(rolls), *ROLL_HEIGHTS))
    step = STRIP_HEIGHT + height + GAP
    figure = Figure(figsize=(LEFT + width + RIGHT, TOP + step * len(rolls) + BOTTOM))
    _write_heading(figure, annotation)
    for place, task in enumerate(rolls):
        strips = [task] if task in (*SPAN_TITLES, *BEAT_TASKS) else []
        top, span = TOP + place * step, (int(begin), int(edges[-1]))
        roll = _draw_roll(figure, annotation, task, strips, span, top, (width, height))
        if task:
            _draw_legend(roll, annotation, task, span)
    roll.set_xlabel("measure" if song.measures else "bar", fontsize=9)
    return figure


def systems_of(annotation: Annotation, first: str, last: str) -> Figure:
    """A figure of the bars with the numbers `first` to `last` in systems of four, for print: notes
    in the colours of the voices (or of the first task without names or beats), chords and keys
    above.

    Raises `UserError` if there are no such bars.
    """
    edges, numbers, tick = bar_edges(annotation), annotation.bars.number, annotation.beats.tick
    if first not in numbers or last not in numbers[numbers.index(first) :]:
        raise UserError(
            f"{annotation.song.name} has no bars {first} to {last}: its bars are {numbers[0]} to "
            f"{numbers[-1]}"
        )
    begin = numbers.index(first)
    end = numbers.index(last, begin) + 1
    strips = [task for task in SPAN_TITLES if task in annotation.note_labels]
    tasks = [task for task in annotation.note_labels if task not in (*SPAN_TITLES, *BEAT_TASKS)]
    task = VOICE_TASK if VOICE_TASK in tasks else next(iter([*tasks, *annotation.note_labels]), "")
    step = max(len(strips), 1) * STRIP_HEIGHT + SYSTEM_HEIGHT + GAP
    systems = range(begin, end, SYSTEM_BARS)
    figure = Figure(figsize=(LEFT + SYSTEM_WIDTH + SYSTEM_RIGHT, TOP + step * len(systems)))
    _write_heading(figure, annotation)
    for place, bar in enumerate(systems):
        stop = min(bar + SYSTEM_BARS, end)
        size = SYSTEM_WIDTH * (stop - bar) / SYSTEM_BARS, SYSTEM_HEIGHT
        top, span = TOP + place * step, (int(edges[bar]), int(edges[stop]))
        roll = _draw_roll(figure, annotation, task, strips, span, top, size)
        beats = tick[(span[0] < tick) & (tick < span[1])]
        roll.set_xticks(annotation.song.beats(beats), minor=True)
        roll.grid(axis="x", which="minor", color="0.93", lw=0.4)
        if task and not place:
            _draw_legend(roll, annotation, task, (int(edges[begin]), int(edges[end])))
    return figure


def _draw_roll(
    figure: Figure,
    annotation: Annotation,
    task: str,
    strips: list[str],
    span: tuple[int, int],
    top: float,
    size: tuple[float, float],
) -> Any:
    """Draw the notes of a span in ticks in the colours of a task (plain if it is ""), below strips
    of tasks; returns the axes of the notes. top: of the first strip, in inches from the upper edge;
    size: of the roll, in inches."""
    width, height = size
    limits = annotation.song.beats(np.array(span))
    for strip in strips or [""]:
        axes = _axes(figure, LEFT, top, width, STRIP_HEIGHT)
        axes.set(xlim=limits, ylim=(0, 1), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if strip:
            _draw_strip(axes, annotation, strip, span)
        top += STRIP_HEIGHT
    roll = _axes(figure, LEFT, top, width, height)
    roll.set_xlim(limits)
    _draw_notes(roll, annotation, task, span)
    _draw_grid(roll, annotation, annotation.tasks[task].title if task else "notes", span)
    return roll


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Any:
    """Add axes at a place in inches from the upper left corner."""
    across, down = figure.get_size_inches()
    bottom = down - top - height
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def _points(axes: Any) -> np.ndarray:
    """The width of a quarter note and the height of a semitone in points, (2,)."""
    origin, one = axes.transData.transform([(0, 0), (1, 1)])
    return (one - origin) * POINTS / axes.figure.dpi


def _write_heading(figure: Figure, annotation: Annotation) -> None:
    """The name of the file, and below it facts and the labels of the piece."""
    song, (across, down) = annotation.song, figure.get_size_inches()
    facts = [counted(len(song), "note"), f"{clock(song)} minutes"]
    for task, labels in annotation.piece_labels.items():
        percent = _percent(labels.probabilities.max())
        name = readable_class(labels.name, annotation.tasks[task])
        facts.append(f"{annotation.tasks[task].title} {name} ({percent})")
    # a file may be called "$5.mid"
    place = {"x": LEFT / across, "parse_math": False}
    figure.text(y=1 - 0.3 / down, s=song.name, fontsize=13, weight="bold", **place)
    figure.text(y=1 - 0.5 / down, s=", ".join(facts), fontsize=9, color="0.35", **place)


def _draw_notes(axes: Any, annotation: Annotation, task: str, span: tuple[int, int]) -> None:
    """Draw the notes of a span in the colours of their labels."""
    song, notes, (begin, stop) = annotation.song, annotation.song.notes, span
    inside = np.flatnonzero((notes.start < stop) & (np.maximum(notes.end, notes.start + 1) > begin))
    palette, label = [PLAIN_COLOUR], np.zeros(len(inside), int)
    if task:
        classes = annotation.note_labels[task].classes
        palette = [*class_colours(annotation.tasks[task], classes), NOT_READ_COLOUR]
        label = shown_labels(annotation, task)[0][inside]
    middle = (notes.pitch.min() + notes.pitch.max()) / 2
    reach = max(np.ptp(notes.pitch), LEAST_PITCHES) / 2 + 1.5
    axes.set_ylim(middle - reach, middle + reach)
    pitch, start, end = (x[inside] for x in (notes.pitch, notes.start, notes.end))
    start, end = song.beats(start), song.beats(end)
    quarter, semitone = _points(axes)
    # a gap between repeated notes, and a least width
    end = np.maximum(end - np.minimum(0.15 * (end - start), 0.6 / quarter), start + 1 / quarter)
    order = np.argsort(label != NOT_READ, kind="stable")  # notes that were not read lie below
    lines = LineCollection(
        list(np.stack([np.stack([start, pitch], 1), np.stack([end, pitch], 1)], 1)[order]),
        colors=np.array(palette)[label[order]],  # NOT_READ is the last
        linewidths=max(0.85 * semitone, 1),
        antialiased=False,  # smooth edges would make short notes pale
    )
    axes.add_collection(lines, autolim=False)


def _draw_legend(axes: Any, annotation: Annotation, task: str, span: tuple[int, int]) -> None:
    """Name the classes of the notes that begin in a span, the most frequent first, to the right of
    the axes."""
    start, classes = annotation.song.notes.start, annotation.note_labels[task].classes
    label = shown_labels(annotation, task)[0][(span[0] <= start) & (start < span[1])]
    colours = class_colours(annotation.tasks[task], classes)
    names = [readable_class(name, annotation.tasks[task]) for name in classes]
    counts = np.bincount(label[label != NOT_READ], minlength=len(classes))
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    percent = [f"  {_percent(fraction)}" for fraction in counts / len(label)]
    if task in SPAN_TITLES:  # the summary has their fractions of the time
        percent = [""] * len(classes)
    entries = [(colours[k], names[k] + percent[k]) for k in order[:MOST_CLASSES]]
    if len(order) > MOST_CLASSES:
        entries.append(("none", f"and {len(order) - MOST_CLASSES} more"))
    if (label == NOT_READ).any():
        entries.append((NOT_READ_COLOUR, f"not read  {_percent((label == NOT_READ).mean())}"))
    handles = [axes.plot([], [], "s", color=colour, ms=6)[0] for colour, _ in entries]
    spaces = {"labelspacing": 0.15, "handletextpad": 0.2, "borderpad": 0}
    place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}
    legend = axes.legend(handles, range(len(entries)), fontsize=SMALL, **place, **spaces)
    for shown, (_, text) in zip(legend.get_texts(), entries, strict=True):
        shown.set(text=text, parse_math=False)  # a class may be called "$5" or "_x"


def _percent(fraction: float) -> str:
    return "<1%" if 0 < fraction < 0.005 else f"{fraction:.0%}"


def _draw_grid(axes: Any, annotation: Annotation, title: str, span: tuple[int, int]) -> None:
    """Number the bars, name the octaves, and draw lines at both."""
    starts, numbers = annotation.bars.start, annotation.bars.number
    bars = annotation.song.beats(bar_edges(annotation))
    step = 1
    while step * np.diff(bars).mean() * _points(axes)[0] < 0.5 * POINTS:
        step *= 2
    shown = [
        bar
        for bar, number in enumerate(numbers)
        if span[0] <= starts[bar] < span[1]
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


def _draw_strip(axes: Any, annotation: Annotation, task: str, span: tuple[int, int]) -> None:
    """Draw the ticks at beats, or the spans of chords or keys with the names that fit."""
    song, quarter = annotation.song, _points(axes)[0]
    colours = class_colours(annotation.tasks[task], annotation.note_labels[task].classes)
    if task in BEAT_TASKS:
        beats = song.beats(np.array(beat_ticks(annotation, task)))
        axes.vlines(beats, 0.1, 0.8, colors=colours[-1], linewidths=np.clip(quarter / 3, 0.3, 1.5))
        return
    inside = [s for s in spans(annotation, task) if s.start < span[1] and s.end > span[0]]
    edges = np.clip([[s.start, s.end] for s in inside] or np.empty((0, 2)), *span)
    starts, ends = song.beats(edges).T
    boxes = list(zip(starts, ends - starts, strict=True))
    axes.broken_barh(boxes, (0.05, 0.9), facecolors=[colours[s.label] for s in inside], alpha=0.45)
    for (begin, width), shown in zip(boxes, inside, strict=True):
        name = with_signs(shown.name)
        size = min(width * quarter / (0.65 * len(name) + 0.4), SMALL)
        if size >= SMALLEST:
            axes.text(begin + width / 2, 0.45, name, fontsize=size, ha="center", va="center")
