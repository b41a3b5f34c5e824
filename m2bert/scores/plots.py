"""Pictures of results: scores, confusion matrices, comparisons."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from m2bert.base.errors import UserError
from m2bert.base.files import replacing
from m2bert.scores.results import name_runs
from m2bert.scores.table import Results
from m2bert.tasks import TASKS

MOST_NAMES = 45
"""With more classes than these their names are left out of a picture."""

MOST_VALUES = 12
"""With more classes than these the shares are shown by colour alone."""


def plot_scores(rows: Sequence[dict], path: Path) -> None:
    """Draw the rows of `table.score_rows`: means, their sd, what they compare with."""
    places = np.arange(len(rows))
    means, commonest, published = (
        np.array([row[name] for row in rows], float)  # None becomes NaN, which is not drawn
        for name in ("mean", "commonest", "published_proposed")
    )
    deviations = np.array([row["sd"] or None for row in rows], float)
    figure = Figure(figsize=(2.5 + 0.8 * len(rows), 4.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(places, means, 0.5, color="#9ecae1", label="mean and sd over the seeds")
    axes.errorbar(places, means, deviations, fmt="none", color="k", capsize=4)
    axes.plot(places, commonest, "_", color="#d62728", ms=18, mew=2, label="commonest class")
    axes.plot(places + 0.38, published, "D", color="k", ms=4, label="published (proposed)")
    names = [plain(f"{row['acronym']}\n{row['task']}") for row in rows]
    axes.set_xticks(places, names, fontsize=8)
    axes.set(ylim=(0, 1.02), ylabel="score", xlim=(-0.6, len(rows) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    _save(figure, path)


def plot_comparison(rows: Sequence[dict], heading: str, path: Path) -> None:
    """Draw the rows of `comparison.comparison_rows`: differences and their intervals."""
    places = np.arange(len(rows))
    differences, low, high = (
        np.array([row[name] for row in rows], float)
        for name in ("difference", "interval_low", "interval_high")
    )
    figure = Figure(figsize=(7, 1.8 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="k", lw=1)
    axes.hlines(places, low, high, color="#3182bd", lw=2)
    axes.plot(differences, places, "o", color="#3182bd")
    names = [plain(f"{row['acronym']} {row['task']} ({row['pairs']})") for row in rows]
    axes.set_yticks(places, names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(plain("\n".join(textwrap.wrap(heading, 55))))  # it holds two paths
    axes.set_xlabel("B - A with 95 % interval (in brackets: number of pairs)")
    axes.grid(axis="x", alpha=0.3)
    _save(figure, path)


def plot_confusions(results: Results, folder: Path) -> None:
    """Draw a confusion matrix a task, of all its runs together, to `confusion_TASK.png`."""
    for task in TASKS.values():
        if of_task := {run: result for run, result in results.items() if run.task == task.name}:
            names, counts = sum_confusions(of_task)
            runs = "one run" if len(of_task) == 1 else f"{len(of_task)} runs"
            title = plain(f"{task.acronym} {task.title}, {runs}")
            classes = list(map(plain, names))
            _plot_confusion(classes, counts, title, folder / f"confusion_{task.name}.png")


def sum_confusions(results: Results) -> tuple[list[str], np.ndarray]:
    """Add up the confusion matrices of one task.

    Returns the names of the classes that occur, as true or as predicted ones, by their labels, and
    the number of notes or segments by true and predicted class, int64 (classes, classes).
    Raises `UserError` if a matrix is damaged.
    """
    names: dict[int, str] = {}
    cells: list[np.ndarray] = []
    for run, result in results.items():
        try:
            names |= {entry["label"]: entry["name"] for entry in result["per_class"]}
            cells.append(np.array(result["confusion"], np.int64).reshape(-1, 3))
            if not names.keys() >= set(cells[-1][:, :2].flat):
                raise ValueError("there are classes without a name")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the confusion matrix of {name_runs([run])} is damaged ({error}): remove its "
                "result and run it again"
            ) from error
    labels = np.array(sorted(names))
    true, predicted, count = np.concatenate(cells).T
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (np.searchsorted(labels, true), np.searchsorted(labels, predicted)), count)
    return [names[label] for label in labels], counts


def _plot_confusion(names: list[str], counts: np.ndarray, title: str, path: Path) -> None:
    """Draw each row of `counts` as shares of its sum."""
    side = min(4 + 0.25 * len(names), 11)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, where=totals > 0, out=np.full(counts.shape, np.nan))
    axes = figure.subplots()
    axes.set_facecolor("0.9")  # shows through where there is no share
    # rare mistakes among many classes would not be seen on a linear scale
    image = axes.imshow(shares, norm=PowerNorm(0.5, 0, 1), cmap="Blues", interpolation="nearest")
    figure.colorbar(image, shrink=0.6, aspect=30, label="share of the true class")
    grey = " (grey: only predicted)" if (totals == 0).any() else ""
    axes.set(xlabel="predicted", ylabel=f"true{grey}", title=title)
    if len(names) <= MOST_NAMES:
        size = 9 if len(names) <= MOST_VALUES else 7
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), names, fontsize=size)
    else:
        axes.set(xticks=[], yticks=[], title=f"{title}: the {len(names)} classes that occur")
    if len(names) <= MOST_VALUES:
        for (row, column), share in np.ndenumerate(shares):
            if share > 0:
                colour = "w" if share > 0.35 else "k"
                text = f"{share:.2f}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def plain(text: str) -> str:
    """Text as matplotlib shows it unchanged: between two dollar signs it would expect formulas."""
    return text.replace("$", r"\$")


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
