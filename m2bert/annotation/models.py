"""The fine-tuned models in a folder, and the best of those of one task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

from m2bert.base.errors import UserError
from m2bert.base.files import read_json
from m2bert.model.classifiers import classifier_in
from m2bert.model.folder import CONFIG_FILE, MODELS_OF_A_RUN, read_record
from m2bert.tasks import METRIC_TITLES, TASKS

OTHER_NAMES = {"chord": "chordroot", "root": "chordroot", "key": "localkey"}
"""What tasks may be called besides their names and titles, in the singular."""


@dataclass(frozen=True)
class ModelFacts:
    """What is told of a model beside its labels; None where it was not recorded.

    Attributes:
        name: the end of its folder's path; never the whole path.
        metric: what its scores measure, in words.
        valid_score, test_score: on the validation and test set of its task.
        licence: of its weights.
        limits: where it fails, in sentences.
    """

    name: str
    metric: str | None = None
    valid_score: float | None = None
    test_score: float | None = None
    licence: str | None = None
    limits: str | None = None

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The facts that the folder of a model holds. Raises `UserError` if it is damaged."""
        record, parts = read_record(folder), folder.resolve().parts
        in_run = parts[-1] in MODELS_OF_A_RUN
        return cls(
            name="/".join(parts[-3:-1] if in_run else parts[-1:]),
            metric=METRIC_TITLES.get(record.get("metric", "")),
            valid_score=_finite(record.get("valid_score")),
            test_score=_finite(record.get("test_score")),
            licence=record.get("licence"),
            limits=record.get("limits"),
        )


def _finite(score: object) -> float | None:
    return score if isinstance(score, int | float) and math.isfinite(score) else None


def task_named(text: str) -> str | None:
    """The task that a user means by its name, its title, or one of `OTHER_NAMES`, in the singular
    or plural; None if there is none."""
    known = {
        _singular(word): task.name for task in TASKS.values() for word in (task.name, task.title)
    }
    return (known | OTHER_NAMES).get(_singular(text))


def _singular(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold())).removesuffix("s")


def find_models(
    folders: Sequence[Path], tasks: Sequence[str] | None = None
) -> dict[str, list[Path]]:
    """The fine-tuned models in some folders and below them, by task, in the order of `tasks.TASKS`.

    tasks: those that are wanted, as users call them (`task_named`); None stands for all that are
        there.

    Raises `UserError` if a folder has none, if there is none of a task that is wanted, if one is of
    a task that is not in `TASKS`, or if one is damaged. Of the weights only names and shapes are
    looked at here.
    """
    found: dict[str, list[Path]] = {}
    for folder, name in chain.from_iterable(map(_models_below, folders)):
        if name not in TASKS:
            raise UserError(f"{folder} is of the task {name}, which is not in m2bert/tasks.py")
        if folder not in found.setdefault(name, []):
            found[name].append(folder)
    wanted = set(found) if tasks is None else set()
    for text in tasks or ():
        task = task_named(text)
        if task not in found:
            there = ", ".join(TASKS[name].title for name in TASKS if name in found)
            places = ", ".join(map(str, folders))
            raise UserError(f"{places} has no model of {text}; it has {there}")
        wanted.add(task)
    return {task: found[task] for task in TASKS if task in wanted}


def _models_below(folder: Path) -> list[tuple[Path, str]]:
    """The fine-tuned models in a folder and below it, with their tasks."""
    if folder.is_file():
        raise UserError(f"{folder} is a file: name the folder of a fine-tuned model, or one above")
    if not folder.exists():
        raise UserError(f"there is no folder {folder}")
    found = []
    for path in sorted(folder.rglob(CONFIG_FILE)):
        if (task := read_json(path).get("task")) is not None:
            classifier_in(path.parent).check(path.parent)
            found.append((path.parent, task))
    if not found:
        raise UserError(
            f"{folder} holds no fine-tuned model: make some with "
            "`python -m m2bert.finetune ... --save_ckpt`"
        )
    return found


def best_model(folders: list[Path]) -> Path:
    """The model with the highest validation score; of equal ones the first.

    Raises `UserError` if one was saved without its score.
    """
    records = {folder: read_record(folder) for folder in folders}
    for folder, record in records.items():
        if not isinstance(record.get("valid_score"), int | float):
            raise UserError(f"{folder} does not tell its validation score: use --which all")
    return max(folders, key=lambda folder: records[folder]["valid_score"])
