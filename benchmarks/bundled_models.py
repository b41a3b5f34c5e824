"""Score the bundled models, or other folders of models, on the test sets of the benchmark.

python -m benchmarks.bundled_models DATA_ROOT... [--model models] [--out docs/results/bundled.json]

The models below `--model` are scored as in fine-tuning, on the whole test set of their task
(emotion: on its test fold). "One model" is the first one of a task, to be compared with the
paper's. Several models of a task are also scored by the mean of their probabilities, and those of
tasks that name pitches by means over transpositions. In brackets: the score on the clean grid. With
`--part valid`, validation sets are scored instead.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch

from m2bert.annotation.models import find_models
from m2bert.base.errors import run_command
from m2bert.base.tables import Table, decimals, terminal_text
from m2bert.finetuning.data import LabelledSegments, read_parts, split
from m2bert.finetuning.metrics import METRICS
from m2bert.finetuning.run import rounded
from m2bert.model.classifiers import Classifier, load_classifier
from m2bert.model.folder import BUNDLED_MODELS, read_record
from m2bert.model.predictions import window_probabilities
from m2bert.model.transposition import OCTAVE
from m2bert.tasks import METRIC_TITLES, TASKS, Task

AVERAGES = (
    (1, "one model", "mean of models"),
    (OCTAVE, f"one model, {OCTAVE} transpositions", f"mean of models, {OCTAVE} transpositions"),
)
"""Numbers of transpositions, with the names of the scores of one model and of several."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, nargs="+", default=[BUNDLED_MODELS])
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--out", type=Path, help="also write the scores as JSON")
    args = parser.parse_args()
    models = find_models(args.model).items()
    records = [scores(TASKS[name], folders, args.data_root, args.part) for name, folders in models]
    print(terminal_text(table(records)))
    if args.out:
        args.out.write_text(json.dumps(records, indent=1) + "\n")


def scores(task: Task, folders: Sequence[Path], roots: Sequence[Path], part: str) -> dict:
    """The record of a task's models: scores and clean scores of the first one, of the mean of all,
    and of both averaged over transpositions."""
    models, record = list(map(load_classifier, folders)), read_record(folders[0])
    data = split(task, read_parts(task, roots), record.get("fold"))[part]
    found = {
        "task": task.name,
        "models": [folder.name for folder in folders],
        "metric": task.metric,
        "majority_class": record["majority_class_score"],
        "published": record.get("published_score"),
    }
    for transpositions, one, several in AVERAGES if task.names_pitches else AVERAGES[:1]:
        of_models = [probabilities(model, data, transpositions) for model in models]
        means = {one: of_models[0]}
        if len(models) > 1:
            means[several] = np.mean(of_models, axis=0)
        for name, of_classes in means.items():
            labels = torch.from_numpy(of_classes.argmax(-1))
            found[name] = published_and_clean(task, data, labels)
    return found


def probabilities(model: Classifier, data: LabelledSegments, transpositions: int) -> np.ndarray:
    """Those of the classes, (segments, notes, classes) or, of pieces, (segments, classes)."""
    notes = data.notes.numpy()
    if transpositions == 1:
        return np.stack(window_probabilities(model, notes, "fp32"))
    of_segments = np.zeros((*notes.shape[:2], len(model.classes)), np.float32)
    pieces = [segment[:length] for segment, length in zip(notes, data.lengths, strict=True)]
    found = model.probabilities(pieces, None, "fp32", transpositions)
    for row, its in zip(of_segments, found, strict=True):
        row[: len(its)] = its
    return of_segments


def published_and_clean(
    task: Task, data: LabelledSegments, labels: torch.Tensor
) -> tuple[float | None, float | None]:
    """The published score, and the one on the clean grid."""
    metric = METRICS[task.metric]
    score, clean = (
        of and rounded(of(data.notes, data.labels, labels, task.batch_size).item())
        for of in (metric.score, metric.clean_score)
    )
    return score, clean


def score_column(title: str, name: str) -> tuple[str, Callable[[dict], str]]:
    """A column of scores without the zero before the point."""
    return title, lambda record: decimals(record.get(name)).removeprefix("0")


def table(records: list[dict]) -> Table:
    columns = (
        ("task", itemgetter("task")),
        ("models", lambda record: ", ".join(record["models"])),
        ("metric", lambda record: METRIC_TITLES[record["metric"]]),
        *((name, score_and_clean_one(name)) for row in AVERAGES for name in row[1:]),
        score_column("majority class", "majority_class"),
        score_column("published", "published"),
    )
    return Table("Bundled models", columns, records)


def score_and_clean_one(name: str) -> Callable[[dict], str]:
    """The cell of a score, with the one on the clean grid in brackets if there is one."""

    def cell(record: dict) -> str:
        score, clean = (decimals(of).removeprefix("0") for of in record.get(name, (None, None)))
        return f"{score} ({clean})" if clean else score

    return cell


if __name__ == "__main__":
    run_command(main)
