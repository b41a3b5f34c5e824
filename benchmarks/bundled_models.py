"""Score the bundled models, or other folders of models, on the test sets of the benchmark.

python -m benchmarks.bundled_models DATA_ROOT... [--model models] [--out docs/results/bundled.json]

The models below `--model` are scored as in fine-tuning, on the whole test set of their task
(emotion: on its test fold). "One model" is the first one of a task, to be compared with the
paper's. Several models of a task are also scored by the mean of their probabilities, and those of
tasks that name pitches by means over transpositions. "All averaging" is what `annotate` does:
models, transpositions and overlapping windows. In brackets: the score on the clean grid. With
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
from m2bert.model.transposition import TRANSPOSITIONS
from m2bert.notes.cp import real_notes
from m2bert.notes.windows import STRIDE, WINDOW
from m2bert.tasks import METRIC_TITLES, TASKS, Task

ONE_TRANSPOSED = f"one model, {TRANSPOSITIONS} transpositions"
SCORES = ("one model", "mean of models", ONE_TRANSPOSED, "all averaging")


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
    """The record of a task's models, with `SCORES`, each published and clean."""
    models, record = list(map(load_classifier, folders)), read_record(folders[0])
    data = split(task, read_parts(task, roots), record.get("fold"))[part]

    def score_of(of_classes: np.ndarray) -> tuple[float | None, float | None]:
        return published_and_clean(task, data, torch.from_numpy(of_classes.argmax(-1)))

    found = {
        "task": task.name,
        "models": [folder.name for folder in folders],
        "metric": task.metric,
        "majority_class": record["majority_class_score"],
        "published": record.get("published_score"),
    }
    notes = data.notes.numpy()
    of_segments = [np.stack(window_probabilities(model, notes, "fp32")) for model in models]
    found["one model"] = score_of(of_segments[0])
    if len(models) > 1:
        found["mean of models"] = score_of(np.mean(of_segments, axis=0))
    if task.names_pitches:
        found[ONE_TRANSPOSED] = score_of(of_pieces(models[0], data, WINDOW))
    if task.level == "note":
        every = [of_pieces(model, data, STRIDE) for model in models]
        found["all averaging"] = score_of(np.mean(every, axis=0))
    return found


def of_pieces(model: Classifier, data: LabelledSegments, stride: int) -> np.ndarray:
    """The probabilities of the notes of segments, (segments, notes, classes) float32, from pieces
    that are read in their transpositions, in windows every `stride` notes."""
    notes = data.notes.numpy()
    real, ends = real_notes(notes), np.bincount(data.pieces, data.lengths).cumsum().astype(int)
    pieces = np.split(notes[real], ends[:-1])
    found = np.zeros((*notes.shape[:2], len(model.classes)), np.float32)
    found[real] = np.concatenate(model.probabilities(pieces, stride, "fp32", TRANSPOSITIONS))
    return found


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
        *((name, score_and_clean_one(name)) for name in SCORES),
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
