"""The runs of a command, and what they have in common."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from m2bert.base.errors import UserError
from m2bert.base.settings import check_settings
from m2bert.finetuning.data import has_data
from m2bert.finetuning.result import RESULT_FILE, folder_of_run
from m2bert.finetuning.task_file import read_tasks
from m2bert.model.classifiers import CLASSIFIERS, Classifier
from m2bert.model.config import M2BertConfig, with_dropout
from m2bert.model.pretrained import Backbone, choose_model
from m2bert.model.tensors import without_weights
from m2bert.tasks import TASKS, Task

OPTIONS = ("freeze", "transpose", "last_class_weight", "balance", "patience")
"""Flags that the paper's fine-tuning does not have, recorded where they are given."""


class PlannedRun(NamedTuple):
    """A requested run; fold is None without a cross-validation."""

    task: Task
    seed: int
    fold: int | None
    folder: Path

    @property
    def name(self) -> str:
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.task.name}, seed {self.seed}{fold}"

    @property
    def result_file(self) -> Path:
        return self.folder / RESULT_FILE

    @property
    def is_finished(self) -> bool:
        return self.result_file.exists()


@dataclass(frozen=True)
class Setup:
    """What all runs of a command have in common.

    Attributes:
        args: the arguments of `python -m m2bert.finetune`; its precision is "fp32" or "bf16".
        config: what the encoder is built from.
        backbone: the pre-trained encoder; None starts from random weights.
        settings: everything but task, seed and fold that a result depends on.
    """

    args: argparse.Namespace
    device: torch.device
    config: M2BertConfig
    backbone: Backbone | None
    settings: dict

    def new_model(self, task: Task) -> Classifier:
        """A classifier for a task, its head drawn from torch's current seed."""
        kind = CLASSIFIERS[task.level]

        def build() -> Classifier:
            return kind(self.config, task, self.args.index_layer)

        if not self.backbone:
            return build()
        tensors = self.backbone.model.state_dict()
        if self.device.type == "cpu":
            model = build()
            model.backbone.load_state_dict(tensors)
        else:  # Drawing weights to be overwritten takes seconds per run. The head differs from that
            # of the same seed on a CPU.
            model = without_weights(build)
            model.backbone.load_state_dict(tensors, assign=True)
            model.add_head()
        return model


def set_up(args: argparse.Namespace, device: torch.device) -> Setup:
    """Read and check what all runs have in common.

    Raises `UserError` for a checkpoint that cannot be used, and for a `--save_root` with results of
    other settings.
    """
    config, backbone = choose_model(args.ckpt, args.preset, args.index_layer)
    config = with_dropout(config, args.recipe.dropout)
    backbone = None if args.nopretrain else backbone
    settings = finetuning_settings(args, config, backbone)
    check_settings(args.save_root, settings, "--save_root")
    return Setup(args, device, config, backbone, settings)


def plan_runs(args: argparse.Namespace) -> list[PlannedRun]:
    """All requested runs, finished or not, task by task."""
    own = read_tasks(args.data_root)
    tasks = TASKS | own
    names = args.task or [n for n in tasks if n in own or has_data(tasks[n], args.data_root)]
    for name in names:
        if name not in tasks:
            raise UserError(f"there is no task {name}; the tasks are {', '.join(tasks)}")
    if not names:
        folders = " or ".join(map(str, dict.fromkeys(args.data_root)))
        raise UserError(
            f"there is no data of any task in {folders}: make it with "
            "scripts/prepare_smc_benckmark.sh"
        )
    return [
        PlannedRun(task, seed, fold, folder_of_run(args.save_root, name, seed, fold))
        for name in names
        for task in [tasks[name]]
        for seed in args.seed or task.seeds
        for fold in chosen_folds(task, args.fold)
    ]


def chosen_folds(task: Task, folds: list[int] | None) -> list[int | None]:
    """The test folds of a task that are among `folds`, all if that is None. A task without a
    cross-validation has no folds to choose from."""
    if not folds or not task.folds:
        return list(task.test_folds)
    if missing := set(folds).difference(task.test_folds):
        raise UserError(
            f"--fold: {task.name} has folds 0 to {task.folds - 1}, there is no fold {min(missing)}"
        )
    return [fold for fold in task.test_folds if fold in folds]


def finetuning_settings(
    args: argparse.Namespace, config: M2BertConfig, backbone: Backbone | None
) -> dict:
    """Everything but task, seed and fold that a result depends on."""
    model = asdict(config)
    del model["pianoroll"]  # of a head that fine-tuning does not use
    return {
        "pretrained": backbone is not None,
        "checkpoint_sha256": backbone.sha256[:16] if backbone else None,
        "model": model,
        "index_layer": args.index_layer,
        "epochs": args.recipe.epochs,
        "batch_size": args.batch_size,
        "lr": args.recipe.lr,
        "precision": args.precision,
        **args.recipe.changes(),
        **{name: getattr(args, name) for name in OPTIONS if getattr(args, name)},
    }
