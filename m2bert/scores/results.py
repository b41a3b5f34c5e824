"""Results of fine-tuning: those of a folder or a file, checked, and descriptions of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.base.settings import differences, flat
from m2bert.finetuning.result import RESULT_FILE, RunKey, check_result, read_result, run_of
from m2bert.model.task_entries import DEFINITION, defined_task
from m2bert.tasks import TASKS, Task

Results = Mapping[RunKey, dict]


def read_results(source: Path) -> dict[RunKey, dict]:
    """Read the results below a folder (`--save_root` of fine-tuning), or those in a file that has
    the text of one `result.json` per line.

    Raises `UserError` if there is none, if one is malformed or does not fit its task, if two are of
    the same run, or if runs of one task differ in their settings, their data or its definition.
    """
    results: dict[RunKey, dict] = {}
    first: dict[tuple, tuple[str, dict]] = {}
    for place, result in _find_results(source):
        defined = _checked_task(result, place)
        task, _, fold = run = run_of(result)
        if run in results:
            names = name_runs([run], {task: defined})
            raise UserError(f"{place} is a second result of {names}: remove one of them")
        results[run] = result
        for key in (("settings", task), ("data", task, fold), (DEFINITION, task)):
            content = result.get(key[0], {})
            other, expected = first.setdefault(key, (place, content))
            if differing := describe_differences(expected, content):
                raise UserError(
                    f"{other} and {place} have different {key[0]} ({differing}): "
                    "keep them in different folders"
                )
    if not results:
        raise UserError(
            f"there is no result in {source} (looked for seed_*/*/{RESULT_FILE}): "
            "make some with `python -m m2bert.finetune`"
        )
    return results


def _find_results(source: Path) -> Iterator[tuple[str, dict]]:
    """Each result and its place, for messages."""
    if source.is_dir():
        for path in sorted(source.glob(f"seed_*/*/{RESULT_FILE}")):
            yield str(path), read_result(path)
    elif source.is_file():
        with source.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                place = f"{source}, line {number},"
                yield place, check_result(_parse(line, place), place)
    else:
        raise UserError(f"there is no folder or file {source}")


def _parse(line: str, place: str) -> dict:
    with suppress(ValueError):
        if isinstance(result := json.loads(line), dict):
            return result
    raise UserError(f"{place} is not a result of fine-tuning (the text of a {RESULT_FILE})")


def _checked_task(result: dict, place: str) -> Task:
    """The task of a result. Raises `UserError` if the result does not fit it."""
    name, fold, metric = result["task"], result["fold"], result["metric"]
    task = defined_task(result, place)
    if task is None:
        raise UserError(
            f"{place} is of the task {name!r}, which is not in m2bert/tasks.py: add its row "
            "there, or move the result elsewhere"
        )
    if run_of(result) not in runs_of_seed(task, result["seed"]) or metric != task.metric:
        raise UserError(
            f"{place} is of fold {fold}, scored by {metric}; the task {name} has "
            f"{task.folds or 'no'} folds and the metric {task.metric}: train it again"
        )
    return task


def tasks_of(*models: Results) -> dict[str, Task]:
    """The tasks of some sets of results by name, own ones after those of `TASKS`. Raises
    `UserError` if two define one name differently."""
    found: dict[str, Task] = {}
    for result in (result for results in models for result in results.values()):
        task = defined_task(result, RESULT_FILE)
        if task and found.setdefault(task.name, task) != task:
            raise UserError(
                f"the results are of different tasks with the name {task.name!r}: they cannot be "
                "in one table"
            )
    return {name: found[name] for name in (*TASKS, *found) if name in found}


def source_name(source: Path) -> str:
    """The name of a folder or file of results in a table."""
    return source.resolve().name.removesuffix(".jsonl")


def runs_of_seed(task: Task, seed: int) -> list[RunKey]:
    """The runs of a task with one seed: one, or one per fold."""
    return [RunKey(task.name, seed, fold) for fold in task.test_folds]


def describe_differences(before: dict, now: dict) -> str:
    """The entries that differ: "lr 2e-05 and 0.0001"; empty if there are none."""
    return "; ".join(f"{name} {old} and {new}" for name, old, new in differences(before, now))


def common_settings(results: Iterable[dict]) -> dict[str, str]:
    """The settings of results, without inner dicts: "2e-05", or "2e-05 or 0.0001" by name."""
    every = [flat(result["settings"]) for result in results]
    names = dict.fromkeys(name for settings in every for name in settings)
    return {n: " or ".join(dict.fromkeys(str(s.get(n)) for s in every)) for n in names}


def name_checkpoints(results: Iterable[dict]) -> str:
    """The checkpoints that were fine-tuned."""
    paths = {(result["checkpoint"] or {}).get("path") for result in results}
    return ", ".join(sorted(path or "none (random weights)" for path in paths))


def name_runs(runs: Iterable[RunKey], tasks: Mapping[str, Task]) -> str:
    """The names of runs of `tasks`: "beat seed 2021; composer seed 2022 fold 3, 4" (all folds if
    none is named)."""
    folds: dict[tuple[str, int], list] = {}
    for task, seed, fold in sorted(runs):
        folds.setdefault((task, seed), []).append(fold)
    names = []
    for (task, seed), of_seed in folds.items():
        is_complete = len(of_seed) == len(tasks[task].test_folds)
        listed = "" if is_complete else f" fold {', '.join(map(str, of_seed))}"
        names.append(f"{task} seed {seed}{listed}")
    return "; ".join(names)
