"""The command `python -m m2bert.results`."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from m2bert.base.outputs import RECORD
from m2bert.results import main
from m2bert.tasks import TASKS
from tests.helpers.commands import run
from tests.helpers.result_samples import SETTINGS, write_policy, write_result


@pytest.fixture
def results(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder with the results of two models; returns what it prints."""
    scores = {"melody": 0.8, "emotion": 0.6}
    write_policy(tmp_path / "scratch", scores, np.random.default_rng(1), settings={"lr": 1.0})
    write_policy(tmp_path / "base", scores, np.random.default_rng(0))
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["results", *words])
        main()
        return capsys.readouterr().out

    return run


def test_a_folder_becomes_a_table(results, tmp_path):
    base = tmp_path / "base"
    (base / "seed_2022/emotion_fold_3/result.json").unlink()
    printed = results("base", "--plot")
    assert "missing: emotion seed 2022 fold 3\n" in printed
    assert "written: base/results.md, base/results.csv\n" in printed
    (row,) = (line for line in printed.splitlines() if line.startswith("ME "))
    assert row.split()[:3] == ["ME", "melody", "accuracy"]
    assert f"| {' | '.join(row.split()[:5])} |" in (base / "results.md").read_text()
    assert len((base / "results.csv").read_text().splitlines()) == 1 + len(TASKS)
    pictures = ["confusion_emotion.png", "confusion_melody.png", "scores.png"]
    assert sorted(path.name for path in (base / "plots").iterdir()) == pictures


def test_two_folders_are_compared(results, tmp_path):
    printed = results("--compare", "scratch", "base", "--plot", "--save_dir", "out")
    assert "A: scratch  B: base" in printed
    assert "lr 1.0 and 2e-05" in printed
    written = [RECORD, "comparison.csv", "comparison.md", "comparison.png"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == written
    assert not (tmp_path / "base" / "comparison.md").exists()


def test_dollar_signs_in_names_are_drawn_as_they_are(results, tmp_path, monkeypatch):
    for name in ("scratch", "base"):
        (tmp_path / name).rename(tmp_path / f"{name}$1e-3$_^")
    own = replace(TASKS["melody"], title="$^$", classes=("padding", "$_$", "b", "c"), acronym="$_$")
    monkeypatch.setitem(TASKS, "melody", own)
    results("--compare", "scratch$1e-3$_^", "base$1e-3$_^", "--plot", "--save_dir", "out")
    assert (tmp_path / "out/plots/comparison.png").exists()
    write_result(tmp_path / "own", "melody", 2021, None, 0.5)
    results("own", "--plot")
    assert (tmp_path / "own/plots/confusion_melody.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "either one folder"), (["base", "--compare", "base", "scratch"], "either one folder")],
)
def test_wrong_arguments_are_refused(arguments, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["results", *arguments])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_refused_folder_keeps_its_earlier_table(tmp_path):
    (tmp_path / "results.md").write_text("earlier")
    write_result(tmp_path, "melody", 2021, None, 0.5)
    write_result(tmp_path, "melody", 7, None, 0.5, settings=SETTINGS | {"epochs": 2})
    done = run("-m", "m2bert.results", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "epochs 10 and 2" in done.stderr
    assert (tmp_path / "results.md").read_text() == "earlier"
