"""Score chord roots and keys as means over transpositions.

python -m benchmarks.transpositions --data_root data/finetune [--model models]

Each model below `--model` whose task names pitches is scored on the benchmark's test set, without
transpositions and as the mean over 12.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from m2bert.annotation.models import find_models
from m2bert.base.errors import run_command
from m2bert.finetuning.data import LabelledSegments, read_parts
from m2bert.finetuning.metrics import METRICS
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, nargs="+", required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODELS)
    args = parser.parse_args()
    print(f"{'task':<12}{'transpositions':>14}{'score':>8}{'clean':>8}  model")
    models = find_models([args.model])
    for task in (TASKS[name] for name in models if TASKS[name].names_pitches):
        test, metric = read_parts(task, args.data_root)["test"], METRICS[task.metric]
        for folder in models[task.name]:
            model = load_classifier(folder)
            for transpositions in (1, 12):
                found = predictions(model, test, transpositions)
                scores = [
                    f"{score(test.notes, test.labels, found, task.batch_size).item():8.4f}"
                    for score in (metric.score, metric.clean_score)
                ]
                print(f"{task.name:<12}{transpositions:>14}{''.join(scores)}  {folder}", flush=True)


def predictions(model, data: LabelledSegments, transpositions: int) -> torch.Tensor:
    """The most probable classes, (segments, notes) int64."""
    labels = np.zeros(data.labels.shape, np.int64)
    for row, notes, length in zip(labels, data.notes.numpy(), data.lengths, strict=True):
        found = model.probabilities(notes[:length], None, "fp32", transpositions)
        row[:length] = found.argmax(1)
    return torch.from_numpy(labels)


if __name__ == "__main__":
    run_command(main)
