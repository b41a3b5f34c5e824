"""The results below a folder: whether they belong together, and their runs in words."""

from collections.abc import Collection, Iterable
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
    first, first_of_data = next(iter(files)), dict[tuple, Path]()
    for path, result in files.items():
        if misfit := _misfit(save_root, path, result):
            raise UserError(f"{path} {misfit}")
        if differing := describe_differences(files[first]["settings"], result["settings"]):
            raise UserError(
                f"{first} and {path} come from different settings ({differing}): "
                "keep each in a folder of its own"
            )
        other = first_of_data.setdefault((result["task"], result["fold"]), path)
        if result["data"] != files[other]["data"]:
            raise UserError(
                f"{other} and {path} come from different data of {result['task']} (their counts "
                "or checksums differ): keep each in a folder of its own"
            )
    return {run_of(result): result for result in files.values()}


def _misfit(save_root: Path, path: Path, result: dict) -> str | None:
    """Why a result does not fit the table of tasks or its place, to be said after its path."""
    task, fold, metric = TASKS.get(result["task"]), result["fold"], result["metric"]
    if task is None:
        return (
            f"is of the task {result['task']!r}, which is not in m2bert/tasks.py: "
            "add its row there, or move the result elsewhere"
        )
    if fold not in task.test_folds:
        folds = f"{task.name} {task.folds or 'no'} folds"
        return f"is of fold {fold}, but m2bert/tasks.py gives {folds}"
    if metric != task.metric:
        needed = f"{task.metric} for {task.name}"
        return f"was scored by {metric}, but m2bert/tasks.py says {needed}: run it again"
    place = folder_of_run(save_root, *run_of(result))
    if path.parent != place:
        run = name_runs([run_of(result)])
        return f"is the result of {run}, which belongs in {place}: move it there or remove it"
    return None


def describe_differences(before: dict, now: dict) -> str:
    """Where two dicts of settings differ, in words: "lr 2e-05 and 0.0001"; empty if they don't."""
    found = differences(before, now)
    return "; ".join(f"{name} {old!r} and {new!r}" for name, old, new in found)


def name_checkpoints(results: Iterable[dict]) -> str:
    """The checkpoints that were fine-tuned to get these results, in words."""
    paths = {(result["checkpoint"] or {}).get("path") for result in results}
    return ", ".join(sorted(path or "none (random weights)" for path in paths))


def name_runs(runs: Collection[RunKey]) -> str:
    """Runs in words: "composer seed 2022 fold 3; violin_all seeds 2023, 2024".

    If all folds of a seed are among `runs`, its folds are not listed.
    """
    names = []
    for task in TASKS.values():
        folds: dict[int, list] = {}
        for run in sorted(run for run in runs if run.task == task.name):
            folds.setdefault(run.seed, []).append(run.fold)
        whole = [seed for seed in folds if len(folds[seed]) == len(task.test_folds)]
        if whole:
            names.append(f"{task.name} {_numbered('seed', whole)}")
        names += [
            f"{task.name} seed {seed} {_numbered('fold', folds[seed])}"
            for seed in folds
            if seed not in whole
        ]
    return "; ".join(names)


def _numbered(word: str, numbers: list[int]) -> str:
    return f"{word}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
