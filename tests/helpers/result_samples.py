"""Results of fine-tuning that look like those of real runs, for tests."""

import json
from pathlib import Path

import numpy as np

from m2bert.finetuning.result import RESULT_FILE, RESULT_FORMAT, folder_of_run
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
    """The result of one run with this test score; `changes` replace whole parts of it."""
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
        "commonest_class": {"label": 1, "name": task.classes[1], "test_score": score / 2},
        **sample_confusion(task, score),
        "checkpoint": {"path": "runs/base/model_best", "epoch": 3},
        "seconds": 1.0,
    }
    return result | changes


def sample_confusion(task: Task, score: float) -> dict:
    """A thousand answers of each class: `score` of them right, the others one class too low."""
    labels = range(0 if task.level == "piece" else 1, len(task.classes))
    right = round(1000 * score)
    cells = [[k, k, right] for k in labels] + [[k, k - 1, 1000 - right] for k in labels[1:]]
    names = [{"label": k, "name": task.classes[k]} for k in labels]
    return {"confusion": cells, "per_class": names}


def write_result(folder: Path, task: str, seed: int, fold: int | None, score: float, **changes):
    """Write a result where it belongs below `folder`; returns its path."""
    path = folder_of_run(folder, task, seed, fold) / RESULT_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sample_result(TASKS[task], seed, fold, score, **changes)))
    return path


def write_policy(folder: Path, scores: dict[str, float], rng: np.random.Generator, **changes):
    """Write all runs that the policy asks for; `scores` are by task, spread a little by run."""
    for name, score in scores.items():
        task = TASKS[name]
        for seed in task.seeds:
            for fold in task.test_folds:
                spread = round(score + rng.normal(0, 0.03 if task.folds else 0.004), 4)
                write_result(folder, name, seed, fold, spread, **changes)
