"""The table: figures against a plain calculation, gaps named, own tasks, own seeds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from m2bert.base.tables import markdown_text, terminal_text
from m2bert.scores.results import read_results
from m2bert.scores.table import score_table
from m2bert.tasks import TASKS
from tests.helpers.result_samples import write_policy, write_result

SCORES = {name: 0.3 + 0.6 * place / len(TASKS) for place, name in enumerate(TASKS)}


def table_of(folder):
    return score_table(read_results(folder), folder)


def row_of(folder, task):
    return next(row for row in table_of(folder).records if row["task"] == task)


def notes_of(folder):
    notes = dict(note.partition(": ")[::2] for note in table_of(folder).notes)
    return {what: notes.get(what) for what in GAPS}


GAPS = ("missing", "without any result", "of other seeds than the policy's")


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
        figures = [part(json.loads(file.read_text()))["test_score"] for file in files]
        scores.append(round(sum(figures) / len(figures), 4))
    return scores


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_figures_equal_a_plain_calculation(complete, task):
    row = row_of(complete, task.name)
    scores = plain_seed_scores(complete, task.name, lambda result: result)
    commonest = plain_seed_scores(complete, task.name, lambda result: result["commonest_class"])
    expected = {
        "mean": np.mean(scores),
        "sd": np.std(scores, ddof=1) if len(scores) > 1 else None,
        "commonest": np.mean(commonest),
        "clean": np.mean(scores) - 0.01 if task.metric == "grid_accuracy" else None,
        "runs": len(task.seeds),
        "expected_runs": len(task.seeds),
        "trainings": len(task.seeds) * max(task.folds, 1),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_published_scores_stand_beside(complete):
    rows = {row["acronym"]: row for row in table_of(complete).records}
    assert " ".join(rows).startswith("SGC BP DbP CR LK ME VE OTC PS ER VF MNID")
    proposed = [rows[acronym]["published_proposed"] for acronym in ("SGC", "OTC", "MNID")]
    assert proposed == [0.405, 0.725, 0.718]
    assert (rows["ER"]["published_rc"], rows["ER"]["published_nochroma"]) == (0.658, 0.674)


def test_nothing_is_said_to_be_missing_if_nothing_is(complete):
    assert notes_of(complete) == dict.fromkeys(GAPS)


@pytest.mark.parametrize(
    ("scores", "task", "row", "missing", "others"),
    [
        (
            {("melody", 2022, None): 0.75},
            "melody",
            {"mean": 0.75, "sd": None, "runs": 1, "trainings": 1},
            "melody seed 2021",
            None,
        ),
        (
            {("composer", 2021, 0): 0.9},
            "composer",
            {"mean": None, "sd": None, "commonest": None, "runs": 0, "trainings": 1},
            "composer seed 2022; composer seed 2021 folds 1, 2, 3, 4",
            None,
        ),
        (
            {("composer", 2021, fold): 0.1 * fold for fold in range(5)}
            | {("composer", 2022, fold): 0.9 for fold in (0, 1, 2, 4)},
            "composer",
            {"mean": 0.2, "sd": None, "runs": 1, "trainings": 9},
            "composer seed 2022 fold 3",
            None,
        ),
        (
            {("melody", 2021, None): 0.5, ("melody", 7, None): 0.7, ("emotion", 7, 2): 0.7},
            "melody",
            {"mean": 0.6, "runs": 2, "expected_runs": 2, "other_runs": 1},
            "melody seed 2022; emotion seeds 2021, 2022; emotion seed 7 folds 0, 1, 3, 4",
            "melody seed 7; emotion seed 7 fold 2",
        ),
    ],
    ids=["a seed", "no complete seed", "an incomplete seed", "own seeds"],
)
def test_only_complete_seeds_count_and_gaps_are_named(tmp_path, scores, task, row, missing, others):
    for run, score in scores.items():
        write_result(tmp_path, *run, score)
    assert row_of(tmp_path, task).items() >= row.items()
    begun = {name for name, _, _ in scores}
    none = ", ".join(name for name in TASKS if name not in begun)
    assert notes_of(tmp_path) == dict(zip(GAPS, (missing, none, others), strict=True))


def test_tasks_without_results_keep_their_rows(tmp_path):
    write_result(tmp_path, "melody", 2022, None, 0.75)
    cells = {row[1]: row for row in table_of(tmp_path).cells}
    assert list(cells) == list(TASKS)
    assert cells["melody"][3:6] == ["0.750", "", "1 of 2"]
    assert cells["beat"][3:6] == ["", "", "0 of 1"]


def test_a_task_of_ones_own_gets_a_row(tmp_path, monkeypatch):
    name = "which_of_my_many_instruments"
    own = replace(TASKS["melody"], acronym="OWN", name=name, title="x", seeds=(1,), folds=2)
    monkeypatch.setitem(TASKS, name, own)
    write_result(tmp_path, name, 1, 0, 0.5)
    write_result(tmp_path, name, 1, 1, 0.6)
    row = row_of(tmp_path, name)
    assert (row["mean"], row["published_proposed"]) == (0.55, None)
    table = table_of(tmp_path)
    assert len(table.records) == len(TASKS)
    assert max(map(len, terminal_text(table).splitlines())) <= 120
    assert name in markdown_text(table)


def test_settings_and_checkpoint_are_shown(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    checkpoint, settings = table_of(tmp_path).notes[-2:]
    assert checkpoint == "checkpoint: runs/base/model_best"
    assert "epochs=10, lr=2e-05" in settings
    assert "model.num_hidden_layers=12" in settings
