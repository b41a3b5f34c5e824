"""A picture of an annotation: a piano roll for each note task, in the colours of the labels."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import MOMENT_TASKS, SPAN_TASKS, Annotation, moments, spans
from m2bert.annotation.names import pitch_name, readable_name
from m2bert.base.files import replacing
from m2bert.model.predictions import NoteLabels, PieceLabels
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


Labelled = tuple[str, NoteLabels]
"""A note task and what is said of its notes."""


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
    rolls: list[Labelled | None] = [*annotation.note_labels.items()] or [None]
    top = TOP + _piece_height(annotation)
    roll_height = float(np.clip(ALL_ROLLS_HEIGHT / len(rolls), *ROLL_HEIGHTS))
    step = STRIP_HEIGHT + roll_height + GAP
    figure = Figure(figsize=(LEFT + roll_width + RIGHT, top + step * len(rolls) + BOTTOM))
    _write_heading(figure, song)
    _draw_pieces(figure, annotation)
    for labelled in rolls:
        strip = _place(figure, LEFT, top, roll_width, STRIP_HEIGHT)
        roll = _place(figure, LEFT, top + STRIP_HEIGHT, roll_width, roll_height)
        top += step
        for axes in (strip, roll):
            axes.set_xlim(bars)
        _draw_strip(strip, song, labelled)
        _draw_roll(roll, song, labelled)
        if labelled is not None:
            _draw_legend(strip, *labelled)
        _draw_axes(roll, song, "notes" if labelled is None else TASKS[labelled[0]].title)
    roll.set_xlabel("bar (of four quarter notes)", fontsize=9)
    return figure


def _bars(song: Song) -> tuple[int, int]:
    """The bar in which the first note begins and the one after the last end, from 0."""
    bar = BEATS_PER_BAR * song.notes.ticks_per_beat
    first, last = song.notes.start.min() // bar, -(-song.notes.end.max() // bar)
    return int(first), int(max(last, first + 1))


def _in_bars(song: Song, ticks: np.ndarray) -> np.ndarray:
    return song.beats(ticks) / BEATS_PER_BAR


def _place(figure: Any, left: float, top: float, width: float, height: float) -> Any:
    """Add axes at a place in inches from the upper left corner."""
    whole = figure.get_figwidth(), figure.get_figheight()
    bottom = whole[1] - top - height
    return figure.add_axes(
        (left / whole[0], bottom / whole[1], width / whole[0], height / whole[1])
    )


def _points(axes: Any) -> tuple[float, float]:
    """Points that a bar is wide and a semitone high."""
    box = axes.get_position()
    width = box.width * axes.figure.get_figwidth() * POINTS
    height = box.height * axes.figure.get_figheight() * POINTS
    return width / np.ptp(axes.get_xlim()), height / np.ptp(axes.get_ylim())


def _write_heading(figure: Any, song: Song) -> None:
    seconds = round(float(song.seconds(song.notes.end.max())))
    notes = "1 note" if len(song) == 1 else f"{len(song):,} notes"
    facts = f"{notes}, {seconds // 60}:{seconds % 60:02} minutes"
    x, y = LEFT / figure.get_figwidth(), 1 - 0.3 / figure.get_figheight()
    # a file may be called "$5.mid"
    figure.text(x, y, song.name, fontsize=13, weight="bold", parse_math=False)
    figure.text(1 - 0.2 / figure.get_figwidth(), y, facts, fontsize=9, color="0.35", ha="right")


def _piece_height(annotation: Annotation) -> float:
    """Inches that the piece tasks take."""
    most = max((len(labels.classes) for labels in annotation.piece_labels.values()), default=0)
    return PIECE_MARGIN + PIECE_LINE * min(most, MOST_BARS) if most else 0


def _draw_pieces(figure: Any, annotation: Annotation) -> None:
    """Draw the piece tasks beside one another, the most probable classes first."""
    for place, (task, labels) in enumerate(annotation.piece_labels.items()):
        order = np.argsort(-labels.probabilities, kind="stable")[:MOST_BARS]
        left, height = LEFT + 0.4 + PIECE_STEP * place, PIECE_LINE * len(order)
        axes = _place(figure, left, TOP + 0.2, PIECE_WIDTH, height)
        _draw_piece(axes, task, labels, order)


def _draw_piece(axes: Any, task: str, labels: PieceLabels, order: np.ndarray) -> None:
    names = [labels.classes[label] for label in order]
    values = labels.probabilities[order]
    bars = axes.barh(np.arange(len(order)), values, 0.75, color=class_colours(TASKS[task], names))
    axes.bar_label(bars, list(map(_percent, values)), padding=3, fontsize=SMALL)
    texts = list(map(readable_name, names))
    axes.set_yticks(np.arange(len(order)), texts, fontsize=SMALL, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(len(order) - 0.5, -0.5), xticks=[])
    axes.set_title(TASKS[task].title, fontsize=9, weight="bold", loc="left", pad=3)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def _draw_roll(axes: Any, song: Song, labelled: Labelled | None) -> None:
    """Draw the notes."""
    pitch = song.notes.pitch
    middle = (pitch.min() + pitch.max()) / 2
    reach = max(np.ptp(pitch), LEAST_PITCHES) / 2 + 1.5
    axes.set_ylim(middle - reach, middle + reach)
    bar, semitone = _points(axes)
    start, end = _in_bars(song, song.notes.start), _in_bars(song, song.notes.end)
    # a gap between repeated notes; and however short, a note is seen
    end = np.maximum(end - np.minimum(0.15 * (end - start), 0.6 / bar), start + 1 / bar)
    if labelled is None:
        colours, order = PLAIN_COLOUR, np.arange(len(song))
    else:
        task, labels = labelled
        palette = np.array([*class_colours(TASKS[task], labels.classes), NOT_READ_COLOUR])
        order = np.argsort(labels.was_read, kind="stable")  # what was not read lies below
        colours = palette[labels.label[order]]  # NOT_READ is the last
    ends = np.stack([np.stack([start, pitch], 1), np.stack([end, pitch], 1)], 1)[order]
    # without smooth edges, which would make short notes pale
    axes.add_collection(
        LineCollection(
            list(ends), colors=colours, linewidths=max(0.85 * semitone, 1), antialiased=False
        ),
        autolim=False,
    )


def _draw_legend(axes: Any, task: str, labels: NoteLabels) -> None:
    """Name the classes that occur, the most frequent first, to the right of the axes."""
    palette = class_colours(TASKS[task], labels.classes)
    counts = np.bincount(labels.label[labels.was_read], minlength=len(labels.classes))
    shares = counts / len(labels.label)
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    entries = [
        (palette[k], f"{readable_name(labels.classes[k])}  {_percent(shares[k])}")
        for k in order[:MOST_IN_LEGEND]
    ]
    if len(order) > MOST_IN_LEGEND:
        entries.append(("none", f"and {len(order) - MOST_IN_LEGEND} more"))
    if not labels.was_read.all():
        entries.append((NOT_READ_COLOUR, f"not read  {_percent((~labels.was_read).mean())}"))
    for colour, text in entries:
        axes.plot([], [], "s", color=colour, label=text, ms=6)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1, 1),
        fontsize=SMALL,
        frameon=False,
        labelspacing=0.15,
        handletextpad=0.2,
        borderpad=0,
    )


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _draw_axes(axes: Any, song: Song, title: str) -> None:
    """Number the bars, name the octaves, and draw lines at both."""
    first, last = axes.get_xlim()
    step = 1
    while step * _points(axes)[0] < 0.5 * POINTS:
        step *= 2
    bars = np.arange(-(-first // step) * step, last, step)
    axes.set_xticks(bars, [f"{bar + 1:.0f}" for bar in bars], fontsize=SMALL)
    low, high = axes.get_ylim()
    octaves = [pitch for pitch in range(0, 128, 12) if low < pitch < high]
    axes.set_yticks(octaves, [pitch_name(pitch) for pitch in octaves], fontsize=SMALL)
    axes.set_ylabel(title, fontsize=10, weight="bold", parse_math=False)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=2, color="0.6")
    axes.spines[:].set(color="0.75", zorder=0.5)  # below the notes


def _draw_strip(axes: Any, song: Song, labelled: Labelled | None) -> None:
    """Draw what a task says of time: spans with their names, or ticks."""
    axes.set(ylim=(0, 1), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if labelled is None:
        return
    task, labels = labelled
    if task in SPAN_TASKS:
        _draw_spans(axes, song, task, labels)
    elif task in MOMENT_TASKS:
        (colour,) = class_colours(TASKS[task], labels.classes[-1:])
        onsets = _in_bars(song, moments(song, labels))
        apart = _points(axes)[0] / BEATS_PER_BAR
        axes.vlines(onsets, 0.1, 0.8, colors=colour, linewidths=np.clip(apart / 3, 0.3, 1.5))


def _draw_spans(axes: Any, song: Song, task: str, labels: NoteLabels) -> None:
    """Draw spans in their colours, with as many names as there is room for."""
    found = spans(song, labels)
    palette = class_colours(TASKS[task], labels.classes)
    begins = _in_bars(song, np.array([span.start for span in found]))
    widths = _in_bars(song, np.array([span.end - span.start for span in found]))
    axes.broken_barh(
        list(zip(begins, widths, strict=True)),
        (0.05, 0.9),
        facecolors=[palette[span.label] for span in found],
        alpha=0.45,
    )
    bar = _points(axes)[0]
    for span, begin, width in zip(found, begins, widths, strict=True):
        name = readable_name(labels.classes[span.label])
        if width * bar > SMALL * (0.65 * len(name) + 0.4):
            axes.text(begin + width / 2, 0.45, name, fontsize=SMALL, ha="center", va="center")
