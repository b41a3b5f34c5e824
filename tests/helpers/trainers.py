"""Trainers of small models on random segments, on any device."""

import numpy as np
import torch

from m2bert.base.processes import Processes
from m2bert.base.recipes import Recipe
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.model.classifiers import Classifier
from m2bert.model.config import PRESETS, M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.notes.cp import real_notes
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.step import Trainer
from m2bert.tasks import TASKS
from tests.helpers.synthetic import random_segments
from tests.helpers.task_files import labels_for

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, lr=1e-2)


def make_batch(rows: int = 6, length: int = 48) -> dict:
    """A batch of pre-training, as an item of `Batches`."""
    notes = torch.from_numpy(random_segments(np.random.default_rng(0), rows, length))
    keys = torch.arange(rows)
    return {
        "notes": notes,
        "keys": keys,
        "counted": torch.ones(rows, dtype=torch.bool),
        "bars": length + 1,
        "padded": True,
        "selected": float(Objective().corrupt(notes, keys).selected.sum()),
        "real": float(real_notes(notes).sum()),
    }


def pretrainer(
    device: torch.device = CPU,
    precision: str = "fp32",
    config: M2BertConfig = PRESETS["tiny"],
    **more,
) -> Trainer:
    torch.manual_seed(0)
    model, processes = M2BertForPreTraining(config), Processes(device)
    return Trainer(model, Objective(), processes, precision=precision, lr=1e-3, seed=1, **more)


def labelled(name: str, count: int = 10, length: int = 24) -> LabelledSegments:
    """Segments of random lengths with labels of a task that can be learnt."""
    notes = random_segments(np.random.default_rng(0), count, length, shortest=5)
    labels = labels_for(TASKS[name], notes)
    return LabelledSegments(torch.from_numpy(notes), torch.from_numpy(labels).short())


def finetuner(
    model: Classifier,
    device: torch.device = CPU,
    precision: str = "fp32",
    recipe: Recipe = RECIPE,
    **more,
) -> ClassifierTrainer:
    settings = {"batch_size": 4, "recipe": recipe, "seed": 1, "precision": precision} | more
    return ClassifierTrainer(model, model.task, device=device, **settings)
