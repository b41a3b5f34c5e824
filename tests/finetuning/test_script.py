"""The script that fine-tunes on all tasks, several trainings at a time."""

import shutil
import subprocess
from pathlib import Path

import pytest

from m2bert.scores.results import read_results
from tests.helpers.commands import ONE_THREAD, processes_with, wait_until
from tests.helpers.shared import REPOSITORY


def script(inputs: Path, save_root: Path, *flags: str) -> list[str]:
    folders = [inputs / "pretrained", inputs / "data", inputs / "data"]
    words = ["bash", REPOSITORY / "scripts/finetune_modernbert_script.sh", *folders, *flags]
    return [str(word) for word in [*words, "--seed", "2021", "--save_root", save_root]]


def test_script_is_stopped_and_resumed_and_prints_the_table(finetuning_inputs, tmp_path):
    call = script(finetuning_inputs, tmp_path / "out", "--epochs", "12")
    environment = ONE_THREAD | {"JOBS": "2"}
    stopped = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: list((tmp_path / "out").glob("*/*/result.json")))
    stopped.terminate()
    assert stopped.wait(timeout=60) == 130
    assert not processes_with(tmp_path / "out")
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*/*/result.json")}
    assert 1 <= len(kept) < 7

    options = {"capture_output": True, "text": True, "timeout": 300, "cwd": tmp_path}
    done = subprocess.run(call, env=environment, **options)
    assert done.returncode == 0, done.stderr
    folds = {("composer", 2021, fold) for fold in range(5)}
    expected = {("melody", 2021, None), ("localkey", 2021, None)} | folds
    assert set(read_results(tmp_path / "out")) == expected
    assert done.stdout.count("best epoch") == 7 - len(kept)  # each run once
    assert kept == {p: p.stat().st_mtime_ns for p in kept}
    assert "skipped, no data: genre, beat" in done.stdout
    assert "PS  composer" in done.stdout
    assert (tmp_path / "out/results.csv").exists()


@pytest.mark.parametrize(
    ("visible", "expected"), [(None, "0 0 1"), ("3,GPU-7,5", "3 5 GPU-7"), ("", "- - -")]
)
def test_script_spreads_jobs_over_the_gpus(tmp_path, visible, expected):
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    noted = tmp_path / "noted"
    note = f'if [[ $2 == m2bert.finetune ]]; then echo "${{CUDA_VISIBLE_DEVICES:--}}" >>{noted}; fi'
    programs = {"nvidia-smi": "printf '0\\n1\\n'", ".venv/bin/python": note}
    for name, program in programs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{program}\n")
        path.chmod(0o755)
    environment = {n: v for n, v in ONE_THREAD.items() if n != "CUDA_VISIBLE_DEVICES"}
    environment |= {"PATH": f"{tmp_path}:{ONE_THREAD['PATH']}", "JOBS": "3"}
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    call = ["bash", tmp_path / "scripts/finetune_modernbert_script.sh"]
    subprocess.run(call, env=environment, check=True, timeout=60)
    assert " ".join(sorted(noted.read_text().split())) == expected


def test_script_rejects_a_wrong_number_of_jobs(finetuning_inputs, tmp_path):
    call, environment = script(finetuning_inputs, tmp_path), ONE_THREAD | {"JOBS": "x"}
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: JOBS is 'x', not a number of runs at a time (1 or more)\n"
