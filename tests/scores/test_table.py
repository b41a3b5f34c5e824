"""The table: figures against a plain calculation, gaps named, own tasks, own seeds."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from m2bert.base.tables import csv_text, markdown_text, terminal_text
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


def plain_seed_scores(folder, task, read):
    """Scores of the seeds of one task, straight from the files."""
    scores = []
    for seed in TASKS[task].seeds:
        folds = (folder / f"seed_{seed}").glob(f"{task}_fold_*/result.json")
        files = sorted(folds) or [folder / f"seed_{seed}/{task}/result.json"]
        figures = [read(json.loads(file.read_text())) for file in files]
        scores.append(round(sum(figures) / len(figures), 4))
    return scores


@pytest.mark.parametrize("task", TASKS)
def test_figures_equal_a_plain_calculation(complete, task):
    row = row_of(complete, task)
    scores = plain_seed_scores(complete, task, lambda result: result["test_score"])
    commonest = plain_seed_scores(
        complete, task, lambda result: result["commonest_class"]["test_score"]
    )
    assert row["mean"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert row["commonest"] == pytest.approx(np.mean(commonest), abs=1e-6)
    if len(scores) > 1:
        assert row["sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-6)
    else:
        assert row["sd"] is None
    assert row["runs"] == row["expected_runs"] == len(TASKS[task].seeds)
    assert row["trainings"] == len(TASKS[task].seeds) * max(TASKS[task].folds, 1)
    if TASKS[task].metric == "grid_accuracy":
        clean = plain_seed_scores(complete, task, lambda result: result["clean_test_score"])
        assert row["clean"] == pytest.approx(np.mean(clean), abs=1e-6)
    else:
        assert row["clean"] is None


def test_published_scores_stand_beside(complete):
    rows = table_of(complete).records
    acronyms = " ".join(row["acronym"] for row in rows)
    assert acronyms.startswith("SGC BP DbP CR LK ME VE OTC PS ER VF MNID")
    proposed = {row["acronym"]: row["published_proposed"] for row in rows}
    assert (proposed["SGC"], proposed["OTC"], proposed["MNID"]) == (0.405, 0.725, 0.718)
    row = row_of(complete, "emotion")
    assert (row["published_rc"], row["published_nochroma"]) == (0.658, 0.674)


def test_nothing_is_said_to_be_missing_if_nothing_is(complete):
    assert notes_of(complete) == dict.fromkeys(GAPS)


def test_a_seed_without_all_its_folds_does_not_count(tmp_path):
    write_policy(tmp_path, {"composer": 0.5}, np.random.default_rng(3))
    whole = row_of(tmp_path, "composer")
    (tmp_path / "seed_2022" / "composer_fold_3" / "result.json").unlink()
    row = row_of(tmp_path, "composer")
    first, _ = plain_seed_scores(tmp_path, "composer", lambda result: result["test_score"])
    assert (row["mean"], row["sd"], row["runs"], row["trainings"]) == (first, None, 1, 9)
    assert whole["mean"] != first
    assert notes_of(tmp_path)["missing"] == "composer seed 2022 fold 3"


def test_a_task_without_a_complete_seed_has_no_mean(tmp_path):
    write_result(tmp_path, "composer", 2021, 0, 0.9)
    row = row_of(tmp_path, "composer")
    assert (row["mean"], row["commonest"], row["runs"]) == (None, None, 0)
    assert (
        notes_of(tmp_path)["missing"] == "composer seed 2022; composer seed 2021 folds 1, 2, 3, 4"
    )


def test_tasks_without_results_keep_their_rows(tmp_path):
    write_result(tmp_path, "melody", 2022, None, 0.75)
    table = table_of(tmp_path)
    assert [row["task"] for row in table.records] == list(TASKS)
    cells = {row[1]: row for row in table.cells}
    assert cells["melody"][3:6] == ["0.750", "", "1 of 2"]
    assert cells["beat"][3:6] == ["-", "", "0 of 1"]
    notes = notes_of(tmp_path)
    assert notes["missing"] == "melody seed 2021"
    assert notes["without any result"].split(", ") == [name for name in TASKS if name != "melody"]


def test_own_seeds_count_and_are_named(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    write_result(tmp_path, "melody", 7, None, 0.7)
    write_result(tmp_path, "emotion", 7, 2, 0.7)
    row = row_of(tmp_path, "melody")
    assert (row["mean"], row["runs"], row["expected_runs"]) == (0.6, 2, 2)
    notes = notes_of(tmp_path)
    assert notes["of other seeds than the policy's"] == "melody seed 7; emotion seed 7 fold 2"
    assert notes["missing"] == (
        "melody seed 2022; emotion seeds 2021, 2022; emotion seed 7 folds 0, 1, 3, 4"
    )


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


def test_terminal_markdown_and_csv_agree(complete):
    table = table_of(complete)
    lines = terminal_text(table).splitlines()
    assert max(map(len, lines)) <= 120
    in_markdown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown_text(table).splitlines()
        if line.startswith("|")
    ]
    assert in_markdown[2:] == [list(row) for row in table.cells]
    for row, line in zip(table.cells, lines[5:], strict=False):
        assert line.split() == " ".join(row).split()
    for read, row, cells in zip(
        csv.DictReader(csv_text(table.records).splitlines()),
        table.records,
        table.cells,
        strict=True,
    ):
        assert read == {name: "" if value is None else str(value) for name, value in row.items()}
        assert f"{float(read['mean']):.3f}" == cells[3]


def test_settings_and_checkpoint_are_shown(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    checkpoint, settings = table_of(tmp_path).notes[-2:]
    assert checkpoint == "checkpoint: runs/base/model_best"
    assert "epochs=10, lr=2e-05" in settings
    assert "model.num_hidden_layers=12" in settings
