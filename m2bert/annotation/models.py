"""The fine-tuned models in a folder, and the best of those of one task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from m2bert.annotation.meter import has_written_bars
from m2bert.annotation.warnings import is_single_line
from m2bert.base.errors import UserError
from m2bert.base.files import read_json
from m2bert.model.classifiers import task_in
from m2bert.model.folder import (
    BUNDLED_MODELS,
    CONFIG_FILE,
    FACTS_FILE,
    MODELS_OF_A_RUN,
    read_record,
)
from m2bert.notes.song import Song
from m2bert.tasks import METRIC_TITLES, TASKS, Task

VELOCITY_TASK = "velocity"

VOICE_TASK = "melody"
"""The task whose classes are voices."""

BEAT_TASKS = ("beat", "downbeat")
"""Tasks of which `labels.Annotation.beats` is decoded."""

OTHER_NAMES = {"chord": "chordroot", "root": "chordroot", "key": "localkey"}
"""Names of tasks besides their names and titles, in the singular."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a model; None where they were not recorded.

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
        """The facts in a model's folder. Raises `UserError` if it is damaged."""
        record, parts = read_record(folder), folder.resolve().parts
        in_run = parts[-1] in MODELS_OF_A_RUN
        return cls(
            name="/".join(parts[-3:-1] if in_run else parts[-1:]),
            metric=METRIC_TITLES.get(record.get("metric", "")),
            valid_score=record.get("valid_score"),
            test_score=record.get("test_score"),
            licence=record.get("licence"),
            limits=record.get("limits"),
        )


def task_named(text: str, tasks: Mapping[str, Task] = TASKS) -> str | None:
    """The one of `tasks` with this name, title, or name in `OTHER_NAMES`, in the singular or
    plural; None if there is none."""
    known = {
        _singular(word): task.name for task in tasks.values() for word in (task.name, task.title)
    }
    return text if text in tasks else (OTHER_NAMES | known).get(_singular(text))


def _singular(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold())).removesuffix("s")


def find_models(
    folders: Sequence[Path], tasks: Sequence[str] | None = None
) -> dict[str, list[Path]]:
    """The fine-tuned models in some folders and below them, by task: those of `tasks.TASKS` in that
    order, then others.

    tasks: the wanted ones, by any of their names (`task_named`); None for all that have models.

    Raises `UserError` for a folder without models, a wanted task without a model, two
    models of a task with different classes, and a damaged configuration. Weights are not read.
    """
    found: dict[str, list[Path]] = {}
    known: dict[str, Task] = {}
    for folder, task in (model for above in folders for model in _models_below(above)):
        others = found.setdefault(task.name, [])
        first = known.setdefault(task.name, task)
        if (task.level, task.classes) != (first.level, first.classes):
            raise UserError(
                f"{others[0]} and {folder} are models of {task.name} with different classes: give "
                "one of them"
            )
        if folder not in others:
            others.append(folder)
    wanted = found if tasks is None else {task_named(text, TASKS | known): text for text in tasks}
    order = [name for name in dict.fromkeys((*TASKS, *found)) if name in found]
    for name, text in wanted.items():
        if name not in found:
            available = ", ".join(known[name].title for name in order)
            places = ", ".join(map(str, folders))
            raise UserError(f"{places} has no model of {text}; it has {available}")
    return {name: found[name] for name in order if name in wanted}


def _models_below(folder: Path) -> list[tuple[Path, Task]]:
    """The fine-tuned models in a folder and below it, with their tasks."""
    if folder.is_file():
        raise UserError(f"{folder} is a file: name the folder of a fine-tuned model, or one above")
    if not folder.exists():
        raise UserError(f"there is no folder {folder}")
    found = []
    paths = sorted(folder.rglob(CONFIG_FILE))
    if folder.resolve() == BUNDLED_MODELS.resolve():  # not models of one's own beside them
        bundled = {folder / name for name in read_json(FACTS_FILE)}
        paths = [path for path in paths if path.parent in bundled]
    for path in paths:
        if read_json(path).get("task") is not None:
            found.append((path.parent, task_in(path.parent)))
    if not found:
        raise UserError(
            f"{folder} contains no fine-tuned model: train one with "
            "`python -m m2bert.finetune ... --save_ckpt`"
        )
    return found


def needed_models(
    song: Song, models: dict[str, list[Path]], tasks: Sequence[str] | None
) -> dict[str, list[Path]]:
    """Those of `find_models` that label a song: all if tasks are wanted or there would be none;
    else without velocities if the file has several, without beats and downbeats if it has bars, and
    without melody if it is a single line."""
    needless: set[str] = set()
    if len(np.unique(song.notes.velocity[~song.is_drum])) > 1:
        needless.add(VELOCITY_TASK)
    if has_written_bars(song):
        needless.update(BEAT_TASKS)
    if is_single_line(song):
        needless.add(VOICE_TASK)
    needed = {task: folders for task, folders in models.items() if task not in needless}
    return models if tasks is not None else needed or models


def best_model(folders: list[Path]) -> Path:
    """The model with the highest validation score, the first of equal ones. Raises `UserError` if
    one was saved without its score."""
    scores: dict[Path, float] = {}
    for folder in folders:
        if (score := ModelFacts.of(folder).valid_score) is None:
            raise UserError(f"{folder} has no validation score: use --which all")
        scores[folder] = score
    return max(folders, key=scores.__getitem__)
