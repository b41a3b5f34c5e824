"""How far a plan has come, and how long the rest takes at the speed seen."""

from statistics import fmean
from typing import NamedTuple

import numpy as np

from m2bert.base.recipes import FINETUNING
from m2bert.finetuning.result import RunKey
from m2bert.notes.cp import PAD
from m2bert.pretraining.run_folder import read_metrics
from m2bert.reproduce.plan import OBJECTIVES, Plan, Stage
from m2bert.scores.results import find_results, read_results
from m2bert.tasks import Task

VALIDATION = 1.1
"""Time of an epoch of pre-training with its validation, in times of its steps alone."""


class Reached(NamedTuple):
    """What an objective has so far: records of finished epochs and the last line on steps of its
    pre-training (empty before the first), and results of fine-tuning."""

    epochs: list[dict]
    steps: dict
    results: dict[RunKey, dict]


def read_reached(plan: Plan, objective: str) -> Reached:
    """Read what the folders of an objective hold."""
    epochs, steps = [], {}
    for line in read_metrics(plan.pretraining(objective)):
        if line["kind"] == "epoch":
            epochs.append(line)
        else:
            steps = line
    folder = plan.finetuning(objective)
    return Reached(epochs, steps, read_results(folder) if find_results(folder) else {})


def progress(plan: Plan, reached: dict[str, Reached]) -> dict[str, dict]:
    """How far each objective has come.

    epochs (a float) and epochs_planned of pre-training, 0 of "scratch"; trainings and
    trainings_planned of fine-tuning; seconds_left, None where no speed has been seen.
    """
    steps = [found.steps for found in reached.values() if found.steps]
    results = [result for found in reached.values() for result in found.results.values()]
    usual = fmean(map(epoch_seconds, steps)) if steps else None
    training = {task.name: training_seconds(plan, task, results, steps) for task in plan.tasks}
    rows = {}
    for objective, found in reached.items():
        planned = 0 if OBJECTIVES[objective] is None else plan.epochs
        passed = found.steps["step"] / found.steps["epoch_steps"] if found.steps else 0.0
        epochs = min(max(len(found.epochs), passed), planned)
        runs = [run for s in plan.stages() if s.objective == objective for run in plan.runs(s)]
        seconds = [training[task.name] for task, path in runs if not path.exists()]
        trained = len(runs) - len(seconds)
        if epochs < planned and not plan.is_finished(Stage(objective)):
            own = epoch_seconds(found.steps) if found.steps else usual
            seconds.append(None if own is None else (planned - epochs) * own)
        rows[objective] = {
            "epochs": round(epochs, 2),
            "epochs_planned": planned,
            "trainings": trained,
            "trainings_planned": len(runs),
            "seconds_left": None if None in seconds else round(sum(filter(None, seconds))),
        }
    return rows


def epoch_seconds(steps: dict) -> float:
    return VALIDATION * steps["seconds_per_step"] * steps["epoch_steps"]


def training_seconds(
    plan: Plan, task: Task, results: list[dict], steps: list[dict]
) -> float | None:
    """An estimate of how long a run of fine-tuning takes: the mean of the task's runs so far, else
    from other tasks' runs and the numbers of notes, else from the speed of pre-training."""
    took = [result["seconds"] for result in results if result["task"] == task.name]
    if took:
        return fmean(took)
    files = [plan.task_data / task.file_names(part)[0] for part in task.parts]
    notes = sum(int((np.load(file)[..., 0] != PAD[0]).sum()) for file in files)
    if results:
        seen = sum(part["notes"] for result in results for part in result["data"].values())
        return notes * sum(result["seconds"] for result in results) / seen
    if steps:
        epochs = FINETUNING[plan.recipe].epochs
        return notes * epochs / fmean(line["notes_per_second"] for line in steps)
    return None
