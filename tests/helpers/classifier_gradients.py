"""Run by torchrun: train classifiers for an epoch without dropout and keep all gradients.

python tests/helpers/classifier_gradients.py OUT
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from m2bert.base.processes import Processes, start_processes
from m2bert.base.recipes import Recipe
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.model.classifiers import CLASSIFIERS
from m2bert.model.tensors import save_tensors
from m2bert.tasks import TASKS
from tests.helpers.synthetic import random_segments
from tests.helpers.task_files import SMALL, labels_for

SEGMENTS, BATCH_SIZE = 10, 3
"""The last batch has one segment: of two processes one has nothing to do."""


def gradients(processes: Processes) -> dict[str, Tensor]:
    """Gradients of every step, and what the training and an evaluation after it gave."""
    kept = {}
    for name, index_layer in (("melody", 12), ("texture", 11), ("composer", 12)):
        for key, tensor in train(processes, name, index_layer).items():
            kept[f"{name}.{key}"] = tensor
    return kept


def labelled(name: str) -> LabelledSegments:
    """Segments of random lengths with labels of a task."""
    notes = random_segments(np.random.default_rng(0), SEGMENTS, 24, shortest=5)
    labels = labels_for(TASKS[name], notes)
    return LabelledSegments(torch.from_numpy(notes), torch.from_numpy(labels).short())


def train(processes: Processes, name: str, index_layer: int) -> dict[str, Tensor]:
    task, data = TASKS[name], labelled(name)
    if task.loss_on == "labelled":
        data.labels[3:] = 0  # of the four batches one at least teaches nothing
    torch.manual_seed(processes.index)  # wrapping gives all processes the weights of the first
    config = replace(SMALL, dropout=0.0)
    trainer = ClassifierTrainer(
        CLASSIFIERS[task.level](config, task.classes, index_layer),
        task,
        batch_size=BATCH_SIZE,
        recipe=Recipe(epochs=1, lr=1e-4),
        seed=1,
        processes=processes,
        precision="fp32",
    )
    kept = {}

    def keep_gradients(batches: list[np.ndarray], _: str) -> Iterator[np.ndarray]:
        for number, rows in enumerate(batches):
            yield rows
            weights = trainer.model.parameters()
            gradients = [w.grad.flatten() for w in weights if w.grad is not None]
            kept[f"gradient_{number}"] = torch.cat(gradients)

    trained = trainer.train_epoch(data, 1, keep_gradients)
    evaluated = trainer.evaluate(data, "", lambda batches, _: batches)
    for which, scores in (("trained", trained), ("evaluated", evaluated)):
        kept[f"{which}.figures"] = torch.tensor([scores.loss, scores.score])
        counted = trainer.metric.counted(data.notes, data.labels)
        kept[f"{which}.predictions"] = scores.predictions[counted]
    return kept


if __name__ == "__main__":
    processes = start_processes(cpu=True)
    kept = gradients(processes)
    save_tensors(Path(sys.argv[1]).with_suffix(f".{processes.index}"), kept, {})
    processes.end()
