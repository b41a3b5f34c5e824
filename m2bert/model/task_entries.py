"""A task as JSON: in its file (`finetuning.task_file`), in results and in model folders."""

import re
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, get_args

from m2bert.base.errors import UserError
from m2bert.tasks import LEVEL_METRICS, METRIC_TITLES, TASKS, Task, place_in_fifths

TASK_FORMAT = 1
DEFINITION = "definition"
"""The entry of results and of `config.json` with the entries of a task that is not in `TASKS`."""

_COLUMNS = (
    "index bar beat_in_bar track track_name onset_ticks duration_ticks onset_beats duration_beats "
    "onset_seconds duration_seconds pitch pitch_name midi_velocity marks chord"
)
RESERVED = {
    *_COLUMNS.split(),
    *("key", "chords", "tempo", "time signature"),
    *(word for task in TASKS.values() for word in (task.name, task.title)),
}
"""Names and titles of other things in tables, summaries and folders."""

LONGEST_NAME = 100
"""Bytes of a name, which file names contain twice."""

_NOT_TEXT = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\s|\s$|^$")
_NOT_A_FILE = re.compile(r'[/\\:*?"<>|,]|^\.')  # on any system; a comma separates columns
_REQUIRED = [field.name for field in fields(Task) if field.default is MISSING]


def task_entries(task: Task) -> dict[str, Any]:
    """A task as JSON values, without the entries that have their defaults."""
    given = asdict(task)
    usual = asdict(Task(*(given[name] for name in _REQUIRED)))
    entries = {n: v for n, v in given.items() if n in _REQUIRED or v != usual[n]}
    lists = {n: list(v) for n, v in entries.items() if isinstance(v, tuple)}
    return {"format_version": TASK_FORMAT, **entries, **lists}


def task_from(entries: dict[str, Any], path: Path | str) -> Task:
    """The task with these entries. Raises `UserError`, which names `path`, if they are of another
    version or do not define a task."""
    entries = dict(entries)
    if (found := entries.pop("format_version", None)) != TASK_FORMAT:
        raise UserError(
            f"{path}: the task has format version {found!r}, this release reads {TASK_FORMAT}"
        )
    kinds = {field.name: field.type for field in fields(Task)}
    problems = [
        *(f"{name!r} is not an entry of a task" for name in entries if name not in kinds),
        *(f"the task has no {name}" for name in _REQUIRED if name not in entries),
        *(f"{n} is {v!r}" for n, v in entries.items() if n in kinds and not _is(kinds[n], v)),
    ]
    if not problems:
        lists = {name: tuple(value) for name, value in entries.items() if isinstance(value, list)}
        problems = _problems(task := Task(**(entries | lists)))
    if problems:
        raise UserError(f"{path}: {problems[0]} (docs/own_task.md describes the entries)")
    return task


def definition(task: Task) -> dict[str, Any]:
    """The entry of results and of `config.json` that defines a task; none for one of `TASKS`."""
    return {} if task.name in TASKS else {DEFINITION: task_entries(task)}


def defined_task(entries: dict[str, Any], path: Path | str) -> Task | None:
    """The task of a result or of a `config.json`, which has its name as the entry `task`; None if
    it is neither in `TASKS` nor defined there. Raises `UserError` as `task_from` does."""
    if DEFINITION not in entries:
        return TASKS.get(entries["task"])
    if not isinstance(entries[DEFINITION], dict):
        raise UserError(f"{path}: the definition of the task is damaged")
    task = task_from(entries[DEFINITION], path)
    if task.name != entries["task"]:
        raise UserError(f"{path}: the task {entries['task']!r} is defined as {task.name!r}")
    return task


def _is(kind: Any, value: Any) -> bool:
    """Whether a JSON value has the type of a `Task`'s attribute."""
    if inner := get_args(kind):
        return isinstance(value, list) and all(type(one) is inner[0] for one in value)
    return type(value) is kind


def _problems(task: Task) -> list[str]:
    """What is wrong with the values of a task, as sentences."""
    names, texts = (task.name, task.corpus), (task.title, task.acronym, *task.classes)
    metrics = LEVEL_METRICS.get(task.level, METRIC_TITLES)
    has_other_names = any(place_in_fifths(name) is None for name in task.classes[1:])
    checks = {
        f"the level is {task.level!r}, not note or piece": task.level not in LEVEL_METRICS,
        f"{task.metric!r} is not a metric of tasks of {task.level}s; these are "
        f"{', '.join(metrics)}": task.metric not in metrics,
        "a task needs at least two classes": len(task.classes) < 2,
        "two classes have the same name": len(set(task.classes)) < len(task.classes),
        **{f"{text!r} is not a name": bool(_NOT_TEXT.search(text)) for text in (*names, *texts)},
        **{
            f"{name!r} cannot be part of a file name or header": bool(_NOT_A_FILE.search(name))
            or len(name.encode(errors="replace")) > LONGEST_NAME
            for name in names
        },
        **{
            f"the name {name!r} is reserved: choose another one": name.casefold() in RESERVED
            for name in (task.name, task.title)
        },
        "seeds are not different numbers from 0 to 2^63 - 1": not task.seeds
        or not all(0 <= seed < 2**63 for seed in task.seeds)
        or len(set(task.seeds)) < len(task.seeds),
        "a cross-validation needs at least 3 folds": task.folds not in (0, *range(3, 1000)),
        "moved_to_validation is below 0": task.moved_to_validation < 0,
        f"loss_on is {task.loss_on!r}, not notes or labelled": task.loss_on
        not in ("notes", "labelled"),
        "names_pitches, but the classes have other names": task.names_pitches and has_other_names,
    }
    return [sentence for sentence, is_wrong in checks.items() if is_wrong]
