"""The runs of a command, done one after another."""

import sys
import time
import traceback
from itertools import groupby

import torch

from m2bert.base.errors import UserError, print_error
from m2bert.base.files import try_lock
from m2bert.base.settings import claim_folder
from m2bert.finetuning.data import Sets, doubts, read_parts, split, summaries
from m2bert.finetuning.epoch import with_states
from m2bert.finetuning.plan import PlannedRun, Setup
from m2bert.finetuning.result import read_result
from m2bert.finetuning.run import MODEL_FOLDER, FinetuningRun, device_name
from m2bert.model.task_entries import definition
from m2bert.tasks import TASKS, Task

SOME_TASKS_FAILED = 3
"""Exit status where the other tasks were trained."""


def introduce(setup: Setup, runs: list[PlannedRun]) -> None:
    """Print what is trained from what, and if all tasks are requested, which have no data."""
    config = setup.config
    start = f"pre-trained: {setup.backbone.path}" if setup.backbone else "random weights"
    print(
        f"{config.num_hidden_layers} layers of width {config.hidden_size}, {start}; "
        f"{device_name(setup.device)}, {setup.args.precision}"
    )
    tasks = {run.task.name for run in runs}
    done = sum(run.is_finished for run in runs)
    print(f"{len(runs)} runs of {len(tasks)} tasks, {done} of them finished before")
    missing = [name for name in TASKS if name not in tasks]
    if missing and setup.args.task is None and not tasks.isdisjoint(TASKS):
        print(f"skipped, no data: {', '.join(missing)}")


def fine_tune(runs: list[PlannedRun], setup: Setup) -> int:
    """Do the runs that are neither finished nor in progress elsewhere; returns the exit status."""
    failed = False
    for task, of_task in groupby(runs, key=lambda run: run.task):
        try:
            fine_tune_task(task, list(of_task), setup)
        except Exception as error:  # a defect, too, must not cost the other tasks
            failed = True
            report_failure(task, error, setup)
    finished = sum(run.is_finished for run in runs)
    print(
        f"{finished} of {len(runs)} runs are finished; "
        f"the table: python -m m2bert.results {setup.args.save_root}"
    )
    return SOME_TASKS_FAILED if failed else 0


def fine_tune_task(task: Task, runs: list[PlannedRun], setup: Setup) -> None:
    """Do the runs of one task. Raises `UserError` for data that cannot be used."""
    args = setup.args
    parts = read_parts(task, args.data_root)
    for sentence in doubts(task, parts):
        print(f"warning: {sentence}", file=sys.stderr)
    begun = time.perf_counter()
    if args.freeze and setup.backbone and not all(run.is_finished for run in runs):
        # all seeds and folds have the same states of the encoder
        parts = with_states(setup.new_model(task), parts, setup.device, args.precision)
    seconds = time.perf_counter() - begun
    for run in runs:
        do_unless_done(run, parts, seconds, setup)


def do_unless_done(run: PlannedRun, parts: Sets, seconds: float, setup: Setup) -> None:
    """Do a run, unless it is finished or in progress in another command. seconds: what computing
    the states of its encoder took."""
    sets = split(run.task, parts, run.fold)
    if run.is_finished:
        check_finished(run, sets, setup.args.save_ckpt)
        return
    claim_folder(setup.args.save_root, setup.settings, "--save_root")
    lock = try_lock(run.folder / ".lock")
    if lock is None:
        return
    try:
        if not run.is_finished:  # in the meantime, by another command
            FinetuningRun(run, sets, seconds, setup).go()
    finally:
        lock.release()


def check_finished(run: PlannedRun, sets: Sets, save_ckpt: bool) -> None:
    """Raise `UserError` if a finished run was trained on other data or another task file than the
    current."""
    result, current = read_result(run.result_file), {"data": summaries(sets)}
    if any(result.get(n) != v for n, v in (current | definition(run.task)).items()):
        raise UserError(
            f"{run.folder} was trained on other data or with another task file: use another "
            "--save_root, or remove that folder to train it again"
        )
    if save_ckpt and not (run.folder / MODEL_FOLDER).exists():
        print(
            f"{run.name}: finished without --save_ckpt, there are no weights; remove {run.folder} "
            "to train it again"
        )


def report_failure(task: Task, error: Exception, setup: Setup) -> None:
    """Print why not all runs of a task were trained."""
    if isinstance(error, torch.OutOfMemoryError):
        advice = (
            "--freeze keeps the hidden states of all segments there: use fewer JOBS, or --cpu"
            if setup.args.freeze
            else "use fewer JOBS or a smaller --batch_size"
        )
        error = UserError(f"{task.name}: the GPU's memory is too small: {advice}")
    if isinstance(error, UserError | OSError):
        print_error(error)
    else:
        traceback.print_exception(error)
        print(f"error: {task.name} is skipped because of the error above", file=sys.stderr)
