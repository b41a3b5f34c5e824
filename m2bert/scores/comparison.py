"""Comparison of two sets of results: the differences of paired runs, and their intervals."""

import warnings
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import ttest_rel

from m2bert.base.errors import UserError
from m2bert.base.tables import Table, decimals
from m2bert.finetuning.result import RunKey
from m2bert.scores.results import (
    Results,
    common_settings,
    describe_differences,
    name_checkpoints,
    name_runs,
    source_name,
    tasks_of,
)
from m2bert.scores.table import TASK_COLUMNS, number_column

CONFIDENCE = 0.95
RESAMPLES = 10_000

_READING = (
    "Means are over pairs of runs of the same task, seed and fold. Both intervals are 95 % "
    "intervals of the mean difference: over runs by Student's t for paired samples, so about other "
    "seeds and folds; over pieces by bootstrap of the test pieces, so about other music with these "
    "trained models. If an interval contains 0, the difference may be chance."
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
            number_column(f"A: {source_name(source_a)}", "mean_a"),
            number_column(f"B: {source_name(source_b)}", "mean_b"),
            number_column("B - A", "difference", "+"),
            ("over runs", lambda row: _interval(row, "interval")),
            ("pairs", lambda row: str(row["pairs"])),
            ("over pieces", lambda row: _interval(row, "pieces")),
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

    Keys: acronym, task, metric, and those of `compare_scores` and `interval_over_pieces`. Raises
    `UserError` if there is no pair, or if the runs of one were tested on different data.
    """
    tasks = tasks_of(a, b)
    paired = sorted(a.keys() & b.keys())
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
            rows.append(names | compare_scores(*scores) | interval_over_pieces(runs, a, b))
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


def interval_over_pieces(runs: Sequence[RunKey], a: Results, b: Results) -> dict:
    """The 95 % interval of the mean difference of paired runs by bootstrap over the test pieces.

    Runs of the same fold are scored on the same draws of pieces. Keys: pieces_low, pieces_high;
    None if a run has no scores of pieces, or a test set has only one.
    """
    generator, summed = np.random.default_rng(0), np.zeros(RESAMPLES)
    for fold in {run.fold: None for run in runs}:
        of_fold = [
            [of[run].get("test_pieces") for of in (a, b)] for run in runs if run.fold == fold
        ]
        if any(not pieces or len(pieces) < 2 for pair in of_fold for pieces in pair):
            return {"pieces_low": None, "pieces_high": None}
        terms = np.array(of_fold)  # (runs, 2, pieces, 2)
        pieces = terms.shape[2]
        drawn = generator.multinomial(pieces, np.full(pieces, 1 / pieces), RESAMPLES)
        numerators, denominators = np.moveaxis(np.tensordot(drawn, terms, (1, 2)), -1, 0)
        scores = numerators / np.maximum(denominators, 1)
        summed += (scores[..., 1] - scores[..., 0]).sum(1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(summed / len(runs), [tail, 1 - tail]).round(6).tolist()
    return {"pieces_low": low, "pieces_high": high}


def _interval(row: dict, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "-" if low is None else f"{decimals(low, '+')} .. {decimals(high, '+')}"
