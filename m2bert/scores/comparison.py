"""Comparison of two sets of results: the differences of paired runs, and their intervals."""

import warnings
from math import isnan
from pathlib import Path
from statistics import fmean

from scipy.stats import ttest_rel

from m2bert.base.errors import UserError
from m2bert.base.tables import Table, decimals
from m2bert.scores.results import (
    Results,
    common_settings,
    describe_differences,
    name_checkpoints,
    name_runs,
    short_name,
    tasks_of,
)
from m2bert.scores.table import TASK_COLUMNS, number_column

CONFIDENCE = 0.95

_READING = (
    "Means are over pairs of runs of the same task, seed and fold. The interval is that of the "
    "mean difference, by Student's t for paired samples. If it contains 0, the difference may be "
    "chance. It is about these seeds and folds, not about other music."
)


def comparison_table(a: Results, b: Results, source_a: Path, source_b: Path) -> Table:
    """The table that compares two sets of results; its records are `comparison_rows`."""
    only, tasks = {"A": a.keys() - b.keys(), "B": b.keys() - a.keys()}, tasks_of(a, b)
    omitted = {name: name_runs(runs, tasks) for name, runs in only.items()}
    differing = describe_differences(common_settings(a.values()), common_settings(b.values()))
    return Table(
        heading=f"A: {source_a}, B: {source_b}",
        columns=[
            *TASK_COLUMNS,
            number_column(f"A: {short_name(source_a)}", "mean_a"),
            number_column(f"B: {short_name(source_b)}", "mean_b"),
            number_column("B - A", "difference", "+"),
            ("95 % interval", _interval),
            ("pairs", lambda row: str(row["pairs"])),
        ],
        records=comparison_rows(a, b),
        notes=[
            *(f"only in {name}, omitted: {runs}" for name, runs in omitted.items() if runs),
            _READING,
            f"checkpoints: A {name_checkpoints(a.values())}; B {name_checkpoints(b.values())}",
            f"settings of A and B: {differing or 'the same'}",
        ],
    )


def comparison_rows(a: Results, b: Results) -> list[dict]:
    """One row per task of which `a` and `b` have runs of the same seed and fold.

    Keys: acronym, task, metric, and those of `compare_scores`; runs without a score are not paired.
    Raises `UserError` if there is no pair, or if the runs of one were tested on different data.
    """
    tasks = tasks_of(a, b)
    scored = ({run for run in of if of[run]["test_score"] is not None} for of in (a, b))
    paired = sorted(set.intersection(*scored))
    if not paired:
        raise UserError(
            "the two folders have nothing in common to compare: the runs are "
            f"{name_runs(a, tasks)} in one, {name_runs(b, tasks)} in the other"
        )
    for run in paired:
        tested = (results[run]["data"]["test"] for results in (a, b))
        if differing := describe_differences(*tested):
            raise UserError(
                f"the two folders tested {name_runs([run], tasks)} on different data "
                f"({differing}): such scores cannot be compared"
            )
    rows = []
    for task in tasks.values():
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
    scores = {
        "mean_a": fmean(a),
        "mean_b": fmean(b),
        "difference": fmean(after - before for before, after in zip(a, b, strict=True)),
        "interval_low": low,
        "interval_high": high,
    }
    rounded = {k: None if isnan(v) else round(float(v), 6) for k, v in scores.items()}
    return rounded | {"pairs": len(a)}


def _interval(row: dict) -> str:
    low, high = row["interval_low"], row["interval_high"]
    return "-" if low is None else f"{decimals(low, '+')} .. {decimals(high, '+')}"
