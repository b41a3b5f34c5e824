"""What the processes of one training decide and compute together."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.base.processes import Processes, own_gpu, start_processes
from tests.helpers.shared import REPOSITORY

CPU = torch.device("cpu")

IN_EACH_PROCESS = """
import json, os, sys
from pathlib import Path
import torch
from m2bert.base.errors import Told, UserError
from m2bert.base.processes import start_processes

processes = start_processes(cpu=True)
index = processes.index
model = torch.nn.Linear(1, 1, bias=False)
torch.nn.init.constant_(model.weight, index + 5)
wrapped = processes.wrap(model)
with processes.local_gradients(wrapped):
    wrapped(torch.tensor([[index + 1.0]])).backward()
own = model.weight.grad.item()
wrapped(torch.tensor([[10.0]])).backward()

def fail(when, error):
    try:
        with processes.as_one():
            if when:
                raise error
    except Told:
        return "told"
    return "fine"

found = {
    "greatest": processes.greatest(-7 * index),
    "agree": [processes.agree(3), processes.agree(index)],
    "from_main": [processes.from_main(lambda: index == 0), processes.from_main(lambda: index)],
    "as_one": [
        fail(False, None),
        fail(index == 1, UserError("one failed")),
        fail(True, OSError("all failed")),
    ],
    "failure": type(processes.failure("sentence")).__name__,
    "add_up": str(processes.add_up(torch.tensor([index + 1], dtype=torch.int16))),
    "weight": model.weight.item(),
    "gradients": [own, model.weight.grad.item()],
}
processes.say("said by the main one")
(Path(sys.argv[1]) / str(index)).write_text(json.dumps(found))
processes.end()
"""


def test_two_processes_decide_alike(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(IN_EACH_PROCESS)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    line = [sys.executable, *launcher, str(script), str(tmp_path)]
    environment = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / str(index)).read_text()) for index in range(2)]
    assert [each["gradients"].pop(0) for each in found] == [1.0, 2.0]
    assert found[0] == found[1]
    assert found[0] == {
        "greatest": 0,
        "agree": [True, False],
        "from_main": [True, False],
        "as_one": ["fine", "told", "told"],
        "failure": "SystemExit",
        "add_up": "tensor([3], dtype=torch.int16)",
        "weight": 5.0,
        "gradients": [11.5],
    }
    for sentence in ("error: one failed", "error: all failed"):
        assert done.stderr.count(sentence) == 1
    assert done.stdout.count("said by the main one") == 1


def test_a_single_process_asks_no_others(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = start_processes(cpu=True)
    assert (processes.is_main, processes.count, processes.device) == (True, 1, CPU)
    assert processes.greatest(-3) == -3
    assert processes.agree(4)
    assert not processes.from_main(lambda: False)
    assert isinstance(processes.failure("sentence"), UserError)
    with pytest.raises(UserError, match="own sentence"), processes.as_one():
        raise UserError("own sentence")


def test_processes_that_were_not_connected_are_told_how(monkeypatch):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"RANK, MASTER_ADDR, MASTER_PORT are not: .* torchrun"):
        start_processes(cpu=True)


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
def test_each_process_has_a_gpu_of_its_own(monkeypatch, variables, gpus, own):
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if own is None:
        with pytest.raises(UserError, match="process 5 of this machine has no GPU of its own"):
            own_gpu(gpus)
    else:
        assert own_gpu(gpus) == own


@pytest.mark.parametrize("count", [1, 2, 8])
def test_every_row_of_a_batch_belongs_to_one_process(monkeypatch, count):
    monkeypatch.setattr("torch.distributed.new_group", lambda **_: None)
    shares = [Processes(CPU, index, count).share(np.arange(5)) for index in range(count)]
    assert np.concatenate(shares).tolist() == [0, 1, 2, 3, 4]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
