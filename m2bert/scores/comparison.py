"""Two folders of results side by side: the differences of paired runs, and how sure they are."""

import warnings
from math import isnan
from pathlib import Path
from statistics import fmean

from scipy.stats import ttest_rel

from m2bert.base.errors import UserError
from m2bert.base.tables import Table, figure
from m2bert.scores.results import describe_differences, name_checkpoints, name_runs
from m2bert.scores.table import TASK_COLUMNS, Results
from m2bert.tasks import TASKS

CONFIDENCE = 0.95

_MOST_OF_A_NAME = 20
"""Characters of a folder's name that stand above its column."""

_COLUMNS = TASK_COLUMNS | {
    "A": lambda row: figure(row["mean_a"]),
    "B": lambda row: figure(row["mean_b"]),
    "B - A": lambda row: figure(row["difference"], sign="+"),
    "95 % interval": lambda row: _interval(row["interval_low"], row["interval_high"]),
    "pairs": lambda row: str(row["pairs"]),
}

_READING = (
    "Means are over the pairs: runs of the same task, seed and fold. The interval is that of the "
    "mean difference, by Student's t for paired samples. If it holds 0, the difference may be "
    "chance. It speaks of these seeds and folds, not of other music."
)


def comparison_table(a: Results, b: Results, folder_a: Path, folder_b: Path) -> Table:
    """The table that compares the results of two folders; its records are `comparison_rows`."""
    rows = comparison_rows(a, b)
    named = {"A": folder_a.resolve().name, "B": folder_b.resolve().name}
    return Table(
        heading=f"A: {folder_a}, B: {folder_b}",
        titles=[f"{t}: {named[t][:_MOST_OF_A_NAME]}" if t in named else t for t in _COLUMNS],
        cells=[[cell(row) for cell in _COLUMNS.values()] for row in rows],
        notes=[*_unpaired(a, b), _READING, *_settings(a, b)],
        records=rows,
    )


def comparison_rows(a: Results, b: Results) -> list[dict]:
    """A row for each task of which `a` and `b` have runs of the same seed and fold.

    Keys: acronym, task, metric, and those of `compare_scores`; runs without a score make no pair.
    Raises `UserError` if there is no pair, or if the runs of one were not tested on the same data.
    """
    scored = ({run for run in of if of[run]["test_score"] is not None} for of in (a, b))
    paired = sorted(set.intersection(*scored))
    if not paired:
        raise UserError(
            "the two folders have nothing in common to compare: the runs are "
            f"{name_runs(a)} in one, {name_runs(b)} in the other"
        )
    for run in paired:
        tested = (results[run]["data"]["test"] for results in (a, b))
        if differing := describe_differences(*tested):
            raise UserError(
                f"the two folders tested {name_runs([run])} on different data ({differing}): "
                "such scores cannot be compared"
            )
    rows = []
    for task in TASKS.values():
        if runs := [run for run in paired if run.task == task.name]:
            scores = ([results[run]["test_score"] for run in runs] for results in (a, b))
            names = {"acronym": task.acronym, "task": task.name, "metric": task.metric}
            rows.append(names | compare_scores(*scores))
    return rows


def compare_scores(a: list[float], b: list[float]) -> dict:
    """Compare paired scores.

    Keys: mean_a and mean_b; difference, the mean of b - a; interval_low and interval_high, its 95 %
    confidence interval by Student's t for paired samples, None for a single pair; pairs, how many.
    """
    with warnings.catch_warnings():  # of one pair, and of differences that are all the same
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = ttest_rel(b, a).confidence_interval(CONFIDENCE)
    figures = {
        "mean_a": fmean(a),
        "mean_b": fmean(b),
        "difference": fmean(after - before for before, after in zip(a, b, strict=True)),
        "interval_low": low,
        "interval_high": high,
    }
    rounded = {k: None if isnan(v) else round(float(v), 6) for k, v in figures.items()}
    return rounded | {"pairs": len(a)}


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{figure(low, sign='+')} .. {figure(high, sign='+')}"


def _unpaired(a: Results, b: Results) -> list[str]:
    left_out = {"A": name_runs(a.keys() - b.keys()), "B": name_runs(b.keys() - a.keys())}
    return [f"only in {folder}, left out: {names}" for folder, names in left_out.items() if names]


def _settings(a: Results, b: Results) -> list[str]:
    before, now = (next(iter(results.values()))["settings"] for results in (a, b))
    checkpoints = (name_checkpoints(results.values()) for results in (a, b))
    return [
        "checkpoints: A {}; B {}".format(*checkpoints),
        f"settings of A and B: {describe_differences(before, now) or 'the same'}",
    ]
