"""Reading results of fine-tuning, and rejecting those that do not fit together."""

import json

import pytest

from m2bert.base.errors import UserError
from m2bert.finetuning.result import RunKey
from m2bert.scores.results import read_results
from tests.helpers.result_samples import SETTINGS, write_result


@pytest.fixture
def folder(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    write_result(tmp_path, "melody", 2022, None, 0.6)
    return tmp_path


def test_read_results_of_a_folder_and_of_a_file(folder):
    unfinished = write_result(folder, "velocity", 2023, None, 0.5)
    unfinished.rename(unfinished.with_name(".result.json.123.tmp"))  # as a killed run leaves it
    for fold in (3, 4):  # which have data of their own
        write_result(folder, "composer", 7, fold, 0.25, settings=SETTINGS | {"lr": 1.0})
    results = read_results(folder)
    assert {run: result["test_score"] for run, result in results.items()} == {
        RunKey("melody", 2021, None): 0.5,
        RunKey("melody", 2022, None): 0.6,
        RunKey("composer", 7, 3): 0.25,
        RunKey("composer", 7, 4): 0.25,
    }
    texts = (path.read_text() for path in folder.glob("*/*/result.json"))
    (folder / "column.jsonl").write_text("".join(f"{text}\n" for text in texts))
    assert read_results(folder / "column.jsonl") == results


def test_read_results_rejects_missing_and_malformed_files(folder):
    with pytest.raises(UserError, match=r"no folder or file .*gone"):
        read_results(folder / "gone")
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"no result in .*empty"):
        read_results(folder / "empty")
    path = folder / "seed_2022" / "melody" / "result.json"
    good, file = path.read_text(), folder / "column.jsonl"
    for text in ('{"format_version": 1, "task": "mel', "[1, 2]", "{}"):
        path.write_text(text)
        with pytest.raises(UserError, match=str(path)):
            read_results(folder)
        file.write_text(f"{good}\n{text}\n")
        with pytest.raises(UserError, match=r"column.jsonl, line 2,"):
            read_results(file)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 2}, "format version 2"),
        ({"test_score": "high"}, "test_score"),
        ({"majority_class": {}}, "majority_class.test_score"),
        ({"data": {}}, "data.test"),
        ({"task": "melodie"}, "'melodie'"),
        ({"fold": 0}, "no folds"),
        ({"task": "composer"}, "is of fold None"),
        ({"task": "composer", "fold": 5}, "is of fold 5"),
        ({"metric": "f1"}, "f1"),
        ({"seed": 2021}, "second result of melody seed 2021"),
        ({"settings": SETTINGS | {"lr": 1e-4}}, "lr 2e-05 and 0.0001"),
        ({"settings": SETTINGS | {"model": {}}}, "model.hidden_size 768 and None"),
        ({"data": {"test": {"segments": 8}}}, "test.segments 9 and 8"),
    ],
)
def test_read_results_rejects_what_does_not_fit(folder, changes, words):
    path = folder / "seed_2022" / "melody" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError) as rejected:
        read_results(folder)
    message = str(rejected.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message
