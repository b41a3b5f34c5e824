"""Score the bundled models, or other folders of models.

python -m benchmarks.shipped_models --data_root data/finetune [--model models]

Each model below `--model` is scored as in fine-tuning, on the whole test set of its task (emotion:
on fold 0, which the bundled model was not trained on).
"""

import argparse
from pathlib import Path

import torch

from m2bert.annotation.models import find_models
from m2bert.base.errors import run_command
from m2bert.finetuning.data import read_parts, split
from m2bert.finetuning.metrics import METRICS
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.model.predictions import window_probabilities
from m2bert.tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, nargs="+", required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODELS)
    args = parser.parse_args()
    print(f"{'task':<12}{'score':>8}{'clean':>8}  model")
    for name, folders in find_models([args.model]).items():
        task = TASKS[name]
        test = split(task, read_parts(task, args.data_root), 0 if task.folds else None)["test"]
        metric = METRICS[task.metric]
        for folder in folders:
            found = window_probabilities(load_classifier(folder), test.notes.numpy(), "fp32")
            predictions = torch.from_numpy(found.argmax(-1))
            scores = [
                f"{score(test.notes, test.labels, predictions, task.batch_size).item():8.4f}"
                for score in (metric.score, metric.clean_score)
                if score
            ]
            print(f"{name:<12}{''.join(scores):<16}  {folder}")


if __name__ == "__main__":
    run_command(main)
