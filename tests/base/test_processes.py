"""Decisions and computations of the processes of one training."""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

from m2bert.base.errors import PrintedError, UserError
from m2bert.base.processes import Processes, own_gpu, start_processes
from tests.helpers import forked

CPU = torch.device("cpu")


def failing_together(processes: Processes, error: Exception | None) -> str:
    try:
        with processes.fail_together():
            if error:
                raise error
    except PrintedError:
        return "failed"
    return "fine"


def decide() -> None:
    """Command: writes what this process finds, and what it prints, to files in a folder."""
    processes = start_processes(cpu=True)
    rank = processes.rank
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, rank + 5)
    wrapped = processes.wrap(model)
    with processes.local_gradients(wrapped):
        wrapped(torch.tensor([[rank + 1.0]])).backward()
    own = model.weight.grad.item()
    wrapped(torch.tensor([[10.0]])).backward()
    errors = None, UserError("one failed") if rank == 1 else None, OSError("all failed")
    with (
        (Path(sys.argv[1]) / f"{rank}.txt").open("w") as printed,
        redirect_stderr(printed),
        redirect_stdout(printed),
    ):
        found = {
            "greatest": processes.greatest(-7 * rank),
            "fail_together": [failing_together(processes, error) for error in errors],
            "add_up": processes.add_up(torch.tensor([rank + 1.0])).tolist(),
            "weight": model.weight.item(),
            "gradients": [own, model.weight.grad.item()],
        }
        processes.say("printed by the main one")
    (Path(sys.argv[1]) / f"{rank}.json").write_text(json.dumps(found))
    processes.end()


def test_two_processes_decide_alike(tmp_path):
    forked.run_two(decide, tmp_path)
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [each["gradients"].pop(0) for each in found] == [1.0, 2.0]
    assert found[0] == found[1]
    assert found[0] == {
        "greatest": 0,
        "fail_together": ["fine", "failed", "failed"],
        "add_up": [3.0],
        "weight": 5.0,
        "gradients": [11.5],
    }
    printed = "".join((tmp_path / f"{rank}.txt").read_text() for rank in range(2))
    for sentence in ("error: one failed", "error: all failed", "printed by the main one"):
        assert printed.count(sentence) == 1


def test_single_process_decides_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = start_processes(cpu=True)
    assert (processes.is_main, processes.world_size, processes.device) == (True, 1, CPU)
    assert processes.greatest(-3) == -3
    with pytest.raises(UserError, match="own sentence"), processes.fail_together():
        raise UserError("own sentence")


@pytest.mark.parametrize(
    ("variables", "gpus", "own"),
    [
        ({}, 1, 0),
        ({"LOCAL_RANK": "3"}, 8, 3),
        ({"LOCAL_RANK": "3"}, 1, 0),  # SLURM shows each task its own GPU alone
        ({"SLURM_LOCALID": "2"}, 4, 2),
        ({"LOCAL_RANK": "4"}, 4, None),
    ],
)
def test_own_gpu_is_that_of_the_local_rank(monkeypatch, variables, gpus, own):
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if own is None:
        with pytest.raises(UserError, match="process 5 of this machine has no GPU of its own"):
            own_gpu(gpus)
    else:
        assert own_gpu(gpus) == own
