"""Pre-training from the command line: interrupted, resumed, on two processes, bad input."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.base.processes import Processes
from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import WEIGHTS_FILE, read_record
from m2bert.model.original import save_published
from m2bert.model.tensors import load_tensors
from m2bert.notes.cp import FIELDS
from m2bert.pretrain import main
from m2bert.pretraining import run
from tests.helpers import forked
from tests.helpers.commands import ONE_THREAD, call_main, processes_with, wait_until
from tests.helpers.gradients import gradients, save_gradients
from tests.helpers.synthetic import patterned_song, write_corpus

SMALL = ["--preset", "tiny", "--max_seq_len", "64", "--batch_size", "4", "--lr", "1e-3"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TIME_LIMIT = 240
SAVES_EACH_STEP = ["--save_minutes", "0"]
ENDLESS = [*SAVES_EACH_STEP, "--epochs", "10000"]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        songs = [patterned_song(rng, int(n)) for n in rng.integers(20, 150, 20)]
        write_corpus(folder, name, songs)
    return folder


@pytest.fixture
def pretrain(data_root):
    """Call the command in this process; returns its status."""

    def call(save_dir: Path, *flags: str) -> int:
        return call_main(main, *arguments(data_root, save_dir, *flags))

    return call


def arguments(data_root: Path, save_dir: Path, *more: str) -> list[str]:
    places = ["--data_root", str(data_root), "--save_dir", str(save_dir)]
    return [*places, "--datasets", "first", "second", "--cpu", *SMALL, "--log_steps", "3", *more]


def lines_in(save_dir: Path, kind: str) -> list[dict]:
    lines = (save_dir / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


def steps_done(save_dir: Path) -> int:
    state = save_dir / "state.safetensors"
    return load_tensors(state)[1]["steps"] if state.exists() else 0


@contextmanager
def running(data_root: Path, save_dir: Path, *more: str, after: int) -> Iterator:
    """A run in the background that has saved its state after so many steps; killed at the end."""
    process = forked.start(main, *arguments(data_root, save_dir, *more))
    try:
        wait_until(lambda: steps_done(save_dir) >= after)
        yield process
    finally:
        forked.kill(process)


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "log").read_text() == (other / "log").read_text()
    assert lines_in(one, "epoch") == lines_in(other, "epoch")
    steps = [[line["step"] for line in lines_in(run, "steps")] for run in (one, other)]
    assert steps[0] == steps[1]
    for name in ("model", "model_best"):
        assert read_record(one / name) == read_record(other / name)
    for name in (f"model/{WEIGHTS_FILE}", f"model_best/{WEIGHTS_FILE}", "state.safetensors"):
        mine, theirs = (load_tensors(run / name)[0] for run in (one, other))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[n]) for n, tensor in mine.items())


@pytest.fixture(scope="module")
def uninterrupted(data_root, tmp_path_factory) -> Path:
    save_dir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    process = forked.start(main, *arguments(data_root, save_dir, "--epochs", "2"))
    process.join(TIME_LIMIT)
    assert process.exitcode == 0
    return save_dir


def test_run_writes_its_files(uninterrupted):
    log = (uninterrupted / "log").read_text().splitlines()
    assert [line.split(":")[0] for line in log] == ["Epoch 1", "Epoch 2"]
    epochs = lines_in(uninterrupted, "epoch")
    assert epochs[-1]["valid_loss"] < epochs[0]["valid_loss"]
    best = max(epochs, key=lambda record: record["score"])
    assert read_record(uninterrupted / "model_best")["epoch"] == best["epoch"]
    assert read_record(uninterrupted / "model")["epoch"] == 2
    assert f"| epoch | {best['epoch']} |" in (uninterrupted / "model_best/README.md").read_text()
    steps = [line["step"] for line in lines_in(uninterrupted, "steps")]
    assert steps == [1, *range(3, 19, 3)]


def test_killed_run_ends_with_the_same_bits(data_root, tmp_path, pretrain, uninterrupted):
    flags = ["--epochs", "2", *SAVES_EACH_STEP]
    while_saving = forked.start(main, *arguments(data_root, tmp_path, *flags))
    wait_until(lambda: list(tmp_path.glob(".state.safetensors.*.tmp")))
    forked.kill(while_saving)
    with running(data_root, tmp_path, *flags, after=11):
        pass
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "ste')  # killed while it wrote
    assert pretrain(tmp_path, *flags) == 0
    assert_same_run(tmp_path, uninterrupted)
    assert not list(tmp_path.rglob(".*.tmp"))


@pytest.mark.parametrize(
    ("launcher", "number"), [([], signal.SIGTERM), (TORCHRUN, signal.SIGINT)], ids=["one", "two"]
)
def test_signal_stops_after_the_current_step(
    data_root, tmp_path, pretrain, capsys, launcher, number
):
    """Ctrl-C on a terminal, or the end of a job, reach readers of batches and launchers as well."""
    line = [sys.executable, *launcher, "-m", "m2bert.pretrain"]
    line += arguments(data_root, tmp_path, *ENDLESS)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, start_new_session=True, env=ONE_THREAD, **pipes) as process:
        wait_until(lambda: steps_done(tmp_path) >= 5)
        os.killpg(process.pid, number)
        out, errors = process.communicate(timeout=TIME_LIMIT)
    steps = steps_done(tmp_path)
    assert f"Stopped after step {steps} " in out
    assert "The same command resumes" in out
    if not launcher:
        assert process.returncode == 128 + number
        assert "Traceback" not in errors
    assert pretrain(tmp_path, *ENDLESS, "--max_steps", str(steps + 2)) == 0
    out = capsys.readouterr().out
    assert f"after step {steps}\n" in out
    assert f"Stopped after step {steps + 2} " in out


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
def test_ctrl_c_during_imports_is_one_sentence():
    line = [sys.executable, "-m", "m2bert.pretrain"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as starting:
        maps = Path(f"/proc/{starting.pid}/maps")
        wait_until(lambda: "libtorch" in maps.read_text())  # now it imports for some time
        starting.send_signal(signal.SIGINT)
        _, errors = starting.communicate(timeout=TIME_LIMIT)
    assert (starting.returncode, errors) == (130, "\ninterrupted during startup\n")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks processes up in /proc")
def test_killed_run_leaves_no_lock_and_no_readers(data_root, tmp_path, pretrain):
    with running(data_root, tmp_path, *ENDLESS, after=1) as first:
        # the run and its reader have the files open
        wait_until(lambda: len(processes_with(data_root, "maps")) == 2)
        with pytest.raises(UserError, match="another process is training"):
            pretrain(tmp_path, *ENDLESS)
        assert first.is_alive()
    # processes that read batches may outlive it, but do not lock the folder
    assert pretrain(tmp_path, *ENDLESS, "--max_steps", "1") == 0
    wait_until(lambda: not processes_with(data_root, "maps"))


def test_lost_or_damaged_state_changes_nothing(tmp_path, pretrain):
    assert pretrain(tmp_path, "--epochs", "1") == 0
    log, state = (tmp_path / "log").read_text(), tmp_path / "state.safetensors"
    whole = state.read_bytes()
    for damage, message in (
        (lambda: state.write_bytes(whole[:-1000]), r"state\.safetensors .* damaged"),
        (state.unlink, r"state\.safetensors is gone"),
        (lambda: (tmp_path / "settings.json").write_text("[]"), r"settings\.json"),
    ):
        damage()
        with pytest.raises(UserError, match=message):
            pretrain(tmp_path, "--epochs", "1")
    assert (tmp_path / "log").read_text() == log


def test_max_steps_stops_a_run_that_can_be_resumed(tmp_path, pretrain, capsys, uninterrupted):
    recipe = ["--recipe", "small", "--epochs", "2", "--warmup_steps", "3", "--dropout", "0.1"]
    assert pretrain(tmp_path / "whole", *recipe) == 0
    assert "recipe: epochs 2, lr 0.001, schedule cosine, warmup_steps 3," in capsys.readouterr().out
    assert lines_in(tmp_path / "whole", "epoch")[0] != lines_in(uninterrupted, "epoch")[0]
    parts = tmp_path / "parts"
    # 9 steps are an epoch: its record is complete
    for limit, keys in (("2", 3), ("2", 3), ("9", 10), ("13", 3)):
        assert pretrain(parts, *recipe, "--max_steps", limit) == 0
        assert f"Stopped after step {limit} " in capsys.readouterr().out
        record = read_record(parts / "model")
        assert (record["step"], len(record)) == (int(limit), keys)
        if keys == 10:  # as if killed before the epoch's line was written
            assert (parts / "curves.png").exists()
            lines = (parts / "metrics.jsonl").read_text().splitlines(keepends=True)
            assert '"kind": "epoch"' in lines[-1]
            (parts / "metrics.jsonl").write_text("".join(lines[:-1]))
    assert pretrain(parts, *recipe) == 0
    assert_same_run(parts, tmp_path / "whole")
    # a finished run is not repeated; another number of epochs would be another schedule
    state = parts / "state.safetensors"
    before = state.stat().st_mtime_ns
    assert pretrain(parts, *recipe) == 0
    assert "Finished: 2 epochs" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"other settings .*epochs was 2 and is now 3.*rc_range"):
        pretrain(parts, *recipe, "--epochs", "3", "--rc_range", "2", "6", "6")
    assert state.stat().st_mtime_ns == before


def test_two_processes_have_the_gradients_of_one(data_root, tmp_path):
    out = tmp_path / "two.safetensors"
    forked.run_two(save_gradients, data_root, 3, out)
    together, _ = load_tensors(out)
    alone = gradients(Processes(torch.device("cpu")), data_root, 1)
    assert alone.keys() == together.keys()
    metrics = alone.pop("metrics")
    assert len(alone) == 4
    for name, gradient in alone.items():
        assert (gradient - together[name]).norm() / gradient.norm() < 1e-6, name
    torch.testing.assert_close(metrics, together["metrics"], rtol=1e-5, atol=0)


def test_run_stops_after_epochs_without_a_gain(tmp_path, pretrain, capsys, monkeypatch):
    monkeypatch.setattr(run, "PATIENCE", 2)
    assert pretrain(tmp_path, "--epochs", "9", "--lr", "0", "--num_workers", "0") == 0
    assert "Finished: 3 epochs, the best was epoch 1 " in capsys.readouterr().out


# Bad input


def test_infinite_loss_stops_the_run(tmp_path, pretrain):
    with pytest.raises(UserError, match=r"not finite at step [0-9]+") as raised:
        pretrain(tmp_path, "--epochs", "1", *SAVES_EACH_STEP, "--lr", "1e30")
    # the saved state is from before
    assert steps_done(tmp_path) <= int(re.search("step ([0-9]+)", str(raised.value)).group(1))
    tensors, _ = load_tensors(tmp_path / "state.safetensors")
    assert all(t.isfinite().all() for n, t in tensors.items() if n.startswith("exp_avg."))


def test_full_disk_keeps_the_last_state(tmp_path, pretrain):
    assert pretrain(tmp_path, "--max_steps", "3") == 0
    before = (tmp_path / "state.safetensors").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # no file grows beyond
    try:
        with pytest.raises(OSError, match=r"state\.safetensors"):
            pretrain(tmp_path, "--max_steps", "6")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert not list(tmp_path.rglob(".*.tmp"))
    assert pretrain(tmp_path, "--max_steps", "6") == 0


def test_missing_corpora_and_uneven_batches_are_rejected(tmp_path, pretrain):
    with pytest.raises(UserError, match="third"):
        pretrain(tmp_path, "--datasets", "first", "third")
    with pytest.raises(UserError, match="evenly"):
        pretrain(tmp_path, "--accumulation_steps", "3")
    assert not list(tmp_path.iterdir())


# Options


@pytest.mark.parametrize(
    ("flags", "losses"),
    [
        (["--pianoroll", "full", "--corruption", "mlm", "--mask_percent", "0.15"], 5),
        (["--pianoroll", "nochroma"], 5),
        (["--pianoroll", "none", "--accumulation_steps", "2"], 4),
    ],
)
def test_ablations_train(tmp_path, pretrain, flags, losses):
    assert pretrain(tmp_path, "--max_steps", "3", *flags) == 0
    line = lines_in(tmp_path, "steps")[-1]
    assert len([name for name in line if name.endswith("_loss")]) == losses
    assert all(f"{field.lower()}_acc" in line for field in FIELDS)


def test_init_ckpt_gives_the_initial_weights(tmp_path, pretrain):
    torch.manual_seed(5)
    model, start = M2BertForPreTraining(preset("tiny")), tmp_path / "start.ckpt"
    save_published(start, model, {})
    more = ["--init_ckpt", str(start), "--max_steps", "1", "--lr", "1e-9"]
    assert pretrain(tmp_path / "run", *more) == 0
    trained = M2BertForPreTraining.from_pretrained(tmp_path / "run/model")
    weights = model.state_dict()
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", ["mine", "pop909"])
def test_copies_of_songs_are_counted_and_kept_together(tmp_path, pretrain, capsys, name):
    rng = np.random.default_rng(0)
    songs = [patterned_song(rng, 30 + n) for n in range(20)]
    write_corpus(tmp_path, name, [*songs, *songs])
    words = ["--data_root", str(tmp_path), "--datasets", name, "--max_steps", "1"]
    assert pretrain(tmp_path / "run", *words) == 0
    printed = capsys.readouterr().out
    assert "warning: 20 songs are duplicates" in printed
    moved = json.loads((tmp_path / "run/settings.json").read_text()).get("copies_moved", 0)
    leaked = int(re.search("([0-9]+) validation songs are duplicates", printed).group(1))
    assert (moved > 0, leaked > 0) == ((True, False) if name == "mine" else (False, True))
    if name == "pop909":
        assert "training: 34 songs" in printed


def test_excluded_songs_are_not_read(tmp_path, pretrain, capsys):
    names = tmp_path / "names.txt"
    corpora = ("first", "second")
    names.write_text("".join(f"{c}/song_{i}.mid\n" for c in corpora for i in range(18)))
    assert pretrain(tmp_path / "run", "--exclude_songs", str(names), "--max_steps", "1") == 0
    assert "training: 3 songs" in capsys.readouterr().out
