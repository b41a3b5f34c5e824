"""The runs of a command, done one after another, and their results."""

import json
import platform
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from itertools import groupby

import torch

from m2bert.base.errors import UserError, tell
from m2bert.base.files import try_lock, write_text
from m2bert.base.settings import claim_folder
from m2bert.finetuning.data import LabelledSegments, TaskData, read_parts, split
from m2bert.finetuning.epoch import with_states
from m2bert.finetuning.plan import PlannedRun, Setup
from m2bert.finetuning.result import RESULT_FORMAT, read_result
from m2bert.finetuning.run import MODEL_FOLDER, FinetuningRun
from m2bert.model import attention
from m2bert.tasks import TASKS, Task

SOME_TASKS_FAILED = 3
"""Exit status where the other tasks were trained."""

LIBRARIES = ("torch", "transformers", "numpy", "scikit-learn")


def fine_tune(runs: list[PlannedRun], setup: Setup) -> int:
    """Do the runs that neither are finished nor under way elsewhere; returns the exit status."""
    failed = False
    for _, group in groupby(runs, key=lambda run: run.task.name):
        of_task = list(group)
        try:
            with setup.processes.as_one():
                parts = read_parts(of_task[0].task, setup.data_roots)
            if setup.freeze and setup.backbone and not all(r.is_finished for r in of_task):
                parts = add_states(of_task[0].task, parts, setup)
            for run in of_task:
                do_unless_done(run, parts, setup)
        except UserError as error:
            failed = True
            tell(error)
        except torch.OutOfMemoryError as error:
            raise setup.processes.failure(
                f"{of_task[0].task.name}: the GPU's memory is too small: fewer JOBS or a smaller "
                "--batch_size help"
            ) from error
    finished = sum(run.is_finished for run in runs)
    setup.processes.say(
        f"{finished} of {len(runs)} runs are finished; "
        f"the table: python -m m2bert.results {setup.save_root}"
    )
    return SOME_TASKS_FAILED if failed else 0


def add_states(
    task: Task, parts: dict[str, LabelledSegments], setup: Setup
) -> dict[str, LabelledSegments]:
    """Parts with the states of the encoder, which all seeds and folds of a task share."""
    model = setup.new_model(task)
    return {
        name: with_states(model, part, setup.processes, setup.precision)
        for name, part in parts.items()
    }


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
        check_finished(run, data, setup.save_ckpt)
        return False
    claim_folder(setup.save_root, setup.settings, "--save_root")
    lock = try_lock(run.folder / ".lock")
    if lock is None:
        return False
    held.callback(lock.release)
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
    processes = setup.processes
    with processes.as_one():
        training = FinetuningRun(run, data, setup)
    sizes = ", ".join(f"{name} {part['notes']:,}" for name, part in training.summaries.items())
    again = f", going on after epoch {len(training.epochs)}" if training.epochs else ""
    processes.say(f"{run.name}: notes {sizes}{again}; log: {run.folder / 'log'}")
    with processes.as_one():
        figures = training.go()
    if processes.is_main:
        conclude(run, training, figures, setup)
    if asked := processes.greatest(training.stop.signal):  # after the last step
        raise SystemExit(128 + asked)


def conclude(run: PlannedRun, training: FinetuningRun, figures: dict, setup: Setup) -> None:
    """Write the result of a run that has ended, and say what it is."""
    of = setup.backbone
    result = {
        "format_version": RESULT_FORMAT,
        "task": run.task.name,
        "seed": run.seed,
        "fold": run.fold,
        "settings": setup.settings,
        **figures,
        "checkpoint": of and {"path": str(of.path), "epoch": of.epoch, "datasets": of.datasets},
        "device": device_name(setup.processes.device),
        "processes": setup.processes.count,
        "precision": setup.precision,
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


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def introduce(setup: Setup, runs: list[PlannedRun]) -> None:
    config = setup.config
    start = f"pre-trained: {setup.backbone.path}" if setup.backbone else "random weights"
    say, count = setup.processes.say, setup.processes.count
    say(
        f"{config.num_hidden_layers} layers of width {config.hidden_size}, {start}; "
        f"{f'{count} x ' if count > 1 else ''}{device_name(setup.processes.device)}, "
        f"{setup.precision}"
    )
    tasks = {run.task.name for run in runs}
    done = sum(run.is_finished for run in runs)
    say(f"{len(runs)} runs of {len(tasks)} tasks, {done} of them finished before")


def name_missing_tasks(setup: Setup, runs: list[PlannedRun]) -> None:
    there = {run.task.name for run in runs}
    if missing := [name for name in TASKS if name not in there]:
        setup.processes.say(f"no data, left out: {', '.join(missing)}")
