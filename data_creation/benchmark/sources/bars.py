"""Bars of any metre -> bars of four beats, as the benchmark has them."""

import numpy as np

from data_creation.benchmark.sources.pieces import Item, LeftOut, item_of
from m2bert.notes.cp import BEATS_PER_BAR


def item_in_bars(notes: np.ndarray, lines: np.ndarray, **labels: np.ndarray) -> Item:
    """An item whose bars are stretched or shrunk to four beats: a note that begins a third through
    its bar begins at beat 4/3 of it; one that reaches over its bar ends as if all were at that
    bar's scale. Notes come bar by bar, in a bar as they stood; those without duration are left out.

    notes: (3, notes), onset, duration and pitch; labels: (notes,); lines: where bars begin and the
    last one ends. Raises `LeftOut` for notes before the first bar line or behind the last.
    """
    onset, duration, pitch = notes
    if not (np.diff(lines) > 0).all():
        raise LeftOut("bar lines that do not ascend")
    bar = np.searchsorted(lines, onset, side="right") - 1
    outside = (duration > 0) & ((bar < 0) | (bar >= len(lines) - 1))
    if outside.any():
        bars = f"outside the bars, {lines[0]:g} to {lines[-1]:g}"
        raise LeftOut(f"{outside.sum()} notes, the first at {onset[outside][0]:g}, {bars}")
    order = np.argsort(bar, kind="stable")
    order = order[duration[order] > 0]
    bar, onset, duration = bar[order], onset[order], duration[order]
    begin, length = lines[bar], lines[bar + 1] - lines[bar]
    start, end = (BEATS_PER_BAR * (bar + (t - begin) / length) for t in (onset, onset + duration))
    return item_of(start, end, pitch[order], **{task: its[order] for task, its in labels.items()})


def outer_bars(lines: np.ndarray, in_front: int) -> np.ndarray:
    """Bar lines with one more behind the last, and `in_front` (0 or 1) before the first, as far
    away as the next two are apart."""
    if len(lines) < 2:
        raise LeftOut(f"{len(lines)} bar lines")
    return np.pad(lines, (in_front, 1), "reflect", reflect_type="odd")
