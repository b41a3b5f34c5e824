"""Fine-tuning from the command line: results, interrupted and resumed runs, bad input."""

import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from m2bert import finetune
from m2bert.base import progress
from m2bert.base.errors import UserError
from m2bert.finetuning.data import read_parts
from m2bert.finetuning.metrics import METRICS
from m2bert.finetuning.queue import SOME_TASKS_FAILED
from m2bert.model.classifiers import NoteClassifier
from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import read_record
from m2bert.model.original import save_published
from m2bert.scores.results import read_results
from m2bert.tasks import TASKS
from tests.helpers import forked
from tests.helpers.commands import call_main, wait_until
from tests.helpers.task_files import write_task, write_unscorable_grid

EXTRA = ("freeze", "transpose", "balance", "last_class_weight", "schedule", "warmup_steps")
"""Settings that are recorded where they are not the paper's."""
MEASURED = {"seconds", "train_seconds", "notes_per_second"}


def command(inputs: Path, save_root: Path, words: str) -> list[str]:
    places = ["--ckpt", inputs / "pretrained", "--data_root", inputs / "data"]
    return [*map(str, [*places, "--save_root", save_root, "--epochs", 2]), *words.split()]


@pytest.fixture
def fine_tune(finetuning_inputs, tmp_path):
    """Call the command in this process, with the folder of results below `tmp_path` and further
    words in a string; returns its status."""

    def call(out: str, words: str) -> int:
        return call_main(finetune.main, *command(finetuning_inputs, tmp_path / out, words))

    return call


def results_without_times(save_root: Path) -> dict:
    def without(value):
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in MEASURED}
        return [without(v) for v in value] if isinstance(value, list) else value

    return {run: without(result) for run, result in read_results(save_root).items()}


def train_losses(results: dict) -> list[list[float]]:
    return [[epoch["train_loss"] for epoch in result["epochs"]] for result in results.values()]


def weights_below(folder) -> dict:
    files = folder.rglob("model.safetensors")
    return {file.relative_to(folder): file.read_bytes() for file in files}


def test_finetune_writes_result_log_and_best_weights(
    finetuning_inputs, fine_tune, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    assert fine_tune("out", "--task melody --seed 7 --save_ckpt --lr 1e-2 --epochs 4") == 0
    printed = capsys.readouterr().out
    assert "1 of 1 runs are finished" in printed
    assert re.search("melody, seed 7: batch 9 of 24, [0-9:]+ left", printed)
    folder = tmp_path / "out/seed_7/melody"
    result = json.loads((folder / "result.json").read_text())
    first, *lines = (folder / "log").read_text().splitlines()
    assert first == f"Loading pre-trained model from {finetuning_inputs / 'pretrained/model_best'}"
    assert len(lines) == 4
    for line, epoch in zip(lines, result["epochs"], strict=True):
        names = ["train_loss", "valid_loss", "test_loss", "train_acc", "valid_acc", "test_acc"]
        expected = ", ".join(f"{name}={epoch[name]}" for name in names)
        assert line == f"Epoch {epoch['epoch']}: {expected}"

    # the score is that of the saved weights of the best epoch
    test = read_parts(TASKS["melody"], [finetuning_inputs / "data"])["test"]
    classifier = NoteClassifier.from_pretrained(folder / "model")
    assert (classifier.task, classifier.classes[3]) == (TASKS["melody"], "accompaniment")
    record = read_record(folder)
    for key in ("task", "seed", "fold", "best_epoch", "valid_score", "test_score", "data"):
        assert record[key] == result[key]
    card = (folder / "model/README.md").read_text()
    assert f"| accuracy, test | {result['test_score']} |" in card
    assert f"with {result['data']['train']['notes']} notes." in card
    predictions = classifier(test.notes).argmax(-1)
    score = METRICS["note_accuracy"].score(test.notes, test.labels, predictions, 6)
    assert result["test_score"] == round(score.item(), 4)
    best = result["epochs"][result["best_epoch"] - 1]
    assert best["valid_acc"] == max(epoch["valid_acc"] for epoch in result["epochs"])
    assert (result["valid_score"], result["test_score"]) == (best["valid_acc"], best["test_acc"])

    # the confusion matrix counts every note once
    true, predicted, counts = np.array(result["confusion"]).T
    assert counts.sum() == test.lengths.sum()
    right = counts[true == predicted].sum() / counts.sum()
    assert right == pytest.approx(result["test_score"], abs=1e-4)
    majority = result["majority_class"]
    always = (test.labels == majority["label"]).sum().item() / test.lengths.sum()
    assert majority["test_score"] == pytest.approx(always, abs=1e-4)


def test_finetune_learns_what_can_be_learnt(fine_tune, tmp_path):
    for name in ("melody", "composer"):
        write_task(tmp_path / "data", name, segments=24)
    words = f"--data_root {tmp_path / 'data'} --lr 1e-2 --epochs 8"
    fine_tune("out", f"--task melody composer --seed 1 {words}")
    results = read_results(tmp_path / "out")
    assert len(results) == 1 + 5
    for name, least in (("melody", 0.95), ("composer", 0.6)):
        found = [result for run, result in results.items() if run.task == name]
        assert np.mean([result["test_score"] for result in found]) > least
        assert np.mean([result["majority_class"]["test_score"] for result in found]) < 0.5


def test_results_depend_on_seed_and_weights_alone(fine_tune, tmp_path):
    # flags that published scripts give are ignored
    for name, flags in (("a", ""), ("b", "--class_num 6 --num_workers 3"), ("c", "--nopretrain")):
        fine_tune(name, f"--task localkey --seed 5 6 {flags}")
    a, b, c = (results_without_times(tmp_path / name) for name in "abc")
    assert a == b
    assert len(set(map(tuple, train_losses(a) + train_losses(c)))) == 4


def test_folds_do_not_depend_on_each_other(fine_tune, tmp_path):
    fine_tune("out", "--task composer --seed 2")
    before = results_without_times(tmp_path / "out")
    for path in (tmp_path / "out").glob("seed_2/composer_fold_[34]/result.json"):
        path.unlink()
    fine_tune("out", "--task composer --seed 2")
    assert results_without_times(tmp_path / "out") == before
    assert len(set(map(tuple, train_losses(before)))) == 5


@pytest.mark.parametrize(
    ("number", "flags"),
    [
        (signal.SIGKILL, "--save_ckpt"),
        (signal.SIGTERM, ""),  # weights asked for later: from the start
    ],
)
def test_interrupted_run_ends_with_the_same_results(
    finetuning_inputs, fine_tune, tmp_path, capsys, number, flags
):
    words = "--task melody --seed 3 --epochs 12"
    fine_tune("uninterrupted", f"{words} --save_ckpt")
    line = command(finetuning_inputs, tmp_path / "out", f"{words} {flags}")
    process = forked.start(finetune.main, *line)
    folder = tmp_path / "out/seed_3/melody"
    wait_until(lambda: (folder / "log").exists() and "Epoch 3:" in (folder / "log").read_text())
    forked.kill(process, number)
    assert process.exitcode == (-number if number == signal.SIGKILL else 128 + number)
    assert not (folder / "result.json").exists()
    (folder / ".result.json.1.tmp").write_text('{"format_ver')  # killed while writing
    capsys.readouterr()
    assert fine_tune("out", f"{words} --save_ckpt") == 0
    resumed = re.findall("resuming after epoch ([0-9]+)", capsys.readouterr().out)
    assert len(resumed) == (flags != "")  # after which one depends on the speed of the disk
    assert {path.name for path in folder.iterdir()} == {".lock", "log", "model", "result.json"}
    assert results_without_times(tmp_path / "out") == results_without_times(
        tmp_path / "uninterrupted"
    )
    assert weights_below(tmp_path / "out") == weights_below(tmp_path / "uninterrupted") != {}


def test_failing_tasks_do_not_cost_the_others(fine_tune, tmp_path, capsys):
    for name in ("melody", "beat", "localkey", "chordroot", "composer"):
        write_task(tmp_path / "data", name)
    words = f"--data_root {tmp_path / 'data'} --seed 1 --epochs 1"
    assert fine_tune("out", f"{words} --task melody beat") == 0
    write_task(tmp_path / "data", "melody", 9)
    damaged = tmp_path / "out/seed_1/beat/result.json"
    damaged.write_bytes(damaged.read_bytes()[:300])
    write_unscorable_grid(tmp_path / "data", "valid")
    (tmp_path / "data/pianist8_fold_2.npy").unlink()
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    assert fine_tune("out", words) == SOME_TASKS_FAILED
    printed = capsys.readouterr().err
    for sentence in (
        "melody was trained on other data",
        "result.json cannot be read",
        "localkey: the valid set has 8",
        "there is no pianist8_fold_2.npy",
    ):
        assert sentence in printed
    assert printed.count("error: ") == 4
    assert "Traceback" not in printed
    assert result.read_bytes() == before


def test_defect_in_a_task_does_not_cost_the_others(fine_tune, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TASKS, "localkey", replace(TASKS["localkey"], metric="none"))
    assert fine_tune("out", "--task localkey melody --seed 1 --epochs 1") == SOME_TASKS_FAILED
    assert "localkey is skipped because of the error above" in capsys.readouterr().err
    assert [run.task for run in read_results(tmp_path / "out")] == ["melody"]


def test_infinite_loss_is_one_sentence_and_no_result(fine_tune, tmp_path, capsys):
    assert fine_tune("out", "--task melody --seed 1 --lr 1e30") == SOME_TASKS_FAILED
    assert "melody: the loss is NaN or infinite; use a lower --lr" in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


def test_no_warning_of_a_library_is_printed(fine_tune, tmp_path, recwarn):
    """Scikit-learn warns of a test set with one class, and of classes that are never predicted."""
    write_task(tmp_path / "data", "melody")
    labels = tmp_path / "data/pop909_test_melodyans.npy"
    np.save(labels, np.minimum(np.load(labels), 1))
    words = f"--data_root {tmp_path / 'data'} --task melody --seed 1 --lr 1e-2 --epochs 1"
    assert fine_tune("out", words) == 0
    assert not recwarn.list
    text = (tmp_path / "out/seed_1/melody/result.json").read_text()
    json.loads(text, parse_constant=pytest.fail)  # no NaN


def test_grid_score_depends_on_the_tasks_batch_size_alone(finetuning_inputs, fine_tune, tmp_path):
    test = read_parts(TASKS["localkey"], [finetuning_inputs / "data"])["test"]
    fine_tune("out", "--task localkey --seed 1 --save_ckpt --batch_size 4 --epochs 1")
    (result,) = read_results(tmp_path / "out").values()
    model = NoteClassifier.from_pretrained(tmp_path / "out/seed_1/localkey/model")
    predictions = model(test.notes).argmax(-1)
    score = METRICS["grid_accuracy"].score(test.notes, test.labels, predictions, 6)
    assert result["test_score"] == round(score.item(), 4)
    correct, slots = np.sum(result["test_pieces"], axis=0)
    assert result["test_score"] == round(correct / slots, 4)


def test_published_checkpoint_trains_as_its_model_folder(fine_tune, tmp_path):
    model = M2BertForPreTraining(preset("tiny"))
    model.save_pretrained(tmp_path / "folder", {"epoch": 3})
    save_published(tmp_path / "model_best.ckpt", model, {"epoch": 3})
    for name, source in (("a", "folder"), ("b", "model_best.ckpt")):
        fine_tune(name, f"--task localkey --seed 5 --epochs 1 --ckpt {tmp_path / source}")
    (a,), (b,) = (results_without_times(tmp_path / name).values() for name in "ab")
    assert a["epochs"] == b["epochs"]
    assert a["checkpoint"]["epoch"] == b["checkpoint"]["epoch"] == 3


def test_impossible_command_changes_nothing(fine_tune, tmp_path):
    fine_tune("out", "--task melody --seed 1 --epochs 1")
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    for flags, message in (
        ("--index_layer 9", r"--index_layer 9 is not in 10\.\.12"),
        (f"--ckpt {tmp_path}/nothing", r"there is no checkpoint .*nothing"),
        ("--preset tiny", r"--preset tiny is not what .*model_best was built from"),
        ("--lr 1", r"begun with other settings \(lr was 2e-05 and is now 1\.0\)"),
        ("--nopretrain", r"begun with other settings .*pretrained was True and is now False"),
        (f"--data_root {tmp_path}", f"there is no data of any task in {tmp_path}: make it"),
        ("--task melodie", "there is no task melodie; the tasks are genre, beat"),
    ):
        task = "" if "data_root" in flags or "task" in flags else "--task melody"
        with pytest.raises(UserError, match=message):
            fine_tune("out", f"{task} --seed 1 --epochs 1 {flags}")
    assert result.read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--seed 1 1", "--seed: 1 is given twice"),
        ("--fold 0 0", "--fold: 0 is given twice"),
        ("--task melody melody", "--task: melody is given twice"),
        ("--lr nan", "'nan' is not a number of at least 0"),
        ("--save_roo x", "unrecognized arguments: --save_roo x"),
        ("--last_class_weight 0", "'0' is not a number greater than 0"),
        ("--balance --last_class_weight 2", "--balance and --last_class_weight cannot be used"),
        ("--freeze --transpose 3", "--transpose and --freeze cannot be used"),
    ],
)
def test_meaningless_flags_are_rejected(fine_tune, capsys, flags, message):
    with pytest.raises(SystemExit) as left:
        fine_tune("out", flags)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_settings_beyond_the_paper_are_recorded(fine_tune, tmp_path, capsys):
    losses = []
    for number, (flags, changed) in enumerate(
        [
            ("", {}),
            ("--freeze", {"freeze": True}),
            ("--freeze --nopretrain", {"freeze": True}),
            ("--transpose 3", {"transpose": 3}),
            ("--recipe small --warmup_steps 2", {"schedule": "cosine", "warmup_steps": 2}),
            ("--task melody", {}),
            ("--task melody --balance", {"balance": True}),
            ("--task melody --last_class_weight 2", {"last_class_weight": 2}),
        ]
    ):
        assert fine_tune(str(number), f"--task localkey --seed 1 {flags}") == 0
        (result,) = (results := results_without_times(tmp_path / str(number))).values()
        settings = result["settings"]
        assert {name: value for name, value in settings.items() if name in EXTRA} == changed
        losses += train_losses(results)
    assert len(set(map(tuple, losses))) == len(losses)
    assert fine_tune("long", "--task melody --seed 1 --warmup_steps 999") == SOME_TASKS_FAILED
    assert "--warmup_steps 999 is longer than the training" in capsys.readouterr().err
