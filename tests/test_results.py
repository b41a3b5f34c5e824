"""The command `python -m m2bert.results`, as it is typed."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from m2bert.results import main
from m2bert.tasks import TASKS
from tests.helpers.result_samples import SETTINGS, write_policy, write_result
from tests.helpers.shared import REPOSITORY


def results(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "m2bert.results", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def runs(tmp_path):
    scores = {"melody": 0.8, "emotion": 0.6}
    write_policy(tmp_path / "scratch", scores, np.random.default_rng(1), settings={"lr": 1.0})
    write_policy(tmp_path / "base", scores, np.random.default_rng(0))
    return tmp_path


def test_a_folder_becomes_a_table(runs):
    (runs / "base/seed_2022/emotion_fold_3/result.json").unlink()
    done = results("base", "--plot", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert "missing: emotion seed 2022 fold 3\n" in done.stdout
    assert "written: base/results.md, base/results.csv\n" in done.stdout
    with (runs / "base/results.csv").open() as file:
        rows = {row["task"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(TASKS)
    assert (rows["melody"]["runs"], rows["emotion"]["runs"]) == ("2", "1")
    printed = next(line for line in done.stdout.splitlines() if line.startswith("ME "))
    assert f"{float(rows['melody']['mean']):.3f}" in printed
    assert "| ME | melody | accuracy |" in (runs / "base/results.md").read_text()
    assert sorted(path.name for path in (runs / "base/plots").iterdir()) == [
        "confusion_emotion.png",
        "confusion_melody.png",
        "scores.png",
    ]


def test_two_folders_are_compared(runs):
    done = results("--compare", "scratch", "base", "--plot", "--save_dir", "out", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert "A: scratch  B: base" in done.stdout
    assert "lr 1.0 and 2e-05" in done.stdout
    assert sorted(path.name for path in (runs / "out").rglob("*.*")) == [
        "comparison.csv",
        "comparison.md",
        "comparison.png",
    ]
    assert not (runs / "base" / "comparison.md").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either one folder"),
        (["--compare", "base"], "expected 2 arguments"),
        (["base", "--compare", "base", "scratch"], "either one folder"),
    ],
)
def test_wrong_arguments_are_refused(arguments, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["results", *arguments])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_refused_folder_keeps_its_earlier_table(runs):
    (runs / "base/results.md").write_text("earlier")
    write_result(runs / "base", "melody", 7, None, 0.5, settings=SETTINGS | {"epochs": 2})
    done = results("base", cwd=runs)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "epochs 10 and 2" in done.stderr
    assert (runs / "base/results.md").read_text() == "earlier"
