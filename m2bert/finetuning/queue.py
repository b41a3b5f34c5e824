"""The runs of a command, done one after another."""

import sys
import traceback
from itertools import groupby

import torch
from filelock import FileLock

from m2bert.base.errors import UserError, tell
from m2bert.base.files import try_lock
from m2bert.base.settings import claim_folder
from m2bert.finetuning.data import Sets, doubts, read_parts, split, summaries
from m2bert.finetuning.epoch import with_states
from m2bert.finetuning.plan import PlannedRun, Setup
from m2bert.finetuning.result import read_result
from m2bert.finetuning.run import MODEL_FOLDER, FinetuningRun, device_name
from m2bert.tasks import TASKS, Task

SOME_TASKS_FAILED = 3
"""Exit status where the other tasks were trained."""


def fine_tune(runs: list[PlannedRun], setup: Setup) -> int:
    """Do the runs that neither are finished nor under way elsewhere; returns the exit status."""
    failed = False
    for task, of_task in groupby(runs, key=lambda run: run.task):
        try:
            fine_tune_task(task, list(of_task), setup)
        except Exception as error:  # a defect, too, must not cost the other tasks
            failed = True
            report_failure(task, error, setup)
    finished = sum(run.is_finished for run in runs)
    setup.processes.say(
        f"{finished} of {len(runs)} runs are finished; "
        f"the table: python -m m2bert.results {setup.args.save_root}"
    )
    return SOME_TASKS_FAILED if failed else 0


def fine_tune_task(task: Task, runs: list[PlannedRun], setup: Setup) -> None:
    """Do the runs of one task. Raises `UserError` for data that cannot be used."""
    args, processes = setup.args, setup.processes
    with processes.as_one():
        parts = read_parts(task, args.data_root)
    if processes.is_main:
        for sentence in doubts(task, parts):
            print(f"warning: {sentence}", file=sys.stderr)
    if args.freeze and setup.backbone and not all(run.is_finished for run in runs):
        model = setup.new_model(task)  # all seeds and folds share what its encoder gives
        for name, part in parts.items():
            parts[name] = with_states(model, part, processes, args.precision)
    for run in runs:
        do_unless_done(run, parts, setup)


def report_failure(task: Task, error: Exception, setup: Setup) -> None:
    """Print why a task was not trained to its end.

    Of several processes, one that fails alone must exit (`Processes.failure`): the error is raised.
    """
    processes = setup.processes
    if isinstance(error, torch.OutOfMemoryError):
        advice = (
            "--freeze keeps the states of all segments there: fewer JOBS need less, and --cpu "
            "computes on the CPU"
            if setup.args.freeze
            else "fewer JOBS or a smaller --batch_size help"
        )
        failure = processes.failure(f"{task.name}: the GPU's memory is too small: {advice}")
        if not isinstance(failure, UserError):
            raise failure from error
        tell(failure)
    elif isinstance(error, UserError | OSError):
        tell(error)
    elif processes.count > 1:
        raise error
    else:
        traceback.print_exception(error)
        print(f"error: {task.name} is skipped because of the error above", file=sys.stderr)


def do_unless_done(run: PlannedRun, parts: Sets, setup: Setup) -> None:
    """Do a run, unless it is finished or under way in another command."""
    processes = setup.processes
    with processes.as_one():
        sets = split(run.task, parts, run.fold)
        lock = take(run, sets, setup) if processes.is_main else None
    if not processes.greatest(lock is not None):
        return
    try:
        with processes.as_one():
            training = FinetuningRun(run, sets, setup)
        processes.say(training.title())
        with processes.as_one():
            training.go()
    finally:
        if lock:
            lock.release()
    if asked := processes.greatest(training.stop.signal):  # after the last step
        raise SystemExit(128 + asked)


def take(run: PlannedRun, sets: Sets, setup: Setup) -> FileLock | None:
    """Lock a run, so that other commands leave it alone; None if it is finished or another command
    has locked it."""
    args = setup.args
    if run.is_finished:
        check_finished(run, sets, args.save_ckpt)
        return None
    claim_folder(args.save_root, setup.settings, "--save_root")
    lock = try_lock(run.folder / ".lock")
    if lock and run.is_finished:  # by another command, a moment ago
        lock.release()
        return None
    return lock


def check_finished(run: PlannedRun, sets: Sets, save_ckpt: bool) -> None:
    """Raise `UserError` if a finished run was not trained on the data which is there now."""
    trained_on = read_result(run.result_file)["data"]
    if trained_on != summaries(sets):
        raise UserError(
            f"{run.folder} was trained on other data than that which is there now: use another "
            "--save_root, or remove that folder to train it again"
        )
    if save_ckpt and not (run.folder / MODEL_FOLDER).exists():
        print(
            f"{run.name}: finished without --save_ckpt, there are no weights; remove {run.folder} "
            "to train it again"
        )


def introduce(setup: Setup, runs: list[PlannedRun]) -> None:
    """Print what is to be trained from what, and if all tasks are meant, which have no data."""
    config, processes, say = setup.config, setup.processes, setup.processes.say
    start = f"pre-trained: {setup.backbone.path}" if setup.backbone else "random weights"
    times = f"{processes.count} x " if processes.count > 1 else ""
    say(
        f"{config.num_hidden_layers} layers of width {config.hidden_size}, {start}; "
        f"{times}{device_name(processes.device)}, {setup.args.precision}"
    )
    tasks = {run.task.name for run in runs}
    done = sum(run.is_finished for run in runs)
    say(f"{len(runs)} runs of {len(tasks)} tasks, {done} of them finished before")
    missing = [name for name in TASKS if name not in tasks]
    if missing and setup.args.task is None:
        say(f"no data, left out: {', '.join(missing)}")
