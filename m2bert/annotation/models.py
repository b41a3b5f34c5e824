"""The fine-tuned models in a folder, and the best of those of one task."""

from collections.abc import Sequence
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.base.files import read_json
from m2bert.model.classifiers import classifier_in
from m2bert.model.folder import CONFIG_FILE, read_record
from m2bert.tasks import TASKS


def find_models(folder: Path, tasks: Sequence[str] | None = None) -> dict[str, list[Path]]:
    """The fine-tuned models in `folder` and below it, by task, in the order of `tasks.TASKS`.

    tasks: those that are wanted; None stands for all that are there.

    Raises `UserError` if there are none, none of a task that is wanted, if one is of a task that is
    not in `TASKS`, or if one is damaged. Of the weights only names and shapes are looked at here.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: name the folder of a fine-tuned model, or one above")
    if not folder.exists():
        raise UserError(f"there is no folder {folder}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob(CONFIG_FILE)):
        if (task := read_json(path).get("task")) is not None:
            classifier_in(path.parent).check(path.parent)
            found.setdefault(task, []).append(path.parent)
    if not found:
        raise UserError(
            f"{folder} holds no fine-tuned model: make some with "
            "`python -m m2bert.finetune ... --save_ckpt`"
        )
    for task, folders in found.items():
        if task not in TASKS:
            raise UserError(f"{folders[0]} is of the task {task}, which is not in m2bert/tasks.py")
    for task in tasks or ():
        if task not in found:
            raise UserError(f"{folder} has no model of {task}; it has {', '.join(found)}")
    return {task: found[task] for task in TASKS if task in (tasks or found)}


def best_model(folders: list[Path]) -> Path:
    """The model with the highest validation score; of equal ones the first.

    Raises `UserError` if one was saved without its score.
    """
    records = {folder: read_record(folder) for folder in folders}
    for folder, record in records.items():
        if not isinstance(record.get("valid_score"), int | float):
            raise UserError(f"{folder} does not tell its validation score: use --which all")
    return max(folders, key=lambda folder: records[folder]["valid_score"])
