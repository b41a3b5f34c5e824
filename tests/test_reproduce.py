"""The script of the study on tiny data."""

import subprocess
from pathlib import Path

import numpy as np

from tests.helpers.commands import ONE_THREAD, processes_with, wait_until
from tests.helpers.shared import REPOSITORY
from tests.helpers.synthetic import patterned_song, write_corpus
from tests.helpers.task_files import write_task


def start(runs_dir: Path, **variables: str) -> subprocess.Popen:
    words = ["bash", REPOSITORY / "scripts/reproduce.sh", "no_midi", "no_smc", runs_dir]
    words += ["--preset", "tiny", "--cpu"]
    variables = {"DATASETS": "pop909", "OBJECTIVES": "rc"} | variables
    return subprocess.Popen(
        list(map(str, words)), env=ONE_THREAD | variables, stdout=subprocess.PIPE, text=True
    )


def test_reproduce_stops_and_resumes(tmp_path):
    rng = np.random.default_rng(0)
    write_corpus(tmp_path / "corpora", "pop909", [patterned_song(rng, 120) for _ in range(5)])
    write_task(tmp_path / "finetune_data", "beat")

    assert start(tmp_path, MINUTES="0.005").wait(timeout=60) == 124

    metrics = tmp_path / "pretrain/rc/metrics.jsonl"
    endless = start(tmp_path, PRETRAIN_FLAGS="--epochs 100000 --log_steps 1")
    wait_until(lambda: metrics.exists() and metrics.stat().st_size > 0)
    endless.terminate()  # as `timeout` does
    printed, _ = endless.communicate(timeout=60)
    assert endless.returncode == 143
    assert int(printed.split("Stopped after step ")[1].split()[0]) > 0
    assert not processes_with(tmp_path)

    resumed = start(tmp_path, PRETRAIN_FLAGS="--epochs 1", FINETUNE_FLAGS="--epochs 1")
    printed, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0
    assert printed.count("beat, seed 2021: best epoch") == 1
    results = tmp_path / "results"
    assert "| BP | beat | F1 |" in (results / "results.md").read_text()
    kept = {path.name for path in results.glob("rc*")}
    assert kept == {"rc.jsonl", "rc_log", "rc_metrics.jsonl", "rc_curves.png"}
