"""The command `python -m m2bert.results`."""

import subprocess
import sys

import numpy as np
import pytest

from m2bert.base.outputs import RECORD
from m2bert.results import main
from tests.helpers.commands import ENVIRONMENT, call_main
from tests.helpers.result_samples import write_policy, write_result


@pytest.fixture
def results(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder with the results of two models; returns what it prints."""
    scores = {"melody": 0.8, "emotion": 0.6}
    write_policy(tmp_path / "scratch$1e-3$_^", scores, np.random.default_rng(1))
    write_policy(tmp_path / "base", scores, np.random.default_rng(0))
    monkeypatch.chdir(tmp_path)

    def call(*words):
        call_main(main, *words)
        return capsys.readouterr().out

    return call


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_results_of_one_folder(results, tmp_path):
    (tmp_path / "base/seed_2022/emotion_fold_3/result.json").unlink()
    printed = results("base", "--plot", "--save_dir", "out")
    assert "missing: emotion seed 2022 fold 3\n" in printed
    (row,) = (line for line in printed.splitlines() if line.startswith("ME  melody   accuracy"))
    assert f"| {' | '.join(row.split()[:5])} |" in (tmp_path / "out/results.md").read_text()
    assert "ME  melody   bridge" in printed  # a class
    assert len((tmp_path / "out/results.csv").read_text().splitlines()) == 1 + 2
    plots = [f"plots/{name}.png" for name in ("confusion_emotion", "confusion_melody", "scores")]
    tables = ["classes.csv", "classes.md", "results.csv", "results.md"]
    assert files_of(tmp_path / "out") == [RECORD, *tables[:2], *plots, *tables[2:]]


def test_results_of_several_folders_are_columns_that_are_only_printed(results, tmp_path):
    printed = results("scratch$1e-3$_^", "base")
    (row,) = (line for line in printed.splitlines() if line.startswith("ME  melody   accuracy"))
    assert len(row.split()) == 3 + 2 + 2 + 1  # names, means, seeds, majority
    assert not list(tmp_path.rglob("*.md"))


def test_results_compares_two_folders(results, tmp_path):
    printed = results("--compare", "scratch$1e-3$_^", "base", "--plot")
    assert "A: scratch$1e-3$_^  B: base" in printed
    written = [path for path in files_of(tmp_path / "base") if "seed_" not in path]
    assert written == [RECORD, "comparison.csv", "comparison.md", "plots/comparison.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--compare", "base"], "--compare needs two"),
        (["column.jsonl", "--plot"], "--plot needs --save_dir"),
    ],
)
def test_results_rejects_wrong_arguments(arguments, words, capsys):
    with pytest.raises(SystemExit) as rejected:
        call_main(main, *arguments)
    assert rejected.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_results_writes_files_after_its_reader_stops(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    line = f"set -o pipefail; {sys.executable} -m m2bert.results {tmp_path} | true"
    done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "classes.md").exists()
