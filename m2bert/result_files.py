"""Where the results of fine-tuning lie: a folder a run, in it one JSON with all its figures.

    SAVE_ROOT/seed_2021/melody/result.json
    SAVE_ROOT/seed_2021/composer_fold_0/result.json

A result is written when its run has ended; docs/METHOD.md, "Results", says what it holds.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from m2bert import settings
from m2bert.errors import UserError
from m2bert.files import read_json
from m2bert.tasks import TASKS

RESULT_FILE = "result.json"
FORMAT_VERSION = 1

_HELD = {
    "task": str,
    "seed": int,
    "fold": int | NoneType,
    "metric": str,
    "settings": dict,
    "checkpoint": dict | NoneType,
    "data.test": dict,
    "epochs": list,
    "test_score": int | float,
    "clean_test_score": int | float | NoneType,
    "commonest_class.test_score": int | float,
    "confusion": list,
    "per_class": list,
}
"""What a result must hold to be read here, and of which type; other parts are not looked at."""


class Run(NamedTuple):
    """One training: a task, a seed and, in a cross-validation, the fold that was tested."""

    task: str
    seed: int
    fold: int | None


def folder_of_run(save_root: Path, task: str, seed: int, fold: int | None) -> Path:
    """The folder of one run below `save_root`."""
    part = "" if fold is None else f"_fold_{fold}"
    return save_root / f"seed_{seed}" / f"{task}{part}"


def find_results(save_root: Path) -> list[Path]:
    """All result files below `save_root`, sorted."""
    return sorted(save_root.glob(f"seed_*/*/{RESULT_FILE}"))


def read_results(save_root: Path) -> dict[Run, dict]:
    """Read all results below `save_root`.

    Raises `UserError` if there is none, or if one is damaged, lies in another run's folder, is of
    an unknown task, or does not belong to the others: other settings, or other data of its task.
    """
    if not save_root.is_dir():
        raise UserError(f"there is no folder {save_root}")
    files = {path: read_result(path) for path in find_results(save_root)}
    if not files:
        raise UserError(
            f"there is no result in {save_root} (looked for seed_*/*/{RESULT_FILE}): "
            "make some with `python -m m2bert.finetune`"
        )
    for path, result in files.items():
        _refuse_unknown_run(path, result)
        _refuse_wrong_place(save_root, path, result)
    refuse_mixed_settings(files)
    _refuse_mixed_data(files)
    return {run_of(result): result for result in files.values()}


def read_result(path: Path) -> dict:
    """Read one result. Raises `UserError` if it is damaged or of another format."""
    result = read_json(path)
    if result.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {result.get('format_version')}, this code reads "
            f"{FORMAT_VERSION}: use the release that wrote it"
        )
    wrong = [name for name, kind in _HELD.items() if not isinstance(_part(result, name), kind)]
    if wrong:
        raise UserError(
            f"{path} is damaged or no result of fine-tuning: {', '.join(wrong)} missing or of "
            "another type; remove it and run it again"
        )
    if not isfinite(result["test_score"]):
        raise UserError(
            f"{path} has the test score {result['test_score']}: remove it and run it again"
        )
    return result


def run_of(result: dict) -> Run:
    """The run that a result is of."""
    return Run(result["task"], result["seed"], result["fold"])


def _part(result: Any, name: str) -> Any:
    """The part of nested dicts that a dotted name stands for; `...` if it is not there."""
    for key in name.split("."):
        result = result.get(key, ...) if isinstance(result, dict) else ...
    return result


def _refuse_unknown_run(path: Path, result: dict) -> None:
    task = TASKS.get(result["task"])
    if task is None:
        raise UserError(
            f"{path} is of the task {result['task']!r}, which is not in m2bert/tasks.py: "
            "add its row there, or move the result elsewhere"
        )
    if result["fold"] not in (range(task.folds) if task.folds else (None,)):
        raise UserError(
            f"{path} is of fold {result['fold']}, but m2bert/tasks.py gives {task.labels} "
            f"{task.folds or 'no'} folds"
        )
    if result["metric"] != task.metric:
        raise UserError(
            f"{path} was scored by {result['metric']}, but m2bert/tasks.py says {task.metric} "
            f"for {task.labels}: run it again"
        )


def _refuse_wrong_place(save_root: Path, path: Path, result: dict) -> None:
    place = folder_of_run(save_root, *run_of(result))
    if path.parent != place:
        raise UserError(
            f"{path} is the result of {name_runs([run_of(result)])}, which belongs in {place}: "
            "move it there or remove it"
        )


def refuse_mixed_settings(results: Mapping[Path, dict]) -> None:
    """Raise `UserError` if results, by their files, come from different settings."""
    files = iter(results)
    first = next(files, None)
    for other in files:
        differing = differences(results[first]["settings"], results[other]["settings"])
        if differing:
            raise UserError(
                f"{first} and {other} come from different settings ({differing}): "
                "keep each in a folder of its own"
            )


def _refuse_mixed_data(results: Mapping[Path, dict]) -> None:
    first_file: dict[tuple, Path] = {}
    for path, result in results.items():
        first = first_file.setdefault((result["task"], result["fold"]), path)
        if result["data"] != results[first]["data"]:
            raise UserError(
                f"{first} and {path} come from different data of {result['task']} (their counts "
                "or checksums differ): keep each in a folder of its own"
            )


def differences(before: dict, now: dict) -> str:
    """Say in words where two dicts of settings differ; empty if they don't."""
    found = settings.differences(before, now)
    return "; ".join(f"{name} {old!r} and {new!r}" for name, old, new in found)


def name_checkpoints(results: Iterable[dict]) -> str:
    """The checkpoints that results began from, in words."""
    paths = {(result["checkpoint"] or {}).get("path") for result in results}
    return ", ".join(sorted(path or "none (random weights)" for path in paths))


def name_runs(runs: Iterable[Run]) -> str:
    """Runs in words: "composer seed 2022 fold 3; violin_all seeds 2023, 2024".

    Of a seed whose folds are all among `runs` only the seed is named.
    """
    folds_of: dict[str, dict[int, set]] = {}
    order = list(TASKS)
    for task, seed, fold in sorted(runs, key=lambda run: (order.index(run.task), run)):
        folds_of.setdefault(task, {}).setdefault(seed, set()).add(fold)
    names = []
    for task, seeds in folds_of.items():
        whole = [seed for seed, folds in seeds.items() if len(folds) >= max(TASKS[task].folds, 1)]
        if whole:
            names.append(f"{task} {_numbered('seed', whole)}")
        names += [
            f"{task} seed {seed} {_numbered('fold', sorted(folds))}"
            for seed, folds in seeds.items()
            if seed not in whole
        ]
    return "; ".join(names)


def _numbered(word: str, numbers: list[int]) -> str:
    return f"{word}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
