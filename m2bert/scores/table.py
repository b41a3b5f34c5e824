"""The benchmark's table: one row per task, scores over the seeds beside the published ones; and
several sets of results as columns of one table."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from m2bert.base.tables import Columns, Table, decimals
from m2bert.scores.published import PUBLISHED
from m2bert.scores.results import (
    Results,
    common_settings,
    name_checkpoints,
    name_runs,
    runs_of_seed,
    tasks_of,
)
from m2bert.tasks import METRIC_TITLES, Task

CLEAN_GRID = "clean_grid_accuracy"

TASK_COLUMNS: Columns = (
    ("", itemgetter("acronym")),
    ("task", itemgetter("task")),
    ("metric", lambda row: (METRIC_TITLES | {CLEAN_GRID: "on the clean grid"})[row["metric"]]),
)


def number_column(title: str, key: str, sign: str = "") -> tuple[str, Callable[[dict], str]]:
    """A column of scores."""
    return title, lambda row: decimals(row[key], sign)


_COLUMNS: Columns = (
    *TASK_COLUMNS,
    number_column("mean", "mean"),
    number_column("sd", "sd"),
    ("runs", lambda row: _runs_cell(row)),
    number_column("clean\ngrid", "clean"),
    number_column("majority\nclass", "majority"),
    number_column("published\nRC", "published_rc"),
    number_column("published\nno chroma", "published_nochroma"),
    number_column("published\nproposed", "published_proposed"),
)

_NOTES = {
    "mean": "mean, sd: mean and standard deviation of the test scores over the seeds, each at its "
    "best validation epoch; a seed of a cross-validation is the mean of its folds. runs: complete "
    "seeds, of those in the benchmark's policy.",
    "clean": "clean grid: the 16th-grid accuracy where each segment's grid ends with its own last "
    "bar.",
    "majority": "majority class: the score of always predicting the majority class of the training "
    "data.",
    "published_proposed": "published: 12-layer models pre-trained on all of five corpora with "
    "token correction alone (RC), also with the pianoroll without chroma (no chroma), also with "
    "the pianoroll (proposed), then fine-tuned on all data of each task. A smaller model, or other "
    "or less data, cannot be compared with them.",
}
"""The explanation of a key of `score_rows`, for tables that have such a score."""


def score_table(results: Results, source: Path) -> Table:
    """The table of the results in `source`; its records are those of `score_rows`."""
    rows = score_rows(results)
    return Table(
        heading=f"Results in {source}",
        columns=_COLUMNS,
        records=rows,
        notes=[*_missing(results), *_notes(rows), *_settings({"": results})],
    )


def columns_table(columns: Mapping[str, Results]) -> Table:
    """The means of several sets of results, one column for each."""
    models = [{row["task"]: row for row in score_rows(results)} for results in columns.values()]
    records = []
    for task in tasks_of(*columns.values()).values():
        rows = [model.get(task.name, {}) for model in models]
        majority = [row["majority"] for row in rows if row and row["majority"] is not None]
        for score, metric in (("mean", task.metric), ("clean", CLEAN_GRID)):
            means = [row.get(score) for row in rows]
            if any(rows) if score == "mean" else any(mean is not None for mean in means):
                records.append(
                    {"acronym": task.acronym, "task": task.name, "metric": metric}
                    | {f"mean_{name}": mean for name, mean in zip(columns, means, strict=True)}
                    | {"seeds": " ".join(str(row.get("runs", 0)) for row in rows)}
                    | {"majority": majority[0] if majority and score == "mean" else None}
                )
    return Table(
        heading=f"Results in {', '.join(columns)}",
        columns=[
            *TASK_COLUMNS,
            *(number_column(name, f"mean_{name}") for name in columns),
            ("seeds", itemgetter("seeds")),
            number_column("majority\nclass", "majority"),
        ],
        records=records,
        notes=[
            "Means over the complete seeds of each column; seeds: how many these are.",
            _NOTES["majority"],
            *_settings(columns),
        ],
    )


def score_rows(results: Results) -> list[dict]:
    """One row per task that has results.

    Keys: acronym, task, metric; mean and sd over the complete seeds (sd with n - 1); runs, the
    number of these seeds; expected_runs, the number in the policy; other_runs, how many of the
    seeds are not in the policy; trainings, the number of results; clean, the mean of the clean grid
    accuracy; majority, the mean score of always predicting the majority class; published_MODEL, the
    scores of `PUBLISHED`. A value that does not exist (also the sd of one seed) is None.
    """
    return [_score_row(task, results) for task in tasks_of(results).values()]


def _score_row(task: Task, results: Results) -> dict:
    seeds = {run.seed: runs_of_seed(task, run.seed) for run in results if run.task == task.name}
    complete = {seed: runs for seed, runs in seeds.items() if results.keys() >= set(runs)}

    def over_seeds(score: Callable[[dict], Any]) -> list[float]:
        """The mean over the folds of each seed, rounded to 4 places as in the original; empty if
        a run has no such score."""
        found = [[score(results[run]) for run in runs] for runs in complete.values()]
        return [] if any(None in of for of in found) else [round(fmean(of), 4) for of in found]

    scores = over_seeds(itemgetter("test_score"))
    return {
        "acronym": task.acronym,
        "task": task.name,
        "metric": task.metric,
        "mean": _mean(scores),
        "sd": round(stdev(scores), 6) if len(scores) > 1 else None,
        "runs": len(complete),
        "expected_runs": len(task.seeds),
        "other_runs": len(complete.keys() - set(task.seeds)),
        "trainings": sum(run.task == task.name for run in results),
        "clean": _mean(over_seeds(itemgetter("clean_test_score"))),
        "majority": _mean(over_seeds(lambda result: result["majority_class"]["test_score"])),
        **{f"published_{model}": row.get(task.name) for model, row in PUBLISHED.items()},
    }


def _mean(scores: list[float]) -> float | None:
    return round(fmean(scores), 6) if scores else None


def _runs_cell(row: dict) -> str:
    """ "2 of 4": complete seeds of the policy; " +1" for one that is not in the policy."""
    others = f" +{row['other_runs']}" if row["other_runs"] else ""
    return f"{row['runs'] - row['other_runs']} of {row['expected_runs']}{others}"


def _missing(results: Results) -> list[str]:
    """A note that names the runs missing from seeds that were begun or are in the policy."""
    tasks = tasks_of(results)
    expected = {
        run
        for task, seed, _ in results
        for s in {seed, *tasks[task].seeds}
        for run in runs_of_seed(tasks[task], s)
    }
    missing = name_runs(expected - results.keys(), tasks)
    return [f"missing: {missing}"] if missing else []


def _notes(rows: list[dict]) -> list[str]:
    return [note for key, note in _NOTES.items() if any(row[key] is not None for row in rows)]


def _settings(columns: Mapping[str, Results]) -> list[str]:
    """Notes on checkpoints and settings: those of all columns, then the others of each."""
    checkpoints = (f"{name} {name_checkpoints(of.values())}" for name, of in columns.items())
    settings = {name: common_settings(of.values()) for name, of in columns.items()}
    shared = set.intersection(*(set(of.items()) for of in settings.values()))
    first = next(iter(settings.values()))
    given = {"settings": [item for item in first.items() if item in shared]} | {
        f"settings of {name}": [item for item in of.items() if item not in shared]
        for name, of in settings.items()
    }
    notes = [f"checkpoint: {'; '.join(checkpoints).strip()}"]
    for title, items in given.items():
        listed = ", ".join(f"{name}={value}" for name, value in items if value != "None")
        notes += [f"{title}: {listed}"] if listed else []
    return notes
