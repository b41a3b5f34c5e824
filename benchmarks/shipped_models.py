"""Score the bundled models, or other folders of models, on the test sets of the benchmark.

python -m benchmarks.shipped_models DATA_ROOT... [--model models] [--out docs/results/bundled.json]

Each model below `--model` is scored as in fine-tuning, on the whole test set of its task (emotion:
on fold 0, which the bundled model was not trained on); several models of a task also as the mean of
their probabilities. Those of tasks that name pitches are also scored as means over transpositions.
"Published" is the score of the paper's model, one model without transpositions. With
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
from m2bert.model.folder import SHIPPED_MODELS, read_record
from m2bert.model.predictions import window_probabilities
from m2bert.model.transposition import OCTAVE
from m2bert.tasks import METRIC_TITLES, TASKS, Task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, nargs="+", default=[SHIPPED_MODELS])
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--out", type=Path, help="also write the scores as JSON")
    args = parser.parse_args()
    records = [
        record
        for name, folders in find_models(args.model).items()
        for record in scores(TASKS[name], folders, args.data_root, args.part)
    ]
    print(terminal_text(table(records)))
    if args.out:
        args.out.write_text(json.dumps(records, indent=1) + "\n")


def scores(task: Task, folders: Sequence[Path], roots: Sequence[Path], part: str) -> list[dict]:
    """The records of a task's models and, of several, of their mean."""
    data = split(task, read_parts(task, roots), 0 if task.folds else None)[part]
    found: dict[str, list[np.ndarray]] = {}
    record = read_record(folders[0])
    for folder in folders:
        model = load_classifier(folder)
        found[folder.name] = [probabilities(model, data, 1)]
        if task.names_pitches:
            found[folder.name].append(probabilities(model, data, OCTAVE))
    if len(found) > 1:
        name = f"mean of {len(found)} models"
        found[name] = [np.mean(its, axis=0) for its in zip(*found.values(), strict=True)]
    names = ("score", "clean_score", "transposed_score", "transposed_clean_score")
    records = []
    for name, its in found.items():
        labels = (torch.from_numpy(of_classes.argmax(-1)) for of_classes in its)
        values = (value for each in labels for value in published_and_clean(task, data, each))
        records.append(
            {
                "task": task.name,
                "model": name,
                "metric": task.metric,
                **dict(zip(names, values, strict=False)),
                "majority_class": record["commonest_class_score"],
                "published": record.get("published_score"),
            }
        )
    return records


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
        *((name, itemgetter(name)) for name in ("task", "model")),
        ("metric", lambda record: METRIC_TITLES[record["metric"]]),
        score_column("score", "score"),
        score_column("clean grid", "clean_score"),
        score_column(f"{OCTAVE} transpositions", "transposed_score"),
        score_column("clean grid", "transposed_clean_score"),
        score_column("majority class", "majority_class"),
        score_column("published", "published"),
    )
    return Table("Bundled models", columns, records)


if __name__ == "__main__":
    run_command(main)
