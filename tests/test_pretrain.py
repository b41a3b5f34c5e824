"""Pre-training from the command line: killed, resumed, shared between processes, refused."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import WEIGHTS_FILE, read_record
from m2bert.model.original import save_published
from m2bert.model.tensors import load_tensors, save_tensors
from m2bert.notes.cp import FIELDS
from m2bert.pretrain import main
from tests.helpers.shared import REPOSITORY
from tests.helpers.synthetic import patterned_song, write_corpus

SMALL = ["--preset", "tiny", "--max_seq_len", "64", "--batch_size", "4", "--lr", "1e-3"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
TIME_LIMIT = 240


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        songs = [patterned_song(rng, int(n)) for n in rng.integers(20, 150, 20)]
        write_corpus(folder, name, songs)
    return folder


def arguments(data_root: Path, save_dir: Path, *more: str) -> list[str]:
    places = ["--data_root", str(data_root), "--save_dir", str(save_dir)]
    return [*places, "--datasets", "first", "second", "--cpu", *SMALL, "--log_steps", "3", *more]


def command(*args, program=("-m", "m2bert.pretrain")) -> list[str]:
    return [sys.executable, *program, *arguments(*args)]


def run(line: list[str], **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(line, capture_output=True, text=True, timeout=TIME_LIMIT, **kwargs)


def assert_one_sentence(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode not in (0, None), done.stdout
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for word in words:
        assert word in last


def epochs_in(save_dir: Path) -> list[dict]:
    lines = (save_dir / "metrics.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == "epoch"]


def steps_done(save_dir: Path) -> int:
    state = save_dir / "state.safetensors"
    return load_tensors(state)[1]["steps"] if state.exists() else 0


@contextmanager
def running_until(line: list[str], save_dir: Path, steps: int) -> Iterator[subprocess.Popen]:
    """A run in the background that has saved its state after `steps` steps; killed at the end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, start_new_session=True, **pipes)
    try:
        deadline = time.monotonic() + TIME_LIMIT
        while steps_done(save_dir) < steps and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "log").read_text() == (other / "log").read_text()
    assert epochs_in(one) == epochs_in(other)
    for name in ("model", "model_best"):
        assert read_record(one / name) == read_record(other / name)
        mine, theirs = (load_tensors(run / name / WEIGHTS_FILE)[0] for run in (one, other))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[n]) for n, tensor in mine.items())
    state, other_state = (load_tensors(folder / "state.safetensors")[0] for folder in (one, other))
    assert state.keys() == other_state.keys()
    assert all(torch.equal(tensor, other_state[name]) for name, tensor in state.items())


@pytest.fixture(scope="module")
def uninterrupted(data_root, tmp_path_factory) -> Path:
    save_dir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    done = run(command(data_root, save_dir, "--epochs", "3"))
    assert done.returncode == 0, done.stderr
    return save_dir


def test_a_run_leaves_what_it_promises(uninterrupted):
    log = (uninterrupted / "log").read_text().splitlines()
    assert [line.split(":")[0] for line in log] == ["Epoch 1", "Epoch 2", "Epoch 3"]
    epochs = epochs_in(uninterrupted)
    assert epochs[-1]["valid_loss"] < epochs[0]["valid_loss"]
    best = max(epochs, key=lambda record: record["score"])
    assert read_record(uninterrupted / "model_best")["epoch"] == best["epoch"]
    assert read_record(uninterrupted / "model")["epoch"] == 3
    songs = read_record(uninterrupted)["training"]["songs"]
    card = (uninterrupted / "model_best/README.md").read_text()
    assert f"{songs} songs" in card
    assert f"| epoch | {best['epoch']} |" in card
    assert (uninterrupted / "curves.png").stat().st_size > 1000


def test_killed_at_any_moment_a_run_ends_with_the_same_bits(data_root, tmp_path, uninterrupted):
    line = command(data_root, tmp_path, "--epochs", "3", "--save_minutes", "0")
    for target in (2, 14, 23):
        with running_until(line, tmp_path, target) as killed:
            killed.kill()
    assert run(line).returncode == 0
    assert_same_run(tmp_path, uninterrupted)
    assert not list(tmp_path.rglob(".*.tmp"))


DIES_WHILE_SAVING = """
import os, signal, sys
import m2bert.base.files
from m2bert.pretrain import main

flush, flushed = m2bert.base.files.flush_to_disk, 0

def die(path):
    global flushed
    flushed += path.name.startswith(".state.safetensors")
    if flushed == int(os.environ["DIES_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)
    flush(path)

m2bert.base.files.flush_to_disk = die
sys.exit(main())
"""


def test_killed_while_saving_a_run_ends_with_the_same_bits(data_root, tmp_path, uninterrupted):
    script = tmp_path / "dies.py"
    script.write_text(DIES_WHILE_SAVING)
    save_dir = tmp_path / "run"
    line = command(data_root, save_dir, "--epochs", "3", "--save_minutes", "0", program=[script])
    for saving, steps in (("4", 3), ("6", 3 + 5)):
        environment = os.environ | {"DIES_AT": saving, "PYTHONPATH": os.getcwd()}
        assert run(line, env=environment).returncode == -signal.SIGKILL
        assert list(save_dir.rglob(".*.tmp"))
        assert steps_done(save_dir) == steps
    assert run(command(data_root, save_dir, "--epochs", "3")).returncode == 0
    assert_same_run(save_dir, uninterrupted)


@pytest.mark.parametrize(("processes", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT)])
def test_a_stop_keeps_the_step_under_way(data_root, tmp_path, uninterrupted, processes, number):
    """Ctrl-C on a terminal, or the end of a job, reach readers of batches and launchers as well."""
    program = ["-m", "m2bert.pretrain"]
    if processes > 1:
        program = [*TORCHRUN, str(processes), *program]
    # as many epochs as it takes to be interrupted in
    more = ["--epochs", "10000", "--save_minutes", "0"]
    with running_until(command(data_root, tmp_path, *more, program=program), tmp_path, 5) as run_:
        os.killpg(run_.pid, number)
        out, err = run_.communicate(timeout=TIME_LIMIT)
    steps = steps_done(tmp_path)
    assert f"Stopped after step {steps} " in out
    assert "The same command goes on" in out
    if processes == 1:
        assert run_.returncode == 128 + number
        assert "Traceback" not in err
    done = run(command(data_root, tmp_path, "--epochs", "10000", "--max_steps", str(steps + 2)))
    assert f"after step {steps}\n" in done.stdout
    assert f"Stopped after step {steps + 2} " in done.stdout


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
def test_ctrl_c_while_starting_is_one_sentence(data_root, tmp_path):
    line = command(data_root, tmp_path)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as starting:
        maps = Path(f"/proc/{starting.pid}/maps")
        while "libtorch" not in maps.read_text():  # then it is importing for some time yet
            assert starting.poll() is None
            time.sleep(0.01)
        starting.send_signal(signal.SIGINT)
        _, errors = starting.communicate(timeout=TIME_LIMIT)
    assert starting.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


def test_one_folder_is_for_one_process_at_a_time(data_root, tmp_path):
    line = command(data_root, tmp_path, "--epochs", "10000", "--save_minutes", "0")
    with running_until(line, tmp_path, 1) as first:
        assert_one_sentence(run(line), "another process is training")
        assert first.poll() is None
    # the processes that read batches may outlive it, but do not hold the folder
    assert run([*line, "--max_steps", "1"]).returncode == 0


def test_a_lost_or_damaged_state_does_not_cost_the_rest(data_root, tmp_path):
    line = command(data_root, tmp_path, "--epochs", "1")
    assert run(line).returncode == 0
    log, state = (tmp_path / "log").read_text(), tmp_path / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-1000])
    assert_one_sentence(run(line), "state.safetensors", "damaged")
    save_tensors(state, {"a": torch.ones(1)}, {})
    assert_one_sentence(run(line), "state.safetensors")
    state.unlink()
    assert_one_sentence(run(line), "state.safetensors is gone")
    (tmp_path / "settings.json").write_text("[]")
    assert_one_sentence(run(line), "settings.json")
    assert (tmp_path / "log").read_text() == log


def test_max_steps_ends_early_and_can_be_raised(data_root, tmp_path, uninterrupted):
    # 9 steps are an epoch: its record is complete
    for limit, keys in (("4", 3), ("4", 3), ("9", 10)):
        done = run(command(data_root, tmp_path, "--epochs", "3", "--max_steps", limit))
        assert done.returncode == 0
        assert f"Stopped after step {limit} " in done.stdout
        record = read_record(tmp_path / "model")
        assert record["step"] == int(limit)
        assert record["epoch"] == 1
        assert len(record) == keys
    assert run(command(data_root, tmp_path, "--epochs", "3")).returncode == 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_schedule_goes_on_where_it_was(data_root, tmp_path, uninterrupted):
    recipe = ["--recipe", "small", "--epochs", "2", "--warmup_steps", "3", "--dropout", "0.1"]
    for name, most in (("whole", [None]), ("parts", ["2", "13", None])):
        for steps in most:
            more = [] if steps is None else ["--max_steps", steps]
            done = run(command(data_root, tmp_path / name, *recipe, *more))
            assert done.returncode == 0, done.stderr
    assert "recipe: epochs 2, lr 0.001, schedule cosine, warmup_steps 3," in done.stdout
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    assert epochs_in(tmp_path / "whole")[0] != epochs_in(uninterrupted)[0]
    # another number of epochs would be another schedule
    done = run(command(data_root, tmp_path / "whole", *recipe, "--epochs", "3"))
    assert_one_sentence(done, "other settings", "epochs was 2 and is now 3")


def test_a_finished_run_is_not_done_again(data_root, uninterrupted):
    before = (uninterrupted / "state.safetensors").stat().st_mtime_ns
    done = run(command(data_root, uninterrupted, "--epochs", "3"))
    assert done.returncode == 0
    assert "Finished: 3 epochs" in done.stdout
    assert (uninterrupted / "state.safetensors").stat().st_mtime_ns == before


def test_two_processes_that_split_their_batches_train_as_one(data_root, tmp_path):
    script = REPOSITORY / "tests/helpers/gradients.py"
    files = []
    for processes, accumulation_steps in ((1, 1), (2, 3)):
        out = tmp_path / f"{processes}.safetensors"
        environment = os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
        line = [sys.executable, *TORCHRUN, processes, script]
        line += [data_root, accumulation_steps, "fp32", out]
        done = run([str(word) for word in line], env=environment)
        assert done.returncode == 0, done.stderr
        files.append(load_tensors(out)[0])
    alone, together = files
    assert alone.keys() == together.keys()
    gradients = [name for name in alone if name.startswith("gradient")]
    assert len(gradients) == 4
    for name in gradients:
        difference = (alone[name] - together[name]).norm() / alone[name].norm()
        assert difference < 1e-6, name
    torch.testing.assert_close(alone["figures"], together["figures"], rtol=1e-5, atol=0)


def test_torchrun_pretrains(data_root, tmp_path, uninterrupted):
    program = [*TORCHRUN, "2", "-m", "m2bert.pretrain"]
    done = run(command(data_root, tmp_path, "--epochs", "1", program=program))
    assert done.returncode == 0, done.stderr
    mine, alone = epochs_in(tmp_path)[0], epochs_in(uninterrupted)[0]
    assert mine["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-3)
    assert mine["valid_loss"] == pytest.approx(alone["valid_loss"], rel=1e-3)
    # and one process goes on where two stopped
    assert run(command(data_root, tmp_path, "--epochs", "2")).returncode == 0
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_training_needs_no_midi_library_and_no_pictures():
    blocked = ["miditoolkit", "mido", "matplotlib", "sklearn", "tensorboard"]
    script = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import m2bert.pretrain"
    assert run([sys.executable, "-c", script]).returncode == 0


# What is refused


def in_process(monkeypatch, data_root, save_dir, *more) -> int:
    monkeypatch.setattr(sys, "argv", ["pretrain", *arguments(data_root, save_dir, *more)])
    return main()


def test_a_run_of_other_settings_is_not_touched(data_root, uninterrupted):
    before = sorted((p, p.stat().st_mtime_ns) for p in uninterrupted.rglob("*"))
    more = ["--epochs", "3", "--rc_range", "2", "6", "6", "--seed", "1"]
    done = run(command(data_root, uninterrupted, *more))
    assert_one_sentence(done, "other settings", "rc_range", "seed was 2021 and is now 1")
    assert sorted((p, p.stat().st_mtime_ns) for p in uninterrupted.rglob("*")) == before


def test_a_nan_stops_the_run_and_says_where(data_root, tmp_path):
    more = ["--epochs", "1", "--save_minutes", "0", "--lr", "1e30"]
    done = run(command(data_root, tmp_path, *more))
    assert_one_sentence(done, "not finite at step", "bad_batch.json")
    bad = json.loads((tmp_path / "bad_batch.json").read_text())
    assert len(bad["segments"]) == 4
    assert {"corpus", "file", "first_note", "notes"} <= bad["segments"][0].keys()
    # what was saved last is from before
    assert steps_done(tmp_path) <= bad["step"]
    tensors, _ = load_tensors(tmp_path / "state.safetensors")
    assert all(t.isfinite().all() for n, t in tensors.items() if n.startswith("exp_avg."))


def test_a_full_disk_leaves_the_last_state(data_root, tmp_path):
    assert run(command(data_root, tmp_path, "--max_steps", "3")).returncode == 0
    before = (tmp_path / "state.safetensors").read_bytes()

    def allow_one_megabyte() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    line = command(data_root, tmp_path, "--max_steps", "6")
    assert_one_sentence(run(line, preexec_fn=allow_one_megabyte), "state.safetensors")
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert not list(tmp_path.rglob(".*.tmp"))
    assert run(line).returncode == 0


def test_missing_corpora_and_uneven_batches_are_refused(data_root, tmp_path):
    done = run(command(data_root, tmp_path, "--datasets", "first", "third"))
    assert_one_sentence(done, "third")
    assert_one_sentence(run(command(data_root, tmp_path, "--accumulation_steps", "3")), "evenly")
    assert not list(tmp_path.iterdir())


# Choices


@pytest.mark.parametrize(
    ("flags", "losses"),
    [
        (["--pianoroll", "full", "--corruption", "mlm", "--mask_percent", "0.15"], 5),
        (["--pianoroll", "nochroma"], 5),
        (["--pianoroll", "none", "--accumulation_steps", "2"], 4),
    ],
)
def test_ablations_train(monkeypatch, data_root, tmp_path, flags, losses):
    assert in_process(monkeypatch, data_root, tmp_path, "--max_steps", "3", *flags) == 0
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    terms = [name for name in line if name.endswith("_loss")]
    assert len(terms) == losses
    assert all(f"{field.lower()}_acc" in line for field in FIELDS)


@pytest.mark.parametrize("kind", ["folder", "ckpt"])
def test_starting_from_a_checkpoint(monkeypatch, data_root, tmp_path, kind):
    torch.manual_seed(5)
    model = M2BertForPreTraining(preset("tiny"))
    start = tmp_path / f"start.{kind}"
    if kind == "folder":
        model.save_pretrained(start)
    else:
        save_published(start, model, {})
    more = ["--init_ckpt", str(start), "--max_steps", "1", "--lr", "1e-9"]
    assert in_process(monkeypatch, data_root, tmp_path / "run", *more) == 0
    trained = M2BertForPreTraining.from_pretrained(tmp_path / "run/model")
    weights = model.state_dict()
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-7, rtol=1e-6)


def test_excluded_songs_are_left_out(monkeypatch, capsys, data_root, tmp_path):
    names = tmp_path / "names.txt"
    corpora = ("first", "second")
    names.write_text("".join(f"{c}/song_{i}.mid\n" for c in corpora for i in range(18)))
    more = ["--exclude_songs", str(names), "--max_steps", "1"]
    assert in_process(monkeypatch, data_root, tmp_path / "run", *more) == 0
    assert "training: 3 songs" in capsys.readouterr().out
