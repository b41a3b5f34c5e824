"""The results below a folder: whether they belong together, and their runs in words."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.base.settings import differences
from m2bert.finetuning.result import RESULT_FILE, RunKey, folder_of_run, read_result, run_of
from m2bert.tasks import TASKS


def find_results(save_root: Path) -> list[Path]:
    """All result files below `save_root`, sorted."""
    return sorted(save_root.glob(f"seed_*/*/{RESULT_FILE}"))


def read_results(save_root: Path) -> dict[RunKey, dict]:
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


def _refuse_unknown_run(path: Path, result: dict) -> None:
    task = TASKS.get(result["task"])
    if task is None:
        raise UserError(
            f"{path} is of the task {result['task']!r}, which is not in m2bert/tasks.py: "
            "add its row there, or move the result elsewhere"
        )
    if result["fold"] not in (range(task.folds) if task.folds else (None,)):
        raise UserError(
            f"{path} is of fold {result['fold']}, but m2bert/tasks.py gives {task.name} "
            f"{task.folds or 'no'} folds"
        )
    if result["metric"] != task.metric:
        raise UserError(
            f"{path} was scored by {result['metric']}, but m2bert/tasks.py says {task.metric} "
            f"for {task.name}: run it again"
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
    files = list(results)
    for other in files[1:]:
        first = files[0]
        differing = describe_differences(results[first]["settings"], results[other]["settings"])
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


def describe_differences(before: dict, now: dict) -> str:
    """Say in words where two dicts of settings differ; empty if they don't."""
    found = differences(before, now)
    return "; ".join(f"{name} {old!r} and {new!r}" for name, old, new in found)


def name_checkpoints(results: Iterable[dict]) -> str:
    """The checkpoints that results began from, in words."""
    paths = {(result["checkpoint"] or {}).get("path") for result in results}
    return ", ".join(sorted(path or "none (random weights)" for path in paths))


def name_runs(runs: Iterable[RunKey]) -> str:
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
