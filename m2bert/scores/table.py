"""The benchmark's table: a row a task, own scores over the seeds beside the published ones."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from m2bert.base.settings import flat
from m2bert.base.tables import Table, figure
from m2bert.finetuning.result import RunKey
from m2bert.scores.published import PUBLISHED
from m2bert.scores.results import name_checkpoints, name_runs
from m2bert.tasks import METRIC_TITLES, TASKS, Task

Results = Mapping[RunKey, dict]


def _runs_cell(row: dict) -> str:
    """ "2 of 4": so many of the policy's seeds; " +1" for one that is not the policy's."""
    others = f" +{row['other_runs']}" if row["other_runs"] else ""
    return f"{row['runs'] - row['other_runs']} of {row['expected_runs']}{others}"


TASK_COLUMNS: dict[str, Callable[[dict], str]] = {
    "": itemgetter("acronym"),
    "task": itemgetter("task"),
    "metric": lambda row: METRIC_TITLES[row["metric"]],
}

_COLUMNS = TASK_COLUMNS | {
    "mean": lambda row: figure(row["mean"]),
    "sd": lambda row: figure(row["sd"]),
    "runs": _runs_cell,
    "clean\ngrid": lambda row: figure(row["clean"]),
    "commonest\nclass": lambda row: figure(row["commonest"]),
    "published\nRC": lambda row: figure(row["published_rc"]),
    "published\nno chroma": lambda row: figure(row["published_nochroma"]),
    "published\nproposed": lambda row: figure(row["published_proposed"]),
}


_READING = (
    "mean, sd: of the test scores over the seeds, each taken at its best validation epoch; a seed "
    "of a cross-validation is the mean of its folds. runs: complete seeds, of those that the "
    "benchmark's policy asks for.",
    "clean grid: the 16th-grid accuracy where each segment's grid ends with its own last bar. "
    "commonest class: the score of always answering the commonest class of the training data.",
    "published: 12-layer models pre-trained on the whole of five corpora with token correction "
    "alone (RC), also with the pianoroll less its chroma bins (no chroma), also with the whole "
    "pianoroll (proposed), then fine-tuned on all data of each task. A smaller model, or other or "
    "less data, cannot be compared with them.",
)


def score_table(results: Results, folder: Path) -> Table:
    """The table of the results in `folder`; its records are those of `score_rows`."""
    rows = score_rows(results)
    return Table(
        heading=f"Results in {folder}",
        titles=list(_COLUMNS),
        cells=[[cell(row) for cell in _COLUMNS.values()] for row in rows],
        notes=[*_gaps(results), *_READING, *_settings(results)],
        records=rows,
    )


def score_rows(results: Results) -> list[dict]:
    """A row a task of `tasks.TASKS`, also for those without any result.

    Keys: acronym, task, metric; mean and sd over the complete seeds (sd with n - 1); runs, the
    number of these seeds; expected_runs, the number that the policy asks for; other_runs, how many
    of the seeds are not the policy's; trainings, the number of result files; clean, the mean of the
    clean grid accuracy; commonest, the mean score of always answering the commonest training class;
    published_MODEL, the scores of `PUBLISHED`. What there is not (also the sd of one seed) is None.
    """
    return [_score_row(task, results) for task in TASKS.values()]


def _score_row(task: Task, results: Results) -> dict:
    runs_of = {seed: _runs_of_seed(task, seed) for seed in _seeds_begun(task, results)}
    complete = [seed for seed, runs in runs_of.items() if results.keys() >= set(runs)]
    seeds = [[results[run] for run in runs_of[seed]] for seed in complete]
    scores = _over_seeds(seeds, itemgetter("test_score"))
    clean = _over_seeds(seeds, itemgetter("clean_test_score"))
    commonest = _over_seeds(seeds, lambda result: result["commonest_class"]["test_score"])
    return {
        "acronym": task.acronym,
        "task": task.name,
        "metric": task.metric,
        "mean": _mean(scores),
        "sd": round(stdev(scores), 6) if len(scores) > 1 else None,
        "runs": len(complete),
        "expected_runs": len(task.seeds),
        "other_runs": len(set(complete) - set(task.seeds)),
        "trainings": sum(run.task == task.name for run in results),
        "clean": _mean(clean),
        "commonest": _mean(commonest),
        **{f"published_{model}": row.get(task.name) for model, row in PUBLISHED.items()},
    }


def _seeds_begun(task: Task, results: Results) -> list[int]:
    return sorted({run.seed for run in results if run.task == task.name})


def _runs_of_seed(task: Task, seed: int) -> list[RunKey]:
    """The trainings that a seed of a task asks for: one, or one a fold."""
    return [RunKey(task.name, seed, fold) for fold in task.test_folds]


def _over_seeds(seeds: list[list[dict]], score: Callable[[dict], Any]) -> list[float]:
    """The score of each seed, the mean over its folds, rounded to 4 places as in the original.

    seeds: the results of each. Empty if one of them has no such score.
    """
    found = [[score(result) for result in of_seed] for of_seed in seeds]
    return [] if any(None in of_seed for of_seed in found) else [round(fmean(s), 4) for s in found]


def _mean(scores: list[float]) -> float | None:
    return round(fmean(scores), 6) if scores else None


def _gaps(results: Results) -> list[str]:
    """Notes that name missing runs, and those of other seeds than the policy's."""
    begun = {task.name: _seeds_begun(task, results) for task in TASKS.values()}
    expected = {
        run
        for name, seeds in begun.items()
        if seeds
        for seed in {*seeds, *TASKS[name].seeds}
        for run in _runs_of_seed(TASKS[name], seed)
    }
    additional = [run for run in results if run.seed not in TASKS[run.task].seeds]
    notes = {
        "missing": name_runs(expected - results.keys()),
        "without any result": ", ".join(name for name, seeds in begun.items() if not seeds),
        "of other seeds than the policy's": name_runs(additional),
    }
    return [f"{what}: {names}" for what, names in notes.items() if names]


def _settings(results: Results) -> list[str]:
    """Notes on what all results share."""
    settings = flat(next(iter(results.values()))["settings"])
    given = [f"{name}={value}" for name, value in settings.items() if value is not None]
    return [f"checkpoint: {name_checkpoints(results.values())}", f"settings: {', '.join(given)}"]
