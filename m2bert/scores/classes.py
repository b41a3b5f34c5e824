"""Classes: the confusion matrix of each task over all of its runs, and the scores from it."""

from operator import itemgetter
from pathlib import Path

import numpy as np

from m2bert.base.errors import UserError
from m2bert.base.tables import Table
from m2bert.scores.results import Results, name_runs, tasks_of
from m2bert.scores.table import number_column
from m2bert.tasks import Task

Confusion = tuple[list[str], np.ndarray]
"""Names of the classes that occur, as true or as predicted ones, in the order of their labels; and
the number of notes or segments by true and predicted class, int64 (classes, classes)."""


def confusions(results: Results) -> dict[str, Confusion]:
    """The confusion matrix of each task, summed over its runs; not of tasks without classes.

    Raises `UserError` if one is malformed.
    """
    summed = {
        name: _sum({run: results[run] for run in results if run.task == name}, task)
        for name, task in tasks_of(results).items()
    }
    return {task: confusion for task, confusion in summed.items() if confusion[0]}


def _sum(results: Results, task: Task) -> Confusion:
    names: dict[int, str] = {}
    cells: list[np.ndarray] = []
    for run, result in results.items():
        try:
            names |= {entry["label"]: entry["name"] for entry in result["per_class"]}
            cells.append(np.array(result["confusion"], np.int64).reshape(-1, 3))
            if not names.keys() >= set(cells[-1][:, :2].flat):
                raise ValueError("there are classes without a name")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the confusion matrix of {name_runs([run], {task.name: task})} is malformed "
                f"({error}): remove its result and train it again"
            ) from error
    labels = np.array(sorted(names))
    true, predicted, count = np.concatenate(cells).T
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (np.searchsorted(labels, true), np.searchsorted(labels, predicted)), count)
    return [names[label] for label in labels], counts


def class_table(results: Results, source: Path) -> Table:
    """One row per task and class that occurs.

    Records: acronym, task, class, precision, recall, f1, support; a score that is 0/0 is None.
    """
    records, tasks = [], tasks_of(results)
    for task, (names, counts) in confusions(results).items():
        columns = names, np.diag(counts), counts.sum(0), counts.sum(1)
        for name, correct, predicted, support in zip(*columns, strict=True):
            records.append(
                {
                    "acronym": tasks[task].acronym,
                    "task": task,
                    "class": name,
                    "precision": _ratio(correct, predicted),
                    "recall": _ratio(correct, support),
                    "f1": _ratio(2 * correct, predicted + support),
                    "support": int(support),
                }
            )
    return Table(
        heading=f"Classes in {source}",
        columns=[
            ("", itemgetter("acronym")),
            ("task", itemgetter("task")),
            ("class", itemgetter("class")),
            number_column("precision", "precision"),
            number_column("recall", "recall"),
            number_column("F1", "f1"),
            ("support", lambda row: str(row["support"])),
        ],
        records=records,
        notes=["All runs of a task together; support: notes or segments of the class."],
    )


def _ratio(numerator: int, denominator: int) -> float | None:
    return round(float(numerator / denominator), 6) if denominator else None
