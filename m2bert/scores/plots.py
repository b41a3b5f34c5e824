"""Plots of results: scores, confusion matrices, comparisons."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from m2bert.tasks import Task

MOST_NAMES = 45
"""Plots of more classes omit their names."""

MOST_VALUES = 12
"""Plots of more classes show fractions by colour only."""


def scores_figure(rows: Sequence[dict]) -> Figure:
    """The rows of `table.score_rows`: means and sd, scores to compare them with."""
    places = np.arange(len(rows))
    means, sd, majority, published = (
        np.array([row[name] for row in rows], float)  # None becomes NaN, which is not drawn
        for name in ("mean", "sd", "majority", "published_proposed")
    )
    figure = Figure(figsize=(max(2.5 + 0.8 * len(rows), 6.5), 4.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(places, means, 0.5, color="#9ecae1", label="mean and sd over the seeds")
    axes.errorbar(places, means, sd, fmt="none", color="k", capsize=4)
    axes.plot(places, majority, "_", color="#d62728", ms=18, mew=2, label="majority class")
    axes.plot(places + 0.38, published, "D", color="k", ms=4, label="published (proposed)")
    names = [plain(f"{row['acronym']}\n{row['task']}") for row in rows]
    axes.set_xticks(places, names, fontsize=8)
    axes.set(ylim=(0, 1.02), ylabel="score", xlim=(-0.6, len(rows) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def comparison_figure(rows: Sequence[dict], heading: str) -> Figure:
    """The rows of `comparison.comparison_rows`: differences and their two intervals."""
    places = np.arange(len(rows))
    differences, low, high, pieces_low, pieces_high = (
        np.array([row[name] for row in rows], float)
        for name in ("difference", "interval_low", "interval_high", "pieces_low", "pieces_high")
    )
    figure = Figure(figsize=(7, 1.8 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="k", lw=1)
    axes.hlines(places, pieces_low, pieces_high, color="#9ecae1", lw=6)
    axes.hlines(places, low, high, color="#3182bd", lw=2)
    axes.plot(differences, places, "o", color="#3182bd")
    names = [plain(f"{row['acronym']} {row['task']} ({row['pairs']})") for row in rows]
    axes.set_yticks(places, names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(plain("\n".join(textwrap.wrap(heading, 55))))  # it has two paths
    axes.set_xlabel(
        "B - A with 95 % intervals over runs (thin) and pieces (in brackets: pairs of runs)"
    )
    axes.grid(axis="x", alpha=0.3)
    return figure


def confusion_figure(task: Task, names: list[str], counts: np.ndarray) -> Figure:
    """The fractions of each true class that are predicted as each class (`classes.Confusion`)."""
    side = min(4 + 0.25 * len(names), 11)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    totals = counts.sum(1, keepdims=True)
    fractions = np.divide(counts, totals, where=totals > 0, out=np.full(counts.shape, np.nan))
    axes = figure.subplots()
    axes.set_facecolor("0.9")  # of classes that are only predicted
    # rare errors among many classes would not be visible on a linear scale
    norm = PowerNorm(0.5, 0, 1)
    image = axes.imshow(fractions, norm=norm, cmap="Blues", interpolation="nearest")
    figure.colorbar(image, shrink=0.6, aspect=30, label="fraction of the true class")
    name = " ".join(dict.fromkeys((task.acronym, task.title)))  # own tasks have one only
    title = plain(f"{name}, {len(names)} classes")
    axes.set(xlabel="predicted", ylabel="true (grey: only predicted)", title=title)
    ticks = range(len(names)) if len(names) <= MOST_NAMES else []
    labels, size = [plain(names[tick]) for tick in ticks], 9 if len(names) <= MOST_VALUES else 7
    axes.set_xticks(ticks, labels, rotation=90, fontsize=size)
    axes.set_yticks(ticks, labels, fontsize=size)
    for (row, column), value in np.ndenumerate(fractions):
        if value > 0 and len(names) <= MOST_VALUES:
            colour = "w" if value > 0.35 else "k"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    return figure


def plain(text: str) -> str:
    """Text without formulas: matplotlib expects them between two dollar signs."""
    return text.replace("$", r"\$")
