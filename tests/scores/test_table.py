"""Tables of scores."""

import json
from dataclasses import replace

import numpy as np
import pytest

from m2bert.base.tables import markdown_text, terminal_text
from m2bert.scores.results import read_results
from m2bert.scores.table import columns_table, score_table
from m2bert.tasks import TASKS
from tests.helpers.result_samples import SETTINGS, write_policy, write_result

SCORES = {name: 0.3 + 0.6 * place / len(TASKS) for place, name in enumerate(TASKS)}


def table_of(folder):
    return score_table(read_results(folder), folder)


def row_of(folder, task):
    return next(row for row in table_of(folder).records if row["task"] == task)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A folder with all runs of the policy; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("complete")
    write_policy(folder, SCORES, np.random.default_rng(3))
    return folder


def plain_seed_scores(folder, task, part):
    """Test scores of the seeds of one task, straight from a part of the files."""
    scores = []
    for seed in TASKS[task].seeds:
        folds = (folder / f"seed_{seed}").glob(f"{task}_fold_*/result.json")
        files = sorted(folds) or [folder / f"seed_{seed}/{task}/result.json"]
        found = [part(json.loads(file.read_text()))["test_score"] for file in files]
        scores.append(round(sum(found) / len(found), 4))
    return scores


def test_scores_equal_a_plain_calculation(complete):
    table = table_of(complete)
    assert [row["task"] for row in table.records] == list(TASKS)
    for row, task in zip(table.records, TASKS.values(), strict=True):
        scores = plain_seed_scores(complete, task.name, lambda result: result)
        majority = plain_seed_scores(complete, task.name, lambda result: result["majority_class"])
        expected = {
            "mean": np.mean(scores),
            "sd": np.std(scores, ddof=1) if len(scores) > 1 else None,
            "majority": np.mean(majority),
            "clean": np.mean(scores) - 0.01 if task.metric == "grid_accuracy" else None,
            "runs": len(task.seeds),
            "expected_runs": len(task.seeds),
            "trainings": len(task.seeds) * max(task.folds, 1),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert not table.notes[0].startswith("missing")
    rows = {row["acronym"]: row for row in table.records}
    proposed = [rows[acronym]["published_proposed"] for acronym in ("SGC", "OTC", "MNID")]
    assert proposed == [0.405, 0.725, 0.718]
    assert (rows["ER"]["published_rc"], rows["ER"]["published_nochroma"]) == (0.658, 0.674)


@pytest.mark.parametrize(
    ("scores", "task", "row", "missing"),
    [
        (
            {("melody", 2022, None): 0.75},
            "melody",
            {"mean": 0.75, "sd": None, "runs": 1, "trainings": 1},
            "melody seed 2021",
        ),
        (
            {("composer", 2021, 0): 0.9},
            "composer",
            {"mean": None, "sd": None, "majority": None, "runs": 0, "trainings": 1},
            "composer seed 2021 fold 1, 2, 3, 4; composer seed 2022",
        ),
        (
            {("composer", 2021, fold): 0.1 * fold for fold in range(5)}
            | {("composer", 2022, fold): 0.9 for fold in (0, 1, 2, 4)},
            "composer",
            {"mean": 0.2, "sd": None, "runs": 1, "trainings": 9},
            "composer seed 2022 fold 3",
        ),
        (
            {("melody", 2021, None): 0.5, ("melody", 7, None): 0.7, ("emotion", 7, 2): 0.7},
            "melody",
            {"mean": 0.6, "runs": 2, "expected_runs": 2, "other_runs": 1},
            "emotion seed 7 fold 0, 1, 3, 4; emotion seed 2021; emotion seed 2022; "
            "melody seed 2022",
        ),
    ],
    ids=["a seed", "no complete seed", "an incomplete seed", "own seeds"],
)
def test_only_complete_seeds_count_and_gaps_are_named(tmp_path, scores, task, row, missing):
    for run, score in scores.items():
        write_result(tmp_path, *run, score)
    assert row_of(tmp_path, task).items() >= row.items()
    assert table_of(tmp_path).notes[0] == f"missing: {missing}"


def test_an_own_task_has_one_row_and_only_the_columns_with_values(tmp_path, monkeypatch):
    own = replace(TASKS["melody"], acronym="OWN", name="own|task", seeds=(1,), folds=2)
    monkeypatch.setitem(TASKS, own.name, own)
    for fold, score in enumerate((0.5, 0.6)):
        write_result(tmp_path, own.name, 1, fold, score)
    table = table_of(tmp_path)
    assert terminal_text(table).splitlines()[2:6] == [
        "                                        majority",
        "     task      metric     mean    runs     class",
        "---  --------  --------  -----  ------  --------",
        "OWN  own|task  accuracy  0.550  1 of 1     0.275",
    ]
    assert r"| OWN | own\|task | accuracy | 0.550 |" in markdown_text(table)
    assert len(table.notes) == 4
    checkpoint, settings = table.notes[-2:]
    assert checkpoint == "checkpoint: runs/base/model_best"
    assert "model.num_hidden_layers=12, epochs=10, lr=2e-05" in settings


def test_columns_table_has_the_mean_of_each_model(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    write_result(a, "melody", 2021, None, 0.5)
    write_result(a, "melody", 2022, None, 0.7)
    write_result(a, "chordroot", 2021, None, 0.3)
    write_result(a, "composer", 2021, 0, 0.5)  # without the other folds
    write_result(b, "melody", 2021, None, 0.8, settings=SETTINGS | {"lr": 1.0}, checkpoint=None)
    table = columns_table({"task": read_results(a), "b": read_results(b)})
    cells = dict(zip(("acronym", "name", "metric", "a", "b"), table.cells(), strict=False))
    assert cells["metric"][1] == ["16th-grid accuracy", "on the clean grid", "accuracy", "accuracy"]
    assert cells["a"] == ("task", ["0.300", "0.290", "0.600", ""])
    assert cells["b"] == ("b", ["", "", "0.800", ""])
    assert [row["seeds"] for row in table.records] == ["1 0", "1 0", "2 1", "0 0"]
    assert table.records[2]["majority"] == 0.3
    assert table.notes[-4] == "checkpoint: task runs/base/model_best; b none (random weights)"
    assert "lr" not in table.notes[-3]
    assert table.notes[-2:] == ["settings of task: lr=2e-05", "settings of b: lr=1.0"]
