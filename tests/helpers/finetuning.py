"""Running the fine-tuning command."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from m2bert import finetune
from m2bert.scores.results import read_results
from tests.helpers import commands

ENVIRONMENT = commands.ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
MEASURED = {"seconds", "train_seconds", "notes_per_second"}


def command(inputs: Path, *flags: str | Path) -> list[str]:
    fixed = ["--ckpt", inputs / "pretrained", "--data_root", inputs / "data", "--epochs", 2]
    return [str(word) for word in [*fixed, *flags]]


def run_here(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["finetune", *words])
    return finetune.main()


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def results_without_times(save_root: Path) -> dict:
    """All results without measured times."""

    def without(value):
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in MEASURED}
        return [without(v) for v in value] if isinstance(value, list) else value

    return {run: without(result) for run, result in read_results(save_root).items()}
