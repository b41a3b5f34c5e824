"""Reading results: what belongs together is read, everything else is refused in a sentence."""

import json

import pytest

from m2bert.base.errors import UserError
from m2bert.finetuning.result import RunKey
from m2bert.scores.results import read_results
from m2bert.scores.table import score_table
from tests.helpers.result_samples import SETTINGS, write_result


def refusal(folder):
    with pytest.raises(UserError) as refused:
        read_results(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def folder(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    write_result(tmp_path, "melody", 2022, None, 0.6)
    return tmp_path


def test_results_are_found_by_run(folder):
    unfinished = write_result(folder, "velocity", 2023, None, 0.5)
    unfinished.rename(unfinished.with_name(".result.json.123.tmp"))  # as a killed run leaves it
    for seed in (7, 8):
        for fold in (3, 4):  # which have data of their own
            write_result(folder, "composer", seed, fold, 0.25)
    results = read_results(folder)
    assert {run: result["test_score"] for run, result in results.items()} == {
        RunKey("melody", 2021, None): 0.5,
        RunKey("melody", 2022, None): 0.6,
        **{RunKey("composer", seed, fold): 0.25 for seed in (7, 8) for fold in (3, 4)},
    }


def test_a_missing_folder_and_one_without_results_are_named(tmp_path):
    assert str(tmp_path / "gone") in refusal(tmp_path / "gone")
    assert f"no result in {tmp_path}" in refusal(tmp_path)


@pytest.mark.parametrize(
    "text", ["", '{"format_version": 1, "task": "mel', "[1, 2]", "{}", '{"format_version": 1}']
)
def test_a_damaged_file_is_named(folder, text):
    path = folder / "seed_2022" / "melody" / "result.json"
    path.write_text(text)
    assert str(path) in refusal(folder)


@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_score_may_be_missing(folder, score):
    write_result(folder, "melody", 2022, None, 0.5, test_score=score)
    results = read_results(folder)
    assert results["melody", 2022, None]["test_score"] is None
    (row,) = [row for row in score_table(results, folder).cells if row[1] == "melody"]
    assert row[3:5] == ["", ""]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format_version": 2}, "format version 2"),
        ({"test_score": "high"}, "test_score"),
        ({"seed": "2022"}, "seed"),
        ({"settings": None}, "settings"),
        ({"commonest_class": {}}, "commonest_class.test_score"),
        ({"data": {}}, "data.test"),
        ({"task": "melodie"}, "'melodie'"),
        ({"fold": 0}, "no folds"),
        ({"task": "composer"}, "is of fold None"),
        ({"task": "composer", "fold": 5}, "is of fold 5"),
        ({"metric": "f1"}, "f1"),
        ({"seed": 2021}, "seed_2021/melody"),
        ({"task": "velocity"}, "seed_2022/velocity"),
        ({"settings": SETTINGS | {"lr": 1e-4}}, "lr 2e-05 and 0.0001"),
        ({"settings": SETTINGS | {"model": {}}}, "model.hidden_size 768 and None"),
        ({"data": {"test": {"segments": 8}}}, "different data of melody"),
    ],
)
def test_what_does_not_belong_is_refused(folder, changes, said):
    path = folder / "seed_2022" / "melody" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    message = refusal(folder)
    assert said in message
    assert str(path) in message
