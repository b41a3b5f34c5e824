"""Fine-tuning in several processes gives what one process gives."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m2bert.base.processes import Processes
from m2bert.finetuning.queue import SOME_TASKS_FAILED
from m2bert.model.tensors import load_tensors
from m2bert.scores.results import read_results
from tests.helpers.classifier_gradients import gradients
from tests.helpers.commands import run_well
from tests.helpers.finetuning import (
    ENVIRONMENT,
    command,
    figures,
    processes_that_mention,
    run_here,
    wait_until,
)
from tests.helpers.shared import REPOSITORY
from tests.helpers.task_files import SMALL, write_checkpoint, write_task

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.fixture
def without_dropout(tmp_path) -> Path:
    """As `finetuning_inputs`, for runs that are to be the same in one process and in two."""
    write_checkpoint(tmp_path / "pretrained", replace(SMALL, dropout=0.0))
    for name in ("melody", "localkey"):
        write_task(tmp_path / "data", name, segments=7)
    return tmp_path


def test_two_processes_compute_the_gradients_of_one(tmp_path):
    script = REPOSITORY / "tests/helpers/classifier_gradients.py"
    run_well(*TORCHRUN, script, tmp_path / "kept", env=ENVIRONMENT)
    first, second = (load_tensors(tmp_path / f"kept.{index}")[0] for index in range(2))
    alone = gradients(Processes(torch.device("cpu")))
    assert alone.keys() == first.keys() == second.keys()
    assert len(alone) == 3 * (4 + 4)
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name]), name
        if "gradient" in name:
            difference = (first[name] - tensor).norm() / tensor.norm()
            assert difference < 1e-6, name
        elif "predictions" in name:
            assert torch.equal(first[name], tensor), name
        else:
            torch.testing.assert_close(first[name], tensor, rtol=0, atol=1.01e-4)


def assert_close_results(one: dict, other: dict) -> None:
    """The same runs with the same figures, losses but for the last of their places."""
    assert one.keys() == other.keys()
    for run, result in one.items():
        pairs = zip(result.pop("epochs"), other[run].pop("epochs"), strict=True)
        for mine, theirs in pairs:
            assert mine == pytest.approx(theirs, rel=0, abs=1.01e-4)
        assert result == other[run]


def test_one_process_goes_on_where_two_were_stopped(without_dropout, tmp_path, monkeypatch, capsys):
    """They have finished a training and begun another; a task that lacks a file is left out."""
    (without_dropout / "data/augnet_valid_localkeyans.npy").unlink()
    tasks = ["--task", "melody", "localkey", "--seed", "3", "4", "--batch_size", "3"]
    words = command(without_dropout, *tasks, "--epochs", "40", "--save_ckpt", "--save_root")
    out = {name: str(tmp_path / name) for name in ("one", "two")}
    line = [sys.executable, *TORCHRUN, "-m", "m2bert.finetune", *words, out["two"], "--cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, env=ENVIRONMENT, **pipes)
    log = tmp_path / "two/seed_4/melody/log"
    wait_until(lambda: log.exists() and "Epoch 3:" in log.read_text())
    process.terminate()  # torchrun passes it on
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said.count("melody, seed 3: best epoch") == 1
    assert not processes_that_mention(tmp_path / "two")
    assert {result["processes"] for result in read_results(tmp_path / "two").values()} == {2}
    for name in ("two", "one"):
        assert run_here(monkeypatch, *words, out[name]) == SOME_TASKS_FAILED
    printed = capsys.readouterr()
    assert printed.err.count("error: there is no augnet_valid_localkeyans.npy") == 2
    (epoch,) = re.findall("going on after epoch ([0-9]+)", printed.out)
    assert 0 < int(epoch) < 40
    assert_close_results(figures(tmp_path / "one"), figures(tmp_path / "two"))
