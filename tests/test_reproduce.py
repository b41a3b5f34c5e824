"""The whole study in one command: its order, its limit, its end after kills."""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from m2bert.base.errors import UserError
from m2bert.base.recipes import FINETUNING
from m2bert.base.stop import Stop
from m2bert.pretrain import REDUCED
from m2bert.reproduce import __main__ as reproduce
from m2bert.reproduce.plan import OBJECTIVES, Plan, Stage
from m2bert.reproduce.progress import VALIDATION, progress, read_reached
from m2bert.reproduce.report import duration
from m2bert.tasks import TASKS
from tests.helpers import forked
from tests.helpers.finetuning import ENVIRONMENT, figures
from tests.helpers.shared import REPOSITORY
from tests.helpers.synthetic import patterned_song, write_corpus
from tests.helpers.task_files import write_task


def write_data(runs_dir: Path, *tasks: str) -> Path:
    """The corpora and the data of tasks, as they are prepared."""
    rng = np.random.default_rng(0)
    for name in REDUCED:
        write_corpus(runs_dir / "corpora", name, [patterned_song(rng, 120) for _ in range(5)])
    for name in tasks:
        write_task(runs_dir / "finetune_data", name, segments=12)
    return runs_dir


def words(runs_dir: Path, *flags: str) -> list[str]:
    fixed = ["no_midi", "no_smc", runs_dir, "--preset", "tiny", "--cpu", "--recipe", "small"]
    return [str(word) for word in [*fixed, *flags]]


def run_commands_inside() -> None:
    """Let the commands run in the process that calls them: quick to start and to kill."""

    def run_inside(command: list[str], *_: object, **__: object) -> int:
        _, module, *arguments = command
        sys.argv = [module, *arguments]
        try:
            return importlib.import_module(module).main() or 0
        except UserError:
            return 1

    reproduce.run = run_inside


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Call the command in this process; returns its status."""

    def call(*flags: str) -> int:
        monkeypatch.setattr(sys, "argv", ["reproduce", *words(tmp_path, *flags)])
        monkeypatch.setattr(os, "environ", ENVIRONMENT)
        return reproduce.main()

    return call


def new_plan(runs_dir: Path, *tasks: str, objectives: tuple[str, ...] = tuple(OBJECTIVES)) -> Plan:
    return Plan(
        runs_dir=runs_dir,
        preset="tiny",
        recipe="small",
        epochs=4,
        flags=["--cpu"],
        objectives=list(objectives),
        wanted=[TASKS[name] for name in tasks],
    )


def test_first_every_objective_with_one_seed_then_further_seeds(tmp_path):
    write_data(tmp_path, "beat", "composer", "violin_all")
    tasks = ("beat", "composer", "genre", "violin_all")
    plan = new_plan(tmp_path, *tasks, objectives=("rc", "scratch"))
    first = ("beat", "composer", "violin_all")
    order = [(s.objective, s.seed, tuple(t.name for t in s.tasks)) for s in plan.stages()]
    assert order == [
        ("rc", 0, ()),
        ("rc", 2021, first),
        ("scratch", 2021, first),
        ("rc", 2022, ("composer", "violin_all")),
        ("scratch", 2022, ("composer", "violin_all")),
        *[(name, seed, ("violin_all",)) for seed in (2023, 2024) for name in ("rc", "scratch")],
    ]


@pytest.mark.parametrize(
    ("objective", "flags"),
    [
        ("proposed", "--recipe small"),
        ("rc", "--pianoroll none --recipe small"),
        ("nochroma", "--pianoroll nochroma --recipe small"),
        ("mlm", "--corruption mlm --mask_percent 0.15 --pianoroll none --recipe small"),
    ],
)
def test_what_a_model_is_trained_to_do(tmp_path, objective, flags):
    plan = new_plan(write_data(tmp_path), "melody")
    line = " ".join(plan.command(Stage(objective)))
    assert line.endswith(f"--preset tiny --epochs 4 {flags} --cpu")
    line = " ".join(plan.command(Stage(objective, 7, (TASKS["melody"],))))
    assert f"--ckpt {tmp_path}/pretrain/{objective} " in line
    line = " ".join(plan.command(Stage("scratch", 7, (TASKS["melody"],))))
    assert "--ckpt" not in line
    assert line.endswith("--seed 7 --task melody --recipe small --cpu")


def test_the_time_left_is_told_by_the_speed_seen(tmp_path):
    plan = new_plan(write_data(tmp_path, "beat"), "beat", objectives=("rc", "mlm", "scratch"))

    def told() -> dict[str, dict]:
        return progress(plan, {name: read_reached(plan, name) for name in plan.objectives})

    assert [row["seconds_left"] for row in told().values()] == [None, None, None]
    line = {"kind": "steps", "epoch": 2, "step": 150, "epoch_steps": 100, "seconds_per_step": 2.0}
    folder = plan.pretraining("rc")
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(json.dumps(line | {"notes_per_second": 10.0}) + '\n{"ki')
    notes = sum(
        int((np.load(plan.task_data / f"pm2s_{part}.npy")[..., 0] != 2).sum())
        for part in ("train", "valid", "test")
    )
    tuning = FINETUNING["small"].epochs * notes / 10
    found = told()
    assert found["rc"]["epochs"] == 1.5
    assert found["rc"]["seconds_left"] == round(2.5 * 100 * 2 * VALIDATION + tuning)
    assert found["mlm"]["seconds_left"] == round(4 * 100 * 2 * VALIDATION + tuning)
    assert found["scratch"]["seconds_left"] == round(tuning)
    assert [duration(s) for s in (None, 0, 61, 7200)] == ["unknown", "0 min", "2 min", "2 h 00 min"]


def without_speeds(runs_dir: Path) -> dict:
    record = json.loads((runs_dir / "results/results.json").read_text())
    for row in record["trainings"]:
        for name in [name for name in row if "per_second" in name]:
            del row[name]
    return record


def test_killed_at_random_moments_it_ends_with_the_same_results(tmp_path):
    flags = ["--pretrain_epochs", "2", "--objectives", "rc", "scratch", "--tasks", "beat"]

    def run_until(name: str, limit: float | None = None) -> None:
        line = words(tmp_path / name, *flags)
        process = forked.start(reproduce.main, *line, prepare=run_commands_inside)
        process.join(limit)
        if limit is None:
            assert process.exitcode == 0
        forked.kill(process)

    for name in ("whole", "killed"):
        write_data(tmp_path / name, "beat")
    begun = time.monotonic()
    run_until("whole")
    took = time.monotonic() - begun
    (tmp_path / "killed/results").mkdir()
    (tmp_path / "killed/results/.RESULTS.md.1.tmp").touch()  # killed while it wrote
    for _ in range(10):
        run_until("killed", limit=random.uniform(0, took / 7))
    run_until("killed")
    a, b = tmp_path / "whole", tmp_path / "killed"
    assert without_speeds(a) == without_speeds(b)
    for objective in ("rc", "scratch"):
        results = [figures(folder / "finetune" / objective) for folder in (a, b)]
        for result in [*results[0].values(), *results[1].values()]:
            del result["checkpoint"]  # a path
        assert results[0] == results[1]
    weights = "pretrain/rc/model_best/model.safetensors"
    assert (a / weights).read_bytes() == (b / weights).read_bytes()
    kept = [
        {path.relative_to(folder).as_posix() for path in (folder / "results").rglob("*.*")}
        for folder in (a, b)
    ]
    assert kept[0] == kept[1]
    assert "results/rc/finetune/seed_2021/beat/result.json" in kept[0]
    assert not [name for name in kept[0] if "safetensors" in name]


def test_before_the_limit_it_stops_and_says_what_remains(tmp_path, study, monkeypatch, capfd):
    write_data(tmp_path, "beat")
    flags = ["--pretrain_epochs", "2000", "--objectives", "rc", "--tasks", "beat"]
    metrics = tmp_path / "pretrain/rc/metrics.jsonl"

    def has_trained() -> int:
        """The time is over as soon as there are figures."""
        return signal.SIGTERM if metrics.exists() and metrics.stat().st_size else 0

    with monkeypatch.context() as patched:
        patched.setattr(reproduce, "end_of", lambda *_: has_trained)
        assert study(*flags) == 0
    said = capfd.readouterr().out
    assert int(said.split("Stopped after step ")[1].split()[0]) > 0
    assert "of 2000 epochs; fine-tuning: 0 of 1; left: " in said
    assert "Time left at the speed seen: " in said
    assert "| BP | beat | F1 |" in (tmp_path / "results/RESULTS.md").read_text()
    with pytest.raises(UserError, match=r"recipe was 'small' and is now 'paper'.*another runs_dir"):
        study(*flags, "--recipe", "paper")
    with pytest.raises(UserError, match=r"--minutes 0.002 were over before a step was done"):
        study(*flags, "--minutes", "0.002")


def test_the_end_is_before_the_limit_or_when_it_is_asked_for(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stop = Stop()
    for minutes, seconds in ((230, 229 * 60), (2, 96)):
        end, now[0] = reproduce.end_of(minutes, stop), now[0] + seconds - 1
        assert end() == 0
        now[0] += 1
        assert end() == signal.SIGTERM
    stop.signal = signal.SIGINT
    assert end() == reproduce.end_of(None, stop)() == signal.SIGINT


def test_a_failing_command_ends_it(tmp_path, study, capfd):
    write_data(tmp_path, "beat")
    (tmp_path / "corpora/pop909.npy").write_bytes(b"damaged")
    with pytest.raises(UserError, match="pre-training rc ended with status 1: see above"):
        study("--objectives", "rc", "--tasks", "beat")
    assert "pop909.npy" in capfd.readouterr().err


def test_no_data_is_told_in_a_sentence(tmp_path, study):
    with pytest.raises(UserError, match="there is no corpus in no_midi to pre-train on"):
        study("--objectives", "rc")
    with pytest.raises(UserError, match="there is no data of these tasks in no_smc"):
        study("--objectives", "scratch", "--tasks", "melody")
    assert not (tmp_path / "settings.json").exists()


def test_it_prepares_what_is_not_there(demo_dir, tmp_path):
    script = ["bash", REPOSITORY / "scripts/reproduce.sh", demo_dir, demo_dir / "smc", tmp_path]
    flags = ["--preset", "tiny", "--cpu", "--objectives", "scratch", "--tasks", "downbeat"]
    line = [*map(str, script), *flags]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Time left" not in done.stdout
    assert not (tmp_path / "corpora").exists()
    (row,) = json.loads((tmp_path / "results/results.json").read_text())["scores"]
    assert row["seeds"] == [len(TASKS["downbeat"].seeds)]
    assert 0 < row["scratch"] < 1
