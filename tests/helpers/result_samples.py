"""Made-up results of fine-tuning, for tests."""

import json
from pathlib import Path

import numpy as np

from m2bert.finetuning.result import RESULT_FILE, RESULT_FORMAT, folder_of_run
from m2bert.scores.results import runs_of_seed
from m2bert.tasks import TASKS, Task

SETTINGS = {
    "pretrained": True,
    "checkpoint_sha256": "5d41402abc4b2a76",
    "model": {"hidden_size": 768, "num_hidden_layers": 12},
    "class_num": None,
    "epochs": 10,
    "lr": 2e-05,
}


def sample_result(task: Task, seed: int, fold: int | None, score: float, **changes) -> dict:
    """The result of one run with this test score; `changes` replace its entries."""
    labels = range(0 if task.level == "piece" else 1, len(task.classes))
    correct = round(1000 * score)
    wrong = [[k, k - 1, 1000 - correct] for k in labels[1:]]  # one class too low
    result = {
        "format_version": RESULT_FORMAT,
        "task": task.name,
        "seed": seed,
        "fold": fold,
        "metric": task.metric,
        "settings": SETTINGS,
        "data": {
            part: {"segments": 9, "notes": 9000, "crc32": f"{task.corpus} {part} {fold}"}
            for part in ("train", "valid", "test")
        },
        "epochs": [{"epoch": 1, "valid_acc": score, "test_acc": score}],
        "best_epoch": 1,
        "valid_score": score,
        "test_score": score,
        "clean_test_score": score - 0.01 if task.metric == "grid_accuracy" else None,
        "majority_class": {"label": 1, "name": task.classes[1], "test_score": score / 2},
        "confusion": [[k, k, correct] for k in labels] + wrong,
        "per_class": [{"label": k, "name": task.classes[k]} for k in labels],
        "checkpoint": {"path": "runs/base/model_best", "epoch": 3},
        "seconds": 1.0,
    }
    return result | changes


def write_result(folder: Path, task: str, seed: int, fold: int | None, score: float, **changes):
    """Write a result to the folder of its run below `folder`; returns its path."""
    path = folder_of_run(folder, task, seed, fold) / RESULT_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sample_result(TASKS[task], seed, fold, score, **changes)))
    return path


def write_policy(folder: Path, scores: dict[str, float], rng: np.random.Generator, **changes):
    """Write all runs of the policy; `scores` are by task, with some noise for each run."""
    for name, score in scores.items():
        for run in (run for seed in TASKS[name].seeds for run in runs_of_seed(TASKS[name], seed)):
            noise = rng.normal(0, 0.004 if run.fold is None else 0.03)
            write_result(folder, *run, round(score + noise, 4), **changes)
