"""From corpora and labelled data to the table of all objectives, within a time limit
(docs/reproduce.md).

    python -m m2bert.reproduce dataset_dir SMC runs/reproduce --minutes 230

runs the ordinary commands one after another. The same command goes on where it was stopped.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from m2bert.base.arguments import count, not_negative
from m2bert.base.devices import choose_device, choose_precision
from m2bert.base.errors import UserError, run_command, show_lines_at_once
from m2bert.base.files import remove_temporaries
from m2bert.base.recipes import FINETUNING, PRETRAINING
from m2bert.base.settings import claim_folder
from m2bert.base.stop import Stop
from m2bert.finetuning.queue import SOME_TASKS_FAILED
from m2bert.finetuning.result import RESULT_FILE
from m2bert.model.config import PRESETS
from m2bert.reproduce.plan import OBJECTIVES, Plan, Stage
from m2bert.reproduce.report import duration, write_report
from m2bert.tasks import TASKS

MARGIN = 60.0
"""A command is asked to stop so many seconds before the limit (a fifth of a short limit)."""

KILLED = -9
"""Exit status of a process that the system has killed; Windows has no such signal."""

CTRL_BREAK = getattr(signal, "CTRL_BREAK_EVENT", 0)
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""Windows passes on this one signal alone, and to a whole group of processes."""


class Stopped(Exception):
    """The time is over, or the user asked for an end."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.reproduce",
        description="Prepare the data that is not there, pre-train with each objective, fine-tune "
        "on all tasks, and write what comes out to RUNS_DIR/results. The same command goes on.",
    )
    add = parser.add_argument
    add("dataset_dir", type=Path, help="holds the corpora's folders of MIDI files")
    add("smc_dir", type=Path, help="holds SMCBenchmark's downstream_note and downstream_seq")
    add("runs_dir", type=Path, help="folder of all that is made")
    add("--preset", choices=PRESETS, default="base", help="size of the model (base)")
    add("--recipe", choices=PRETRAINING, default="paper", help="how fast it learns (paper)")
    add("--pretrain_epochs", type=count, help="epochs of pre-training (those of the recipe)")
    add("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES), help="(all)")
    add("--tasks", nargs="+", choices=TASKS, metavar="NAME", default=list(TASKS), help="(all)")
    add("--minutes", type=not_negative, help="stop before so many minutes have passed (never)")
    add("--precision", choices=("fp32", "bf16"), help="(bf16 on a GPU that has it, else fp32)")
    add("--cpu", action="store_true", help="train on the CPU although there is a GPU")
    args = parser.parse_args()
    args.pretrain_epochs = args.pretrain_epochs or PRETRAINING[args.recipe].epochs
    return args


def main() -> int:
    show_lines_at_once()
    args = parse_arguments()
    precision = choose_precision(args.precision, choose_device(args.cpu))
    plan = Plan(
        runs_dir=args.runs_dir,
        preset=args.preset,
        recipe=args.recipe,
        epochs=args.pretrain_epochs,
        flags=["--precision", precision, *(["--cpu"] if args.cpu else [])],
        objectives=list(dict.fromkeys(args.objectives)),
        wanted=[TASKS[name] for name in dict.fromkeys(args.tasks)],
    )
    settings = {name: getattr(args, name) for name in ("preset", "recipe", "pretrain_epochs")}
    settings |= {"precision": precision}
    settings |= {"recipes": [asdict(of[args.recipe]) for of in (PRETRAINING, FINETUNING)]}
    with Stop() as stop:
        end = end_of(args.minutes, stop)
        try:
            prepare(plan, args.dataset_dir, args.smc_dir, end)
        except Stopped:
            print("Stopped while data was prepared; the same command goes on.")
            return 128 + stop.signal if stop.signal else 0
        claim_folder(plan.runs_dir, settings, "runs_dir")
        for place in plan.runs_dir.glob("results/**/"):
            remove_temporaries(place)  # of a killed command
        begun, failed = time.time(), False
        try:
            for stage in plan.stages():
                if not plan.is_finished(stage):
                    failed |= train(plan, stage, end) == SOME_TASKS_FAILED
                    write_report(plan)
        except Stopped:
            if not stop.signal and not has_worked(plan.runs_dir, begun):
                raise UserError(
                    f"--minutes {args.minutes:g} were over before a step was done: give more"
                ) from None
        tell(write_report(plan), plan)
        if stop.signal:
            return 128 + stop.signal
    return SOME_TASKS_FAILED if failed else 0


def end_of(minutes: float | None, stop: Stop) -> Callable[[], int]:
    """A function that returns the signal by which to stop the command under way now, or 0."""
    if minutes is None:
        return lambda: stop.signal
    last = time.monotonic() + 60 * minutes - min(MARGIN, 60 * minutes / 5)
    return lambda: stop.signal or (signal.SIGTERM if time.monotonic() >= last else 0)


def run(command: list[str], title: str, end: Callable[[], int], fine: tuple[int, ...]) -> int:
    """Run a command of Python to its end, or until `end` gives a signal; returns its status.

    Raises `Stopped` where `end` gives one, and `UserError` for a status that is not `fine`.
    """
    if end():
        raise Stopped
    print(f"\n$ {shlex.join(['python', *command])}")
    with subprocess.Popen([sys.executable, *command], creationflags=NEW_GROUP) as child:
        asked = 0
        try:
            while (status := child.poll()) is None:
                if not asked and (asked := end()):
                    child.send_signal(CTRL_BREAK or asked)
                time.sleep(0.1)
        except BaseException:  # asked once more to end
            child.kill()
            raise
    if status not in fine and not asked:
        killed = " (killed: is the memory too small?)" if status == KILLED else ""
        raise UserError(f"{title} ended with status {status}{killed}: see above")
    if end():
        raise Stopped
    return status


def prepare(plan: Plan, dataset_dir: Path, smc_dir: Path, end: Callable[[], int]) -> None:
    """Make the corpora and the tasks' data that are not there yet, and name what stays missing.

    Raises `UserError` if there is no corpus although one is needed, or no data of any task.
    """
    if names := plan.missing_datasets:
        command = ["-m", "data_creation.prepare_pretrain", "--dataset_dir", str(dataset_dir)]
        command += ["--output_dir", str(plan.corpora), "--dataset", *names]
        run(command, "the preparation of corpora", end, fine=(0, 1))
        if not plan.datasets:
            raise UserError(f"there is no corpus in {dataset_dir} to pre-train on")
        if missing := ", ".join(plan.missing_datasets):
            print(f"warning: pre-training goes without {missing}", file=sys.stderr)
    if names := sorted({task.corpus for task in plan.missing_tasks}):
        command = ["-m", "data_creation.prepare_smc", "--smc_dir", str(smc_dir)]
        command += ["--output_dir", str(plan.task_data), "--dataset", *names]
        run(command, "the preparation of tasks", end, fine=(0, 1))
        if not plan.tasks:
            raise UserError(f"there is no data of these tasks in {smc_dir}")
        if missing := ", ".join(task.name for task in plan.missing_tasks):
            print(f"warning: left out, as there is no data: {missing}", file=sys.stderr)


def train(plan: Plan, stage: Stage, end: Callable[[], int]) -> int:
    """Do a stage; returns the exit status of its command."""
    status = run(plan.command(stage), stage.title, end, fine=(0, SOME_TASKS_FAILED))
    if status == 0 and not plan.is_finished(stage):
        raise UserError(f"{stage.title} is under way in another command")
    return status


def has_worked(runs_dir: Path, since: float) -> bool:
    """Whether any training took a step since then: it writes these files only after one."""
    files = (file for name in ("state.safetensors", RESULT_FILE) for file in runs_dir.rglob(name))
    return any(file.stat().st_mtime >= since for file in files)


def tell(trainings: list[dict], plan: Plan) -> None:
    """Print what has been reached, and what remains of the plan."""
    print()
    seconds = []
    for row in trainings:
        epochs = "{epochs:g} of {epochs_planned} epochs" if row["epochs_planned"] else "none"
        print(
            f"{{objective:<9}} pre-training: {epochs}; fine-tuning: "
            "{trainings} of {trainings_planned}".format(**row)
            + f"; left: {duration(row['seconds_left'])}"
        )
        if row["objective"] in plan.objectives:
            seconds.append(row["seconds_left"])
    folder = plan.runs_dir / "results"
    print(f"written: {folder / 'RESULTS.md'}, {folder / 'results.json'}")
    if not all(map(plan.is_finished, plan.stages())):
        whole = None if None in seconds else sum(seconds)
        print(f"Time left at the speed seen: {duration(whole)}. The same command goes on.")


if __name__ == "__main__":
    run_command(main, goes_on=True)
