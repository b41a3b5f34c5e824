"""Fine-tuning: a pre-trained model and the benchmark's data in, a result for every run out
(docs/METHOD.md, "Fine-tuning").

    python -m m2bert.finetune --ckpt runs/pretrain --data_root data/finetune --task melody

A run is a task, a seed and, in a cross-validation, a fold. The same command again keeps the runs
that have finished and goes on with the others. Several commands at a time share the runs; several
processes of one command (`torchrun`, `accelerate launch`) train the same batches together.
"""

import argparse
import json
import platform
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch

from m2bert import attention
from m2bert.arguments import count, not_negative, whole
from m2bert.checkpoint import Backbone
from m2bert.classifiers import CLASSIFIERS, Classifier
from m2bert.devices import choose_precision
from m2bert.errors import UserError, run_command, tell
from m2bert.files import try_lock, write_text
from m2bert.finetuning_run import MODEL_FOLDER, FineTuningRun, Options
from m2bert.labelled_segments import LabelledSegments, TaskData, has_data, read_parts, split
from m2bert.model import LAST_LAYER, PRESETS, M2BertConfig
from m2bert.model_choice import choose_model
from m2bert.processes import Processes, start_processes
from m2bert.result_files import (
    FORMAT_VERSION,
    RESULT_FILE,
    folder_of_run,
    read_result,
)
from m2bert.seeds import seed_of_run
from m2bert.settings import claim_folder, refuse_other_settings
from m2bert.tasks import TASKS, Task

SOME_TASKS_FAILED = 3
"""Exit status where the other tasks were trained."""

LIBRARIES = ("torch", "transformers", "numpy", "scikit-learn")


class PlannedRun(NamedTuple):
    """A run that is asked for; fold is None where there is no cross-validation."""

    task: Task
    seed: int
    fold: int | None
    folder: Path

    @property
    def name(self) -> str:
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.task.labels}, seed {self.seed}{fold}"

    @property
    def result_file(self) -> Path:
        return self.folder / RESULT_FILE

    @property
    def is_finished(self) -> bool:
        return self.result_file.exists()


@dataclass(frozen=True)
class Setup:
    """What all runs of a command share.

    Attributes:
        backbone: the pre-trained encoder; None starts from random weights.
        settings: everything but task, seed and fold that a result depends on.
    """

    save_root: Path
    data_roots: list[Path]
    config: M2BertConfig
    backbone: Backbone | None
    index_layer: int
    options: Options
    settings: dict

    @property
    def processes(self) -> Processes:
        return self.options.processes

    def new_model(self, task: Task) -> Classifier:
        """A classifier for a task, its head drawn from torch's current seed."""
        kind = CLASSIFIERS[task.level]
        model = kind(self.config, task.classes, self.index_layer, task.labels)
        if self.backbone:
            model.backbone.load_state_dict(self.backbone.tensors)
        return model


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.finetune",
        description="Fine-tune a pre-trained model on tasks of SMCBenchmark. The same command "
        "again keeps finished runs and goes on with the others.",
        allow_abbrev=False,  # the script looks for --save_root
    )
    add = parser.add_argument
    add("--task", nargs="+", metavar="NAME", help=f"tasks: {', '.join(TASKS)} (all)")
    add("--ckpt", type=Path, help="model folder, pre-training run, or .ckpt of the original")
    add("--nopretrain", action="store_true", help="start from random weights")
    add("--data_root", type=Path, nargs="+", required=True, help="folders of the tasks' npy files")
    add("--save_root", type=Path, default=Path("runs/finetune"), help="folder of the results")
    add("--seed", type=whole, nargs="+", help="seeds (those of each task)")
    add("--preset", choices=PRESETS, help="size of a .ckpt or of random weights (base)")
    add("--index_layer", type=int, default=LAST_LAYER, help="layer that is read (12, the last)")
    add("--class_num", type=count, help="number of classes (that of the task)")
    add("--epochs", type=count, default=10, help="epochs of a run (10)")
    add("--batch_size", type=count, help="segments of a training batch (6, of pieces 12)")
    add("--lr", type=not_negative, default=2e-5, help="learning rate (2e-5)")
    add("--save_ckpt", action="store_true", help="keep the weights of each run's best epoch")
    add("--precision", choices=("fp32", "bf16"), help="(bf16 on a GPU that has it, else fp32)")
    add("--cpu", action="store_true", help="train on the CPU although there is a GPU")
    add("--num_workers", type=whole, default=0, help="accepted, not needed: data is in memory")
    args = parser.parse_args()
    for flag in ("task", "seed"):
        values = getattr(args, flag) or []
        if len(set(values)) < len(values):
            parser.error(f"--{flag} names one twice")
    if args.ckpt is None and not args.nopretrain:
        parser.error("give a pre-trained model with --ckpt, or --nopretrain")
    return args


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)
    args = parse_arguments()
    processes = start_processes(args.cpu)
    with processes.as_one():
        setup = set_up(args, processes)
        runs = plan_runs(args)
    introduce(setup, runs)
    if args.task is None:
        name_missing_tasks(setup, runs)
    status = fine_tune(runs, setup)
    processes.end()
    return status


# What is to be done --------------------------------------------------------------------------


def set_up(args: argparse.Namespace, processes: Processes) -> Setup:
    """Read and check what all runs share."""
    args.precision = choose_precision(args.precision, processes.device)
    config, backbone = choose_model(args.ckpt, args.preset, args.index_layer)
    backbone = None if args.nopretrain else backbone
    setup = Setup(
        save_root=args.save_root,
        data_roots=args.data_root,
        config=config,
        backbone=backbone,
        index_layer=args.index_layer,
        options=Options(
            epochs=args.epochs,
            lr=args.lr,
            batch_size=args.batch_size,
            processes=processes,
            precision=args.precision,
            save_ckpt=args.save_ckpt,
        ),
        settings=settings_of(args, config, backbone),
    )
    refuse_other_settings(setup.save_root, setup.settings, "--save_root")
    return setup


def plan_runs(args: argparse.Namespace) -> list[PlannedRun]:
    """All runs that are asked for, finished or not, task by task."""
    names = args.task or [name for name in TASKS if has_data(TASKS[name], args.data_root)]
    for name in names:
        if name not in TASKS:
            raise UserError(f"there is no task {name}; the tasks are {', '.join(TASKS)}")
    if not names:
        folders = " or ".join(map(str, dict.fromkeys(args.data_root)))
        raise UserError(
            f"there is no data of any task in {folders}: make it with "
            "scripts/prepare_smc_benckmark.sh"
        )
    return [
        PlannedRun(task, seed, fold, folder_of_run(args.save_root, name, seed, fold))
        for name in names
        for task in [with_classes(TASKS[name], args.class_num)]
        for seed in args.seed or task.seeds
        for fold in (range(task.folds) if task.folds else [None])
    ]


def with_classes(task: Task, class_num: int | None) -> Task:
    """The task with another number of classes; those that it has no name for get a number."""
    if class_num is None:
        return task
    names = [*task.classes, *(f"class {k}" for k in range(len(task.classes), class_num))]
    return replace(task, classes=tuple(names[:class_num]))


def settings_of(args: argparse.Namespace, config: M2BertConfig, backbone: Backbone | None) -> dict:
    """Everything but task, seed and fold that a result depends on."""
    names = ("index_layer", "class_num", "epochs", "batch_size", "lr", "precision")
    model = asdict(config)
    del model["pianoroll"]  # a head that fine-tuning leaves aside
    return {
        "pretrained": backbone is not None,
        "checkpoint_sha256": backbone.sha256[:16] if backbone else None,
        "model": model,
        **{name: getattr(args, name) for name in names},
    }


# Doing it ------------------------------------------------------------------------------------


def fine_tune(runs: list[PlannedRun], setup: Setup) -> int:
    """Do the runs that neither are finished nor under way elsewhere; returns the exit status."""
    failed = False
    for _, group in groupby(runs, key=lambda run: run.task.labels):
        try:
            of_task = list(group)
            with setup.processes.as_one():
                parts = read_parts(of_task[0].task, setup.data_roots)
            for run in of_task:
                do_unless_done(run, parts, setup)
        except UserError as error:
            failed = True
            tell(error)
    finished = sum(run.is_finished for run in runs)
    setup.processes.say(
        f"{finished} of {len(runs)} runs are finished; "
        f"the table: python -m m2bert.results {setup.save_root}"
    )
    return SOME_TASKS_FAILED if failed else 0


def do_unless_done(run: PlannedRun, parts: dict[str, LabelledSegments], setup: Setup) -> None:
    """Do a run that is neither finished nor under way by another command."""
    with setup.processes.as_one():
        data = split(run.task, parts, run.fold)
    with ExitStack() as held:
        if setup.processes.from_main(partial(take, run, data, setup, held)):
            do_run(run, data, setup)


def take(run: PlannedRun, data: TaskData, setup: Setup, held: ExitStack) -> bool:
    """Whether a run is to be done here; then `held` keeps other commands from it."""
    if run.is_finished:
        check_finished(run, data, setup.options.save_ckpt)
        return False
    claim_folder(setup.save_root, setup.settings, "--save_root")
    lock = try_lock(run.folder / ".lock")
    if lock is None:
        return False
    held.enter_context(lock)
    return not run.is_finished  # by another command, a moment ago


def check_finished(run: PlannedRun, data: TaskData, save_ckpt: bool) -> None:
    """Raise `UserError` if a finished run was not trained on the data which is there now."""
    trained_on = read_result(run.result_file)["data"]
    if trained_on != data.summaries():
        raise UserError(
            f"{run.folder} was trained on other data than that which is there now: use another "
            "--save_root, or remove that folder to train it again"
        )
    if save_ckpt and not (run.folder / MODEL_FOLDER).exists():
        print(
            f"{run.name}: finished without --save_ckpt, there are no weights; remove {run.folder} "
            "to train it again"
        )


def do_run(run: PlannedRun, data: TaskData, setup: Setup) -> None:
    """Train and score one run, and write its result."""
    task, backbone, options, processes = run.task, setup.backbone, setup.options, setup.processes
    source = str(backbone.path) if backbone else "nothing (random weights)"
    seed = seed_of_run(run.seed, run.fold)
    new_model = partial(setup.new_model, task)
    try:
        with processes.as_one():
            training = FineTuningRun(run.folder, task, data, new_model, options, seed, source)
        sizes = ", ".join(f"{name} {part['notes']:,}" for name, part in training.summaries.items())
        again = f", going on after epoch {len(training.epochs)}" if training.epochs else ""
        processes.say(f"{run.name}: notes {sizes}{again}; log: {run.folder / 'log'}")
        with processes.as_one():
            figures = training.go()
    except torch.OutOfMemoryError as error:
        raise processes.failure(
            f"{run.name}: the GPU's memory is too small: fewer JOBS or a smaller --batch_size help"
        ) from error
    if processes.is_main:
        conclude(run, training, figures, setup)


def conclude(run: PlannedRun, training: FineTuningRun, figures: dict, setup: Setup) -> None:
    """Write the result of a run that has ended, and say what it is."""
    backbone, options = setup.backbone, setup.options
    result = {
        "format_version": FORMAT_VERSION,
        "task": run.task.labels,
        "seed": run.seed,
        "fold": run.fold,
        "settings": setup.settings,
        **figures,
        "checkpoint": describe(backbone) if backbone else None,
        "device": device_name(setup.processes.device),
        "processes": setup.processes.count,
        "precision": options.precision,
        "attention": attention.NAME,
        "versions": versions(),
    }
    write_text(run.result_file, json.dumps(result) + "\n")
    training.finish(result)
    print(
        f"{run.name}: best epoch {result['best_epoch']}, validation {result['valid_score']:.4f}, "
        f"test {result['test_score']:.4f} (commonest class "
        f"{result['commonest_class']['test_score']:.4f}); {result['seconds']:.0f} s, "
        f"{result['notes_per_second']:,.0f} notes/s"
    )


def describe(backbone: Backbone) -> dict:
    return {"path": str(backbone.path), "epoch": backbone.epoch, "datasets": backbone.datasets}


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def introduce(setup: Setup, runs: list[PlannedRun]) -> None:
    config, options = setup.config, setup.options
    start = f"pre-trained: {setup.backbone.path}" if setup.backbone else "random weights"
    say, count = setup.processes.say, setup.processes.count
    say(
        f"{config.num_hidden_layers} layers of width {config.hidden_size}, {start}; "
        f"{f'{count} x ' if count > 1 else ''}{device_name(setup.processes.device)}, "
        f"{options.precision}"
    )
    tasks = {run.task.labels for run in runs}
    done = sum(run.is_finished for run in runs)
    say(f"{len(runs)} runs of {len(tasks)} tasks, {done} of them finished before")


def name_missing_tasks(setup: Setup, runs: list[PlannedRun]) -> None:
    missing = TASKS.keys() - {run.task.labels for run in runs}
    if missing:
        setup.processes.say(
            f"no data, left out: {', '.join(name for name in TASKS if name in missing)}"
        )


if __name__ == "__main__":
    run_command(main, goes_on=True)
