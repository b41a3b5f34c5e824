"""Score the bundled models, or other folders of models.

python -m benchmarks.shipped_models --data_root data/finetune [--model models] [--transpositions 12]

Each model below `--model` is scored as in fine-tuning, on the whole test set of its task (emotion:
on fold 0, which the bundled model was not trained on). With `--transpositions N`, those of tasks
that name pitches are scored as means over N transpositions.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from m2bert.annotation.models import find_models
from m2bert.base.arguments import checked
from m2bert.base.errors import run_command
from m2bert.finetuning.data import LabelledSegments, read_parts, split
from m2bert.finetuning.metrics import METRICS
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.model.predictions import window_probabilities
from m2bert.model.transposition import check_transpositions
from m2bert.tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, nargs="+", required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--transpositions", type=checked(check_transpositions), default=1)
    args = parser.parse_args()
    print(f"{'task':<12}{'score':>8}{'clean':>8}  model")
    for name, folders in find_models([args.model]).items():
        task = TASKS[name]
        if args.transpositions > 1 and not task.names_pitches:
            continue
        test = split(task, read_parts(task, args.data_root), 0 if task.folds else None)["test"]
        metric = METRICS[task.metric]
        for folder in folders:
            labels = predictions(load_classifier(folder), test, args.transpositions)
            scores = [
                f"{score(test.notes, test.labels, labels, task.batch_size).item():8.4f}"
                for score in (metric.score, metric.clean_score)
                if score
            ]
            print(f"{name:<12}{''.join(scores):<16}  {folder}")


def predictions(model, data: LabelledSegments, transpositions: int) -> torch.Tensor:
    """The most probable classes, (segments, notes) or, of pieces, (segments,) int64."""
    if transpositions == 1:
        found = window_probabilities(model, data.notes.numpy(), "fp32")
        return torch.from_numpy(np.stack(found).argmax(-1))
    labels = np.zeros(data.labels.shape, np.int64)
    pieces = [n[:length] for n, length in zip(data.notes.numpy(), data.lengths, strict=True)]
    found = model.probabilities(pieces, None, "fp32", transpositions)
    for row, probabilities in zip(labels, found, strict=True):
        row[: len(probabilities)] = probabilities.argmax(1)
    return torch.from_numpy(labels)


if __name__ == "__main__":
    run_command(main)
