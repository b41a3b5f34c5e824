"""How far a plan has come, and how long the rest takes at the speed seen."""

from statistics import fmean

import numpy as np

from m2bert.base.recipes import FINETUNING
from m2bert.finetuning.result import read_result
from m2bert.notes.cp import PAD
from m2bert.pretraining.run_folder import read_metrics
from m2bert.reproduce.plan import OBJECTIVES, Plan, Stage

VALIDATION = 1.1
"""Time of an epoch of pre-training, of that of its steps."""


def progress(plan: Plan) -> dict[str, dict]:
    """How far each objective has come.

    epochs (a float) and epochs_planned of pre-training, 0 of "scratch"; trainings and
    trainings_planned of fine-tuning; seconds_left, None where no speed has been seen.
    """
    speeds = {objective: last_steps(plan, objective) for objective in plan.objectives}
    seen = [line["seconds_per_step"] * line["epoch_steps"] for line in speeds.values() if line]
    epoch_seconds = VALIDATION * fmean(seen) if seen else None
    training_seconds = seconds_of_trainings(plan, [line for line in speeds.values() if line])
    found = {}
    for objective, line in speeds.items():
        planned = 0 if OBJECTIVES[objective] is None else plan.epochs
        epochs = max(
            len(plan.history(objective)), line["step"] / line["epoch_steps"] if line else 0.0
        )
        left = 0.0 if not planned or plan.is_finished(Stage(objective)) else planned - epochs
        runs = [run for s in plan.stages() if s.objective == objective for run in plan.runs(s)]
        waiting = [task.name for task, path in runs if not path.exists()]
        seconds = [training_seconds[name] for name in waiting]
        if left:
            seconds.append(None if epoch_seconds is None else left * epoch_seconds)
        found[objective] = {
            "epochs": round(planned - left, 2),
            "epochs_planned": planned,
            "trainings": len(runs) - len(waiting),
            "trainings_planned": len(runs),
            "seconds_left": None if None in seconds else round(sum(filter(None, seconds))),
        }
    return found


def last_steps(plan: Plan, objective: str) -> dict | None:
    """The last line of metrics that tells of steps; None before the first."""
    lines = read_metrics(plan.pretraining(objective))
    return max((n for n in lines if n["kind"] == "steps"), key=lambda n: n["step"], default=None)


def seconds_of_trainings(plan: Plan, pretraining: list[dict]) -> dict[str, float | None]:
    """How long a run of fine-tuning takes, by task: as those before it, else as other tasks' by
    their notes, else by the speed of pre-training (lines of its metrics)."""
    took: dict[str, list[float]] = {task.name: [] for task in plan.tasks}
    a_note = []
    for stage in plan.stages():
        for task, path in plan.runs(stage):
            if path.exists():
                result = read_result(path)
                notes = sum(part["notes"] for part in result["data"].values())
                took[task.name].append(result["seconds"])
                a_note.append(result["seconds"] / notes)
    epochs = FINETUNING[plan.recipe].epochs
    a_note = a_note or [epochs / line["notes_per_second"] for line in pretraining]
    found: dict[str, float | None] = {}
    for task in plan.tasks:
        files = [plan.task_data / task.file_names(part)[0] for part in task.parts]
        notes = sum(int((np.load(file)[..., 0] != PAD[0]).sum()) for file in files)
        known = took[task.name] or [rate * notes for rate in a_note]
        found[task.name] = fmean(known) if known else None
    return found
