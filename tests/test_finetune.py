"""Fine-tuning from the command line: its results, killed, stopped, resumed, refused."""

import json
import os
import re
import signal

import numpy as np
import pytest
import torch

from m2bert import finetune
from m2bert.base.errors import UserError
from m2bert.base.seeds import seed_of_run
from m2bert.finetuning.data import read_parts
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.finetuning.metrics import METRICS, grid_accuracy
from m2bert.finetuning.queue import SOME_TASKS_FAILED
from m2bert.finetuning.run import FinetuningRun, best_epoch
from m2bert.model.classifiers import NoteClassifier
from m2bert.model.config import PRESETS
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import read_record
from m2bert.model.original import save_published
from m2bert.scores.results import read_results
from m2bert.tasks import TASKS
from tests.helpers import forked
from tests.helpers.commands import run
from tests.helpers.finetuning import command, figures, run_here, wait_until
from tests.helpers.task_files import SMALL, write_task, write_unscorable_grid

EXTRA = ("freeze", "transpose", "last_class_weight", "schedule", "warmup_steps")
"""Settings that are recorded where they are not the paper's."""


@pytest.fixture
def fine_tune(finetuning_inputs, tmp_path, monkeypatch):
    """Call the command in this process, with the folder of results below `tmp_path` and further
    words in a string; returns its status."""

    def call(out: str, words: str) -> int:
        places = ["--save_root", tmp_path / out]
        return run_here(monkeypatch, *command(finetuning_inputs, *places, *words.split()))

    return call


def train_losses(results: dict) -> list[list[float]]:
    return [[epoch["train_loss"] for epoch in result["epochs"]] for result in results.values()]


def weights_below(folder) -> dict:
    files = folder.rglob("model.safetensors")
    return {file.relative_to(folder): file.read_bytes() for file in files}


def test_a_run_leaves_a_result_a_log_and_the_best_weights(
    finetuning_inputs, fine_tune, tmp_path, capsys
):
    assert fine_tune("out", "--task melody --seed 7 --save_ckpt --lr 1e-2 --epochs 4") == 0
    assert "1 of 1 runs are finished" in capsys.readouterr().out
    folder = tmp_path / "out/seed_7/melody"
    result = json.loads((folder / "result.json").read_text())
    first, *lines = (folder / "log").read_text().splitlines()
    assert first == f"Loading pre-trained model from {finetuning_inputs / 'pretrained/model_best'}"
    assert len(lines) == 4
    for line, epoch in zip(lines, result["epochs"], strict=True):
        names = ["train_loss", "valid_loss", "test_loss", "train_acc", "valid_acc", "test_acc"]
        expected = ", ".join(f"{name}={epoch[name]}" for name in names)
        assert line == f"Epoch {epoch['epoch']}: {expected}"

    # the score is that of the best epoch's weights, which are kept
    test = read_parts(TASKS["melody"], [finetuning_inputs / "data"])["test"]
    classifier = NoteClassifier.from_pretrained(folder / "model")
    assert (classifier.task, classifier.classes[3]) == ("melody", "accompaniment")
    record = read_record(folder)
    for key in ("task", "seed", "fold", "best_epoch", "valid_score", "test_score", "data"):
        assert record[key] == result[key]
    card = (folder / "model/README.md").read_text()
    assert f"| accuracy, test | {result['test_score']} |" in card
    assert f"8 labelled segments with {result['data']['train']['notes']} notes" in card
    predictions = classifier(test.notes).argmax(-1)
    score = METRICS["note_accuracy"].score(test.notes, test.labels, predictions, 6)
    assert result["test_score"] == round(score.item(), 4)
    assert result["best_epoch"] == best_epoch(result["epochs"])["epoch"]
    assert result["test_score"] == result["epochs"][result["best_epoch"] - 1]["test_acc"]

    # the confusion matrix counts every note once
    true, predicted, counts = np.array(result["confusion"]).T
    assert counts.sum() == test.lengths.sum()
    right = counts[true == predicted].sum() / counts.sum()
    assert right == pytest.approx(result["test_score"], abs=1e-4)
    commonest = result["commonest_class"]
    always = (test.labels == commonest["label"]).sum().item() / test.lengths.sum()
    assert commonest["test_score"] == pytest.approx(always, abs=1e-4)


def test_what_can_be_learnt_is_learnt(fine_tune, tmp_path):
    for name in ("melody", "composer"):
        write_task(tmp_path / "data", name, segments=24)
    words = f"--data_root {tmp_path / 'data'} --lr 1e-2 --epochs 8"
    fine_tune("out", f"--task melody composer --seed 1 {words}")
    results = read_results(tmp_path / "out")
    assert len(results) == 1 + 5
    for name, least in (("melody", 0.95), ("composer", 0.6)):
        found = [result for run, result in results.items() if run.task == name]
        assert np.mean([result["test_score"] for result in found]) > least
        assert np.mean([result["commonest_class"]["test_score"] for result in found]) < 0.5


def test_the_same_seed_gives_the_same_figures_and_another_does_not(fine_tune, tmp_path):
    # flags that published scripts give are ignored
    for name, flags in (("a", ""), ("b", "--class_num 6 --num_workers 3"), ("c", "--nopretrain")):
        fine_tune(name, f"--task localkey --seed 5 6 {flags}")
    a, b, c = (figures(tmp_path / name) for name in "abc")
    assert a == b
    assert len(set(map(tuple, train_losses(a) + train_losses(c)))) == 4


def test_folds_do_not_depend_on_each_other(fine_tune, tmp_path):
    fine_tune("out", "--task composer --seed 2")
    before = figures(tmp_path / "out")
    for path in (tmp_path / "out").glob("seed_2/composer_fold_[34]/result.json"):
        path.unlink()
    fine_tune("out", "--task composer --seed 2")
    assert figures(tmp_path / "out") == before
    seeds = [seed_of_run(seed, fold) for seed in (1, 2) for fold in (None, 0, 1)]
    assert len(set(seeds)) == 6


@pytest.mark.parametrize(("task", "fold"), [("melody", ""), ("composer", "_fold_1")])
def test_a_killed_run_goes_on_and_ends_with_the_same_figures(
    finetuning_inputs, fine_tune, tmp_path, capsys, task, fold
):
    words = f"--task {task} --seed 3 --epochs 30 --save_ckpt"
    fine_tune("whole", words)
    flags = [*words.split(), "--save_root", tmp_path / "killed"]
    process = forked.start(finetune.main, *command(finetuning_inputs, *flags))
    folder = tmp_path / f"killed/seed_3/{task}{fold}"
    wait_until(lambda: (folder / "log").exists() and "Epoch 8:" in (folder / "log").read_text())
    forked.kill(process)
    assert not (folder / "result.json").exists()
    (folder / ".result.json.1.tmp").write_text('{"format_ver')  # killed while writing
    capsys.readouterr()
    fine_tune("killed", words)
    (epoch,) = re.findall("going on after epoch ([0-9]+)", capsys.readouterr().out)
    assert int(epoch) > 0  # after which one depends on how quick the disk is
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    assert {path.name for path in folder.iterdir()} == {".lock", "log", "model", "result.json"}
    assert weights_below(tmp_path / "killed") == weights_below(tmp_path / "whole")


@pytest.mark.parametrize(("task", "call"), [("melody", 3), ("melody", 5), ("composer", 41)])
def test_a_run_that_is_asked_to_stop_goes_on_at_its_step(
    fine_tune, tmp_path, monkeypatch, capsys, task, call
):
    """Steps and batches of evaluation are counted by calls; of melody an epoch has two steps."""
    words = f"--task {task} --seed 3 --epochs 3 --save_ckpt"
    fine_tune("whole", words)
    calls, forward = [], ClassifierTrainer.forward

    def asked_to_stop(*args: object) -> tuple:
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(*args)

    monkeypatch.setattr(ClassifierTrainer, "forward", asked_to_stop)
    with pytest.raises(SystemExit) as left:
        fine_tune("stopped", words)
    assert left.value.code == 128 + signal.SIGTERM
    assert len(calls) == call
    assert "The same command goes on." in capsys.readouterr().out
    fine_tune("stopped", words)
    assert figures(tmp_path / "stopped") == figures(tmp_path / "whole")
    assert weights_below(tmp_path / "stopped") == weights_below(tmp_path / "whole")


def test_the_states_of_a_frozen_encoder_are_computed_once_a_task(fine_tune, tmp_path, monkeypatch):
    calls, states = [], NoteClassifier.states

    def counted(*args: object, **kwargs: object) -> torch.Tensor:
        calls.append(1)
        return states(*args, **kwargs)

    monkeypatch.setattr(NoteClassifier, "states", counted)
    computed, losses = [], []
    for seeds in ("1", "1 2"):
        fine_tune(seeds, f"--task localkey --freeze --seed {seeds}")
        losses += train_losses(figures(tmp_path / seeds))
        computed.append(len(calls))
        calls.clear()
    assert computed[0] == computed[1] > 0
    assert losses[0] == losses[1] != losses[2]


def test_weights_asked_for_in_the_middle_of_a_run_begin_it_anew(fine_tune, tmp_path, monkeypatch):
    def stop(run: FinetuningRun) -> dict:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(FinetuningRun, "result", stop)
        patched.setattr("m2bert.finetuning.run.BYTES_PER_SECOND", float("inf"))  # it saves at once
        with pytest.raises(KeyboardInterrupt):
            fine_tune("out", "--task melody --seed 3")
    assert (tmp_path / "out/seed_3/melody/state.safetensors").exists()
    assert fine_tune("out", "--task melody --seed 3 --save_ckpt") == 0
    model = NoteClassifier.from_pretrained(tmp_path / "out/seed_3/melody/model")
    assert (model.task, model.classes) == ("melody", TASKS["melody"].classes)


def damage(path) -> None:
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda tmp: write_task(tmp / "data", "melody", 9),
            "melody was trained on other data than",
        ),
        (lambda tmp: damage(tmp / "out/seed_1/melody/result.json"), "result.json cannot be read"),
        (
            lambda tmp: (tmp / "data/pianist8_fold_2.npy").unlink(),
            "there is no pianist8_fold_2.npy",
        ),
        (lambda tmp: write_unscorable_grid(tmp / "data", "valid"), "localkey: the valid set has 8"),
        (lambda tmp: write_unscorable_grid(tmp / "data", "test"), "localkey: the test set has 8"),
    ],
)
def test_a_task_that_cannot_be_trained_does_not_keep_others(
    fine_tune, tmp_path, capsys, spoil, message
):
    for name in ("melody", "localkey", "composer"):
        write_task(tmp_path / "data", name)
    words = f"--data_root {tmp_path / 'data'} --seed 1 --epochs 1"
    assert fine_tune("out", f"{words} --task melody") == 0
    spoil(tmp_path)
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    assert fine_tune("out", words) == SOME_TASKS_FAILED
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("error: ") == 1
    assert "Traceback" not in printed
    assert result.read_bytes() == before
    assert (tmp_path / "out/seed_1/localkey/result.json").exists() == ("localkey" not in message)
    assert (tmp_path / "out/seed_1/composer_fold_4/result.json").exists() == ("fold" not in message)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("predictions"), "localkey is skipped because of the error above"),
        (OSError("no more space"), "error: no more space"),
        (torch.OutOfMemoryError("cuda"), "localkey: the GPU's memory is too small"),
    ],
    ids=["defect", "system", "memory"],
)
def test_an_exception_in_one_task_does_not_cost_the_others(
    fine_tune, tmp_path, monkeypatch, capsys, error, said
):
    go = FinetuningRun.go

    def fail(run: FinetuningRun) -> None:
        if run.task.name == "localkey":
            raise error
        go(run)

    monkeypatch.setattr(FinetuningRun, "go", fail)
    words = "--task localkey melody --seed 1 --epochs 1"
    assert fine_tune("out", words) == SOME_TASKS_FAILED
    assert said in capsys.readouterr().err
    assert [run.task for run in read_results(tmp_path / "out")] == ["melody"]


def test_no_warning_of_a_library_is_printed(fine_tune, tmp_path, recwarn):
    """Scikit-learn warns of a test set with one class, and of classes that are never predicted."""
    for path in (tmp_path / "data", tmp_path / "other"):
        write_task(path, "melody")
    labels = tmp_path / "data/pop909_test_melodyans.npy"
    np.save(labels, np.minimum(np.load(labels), 1))
    words = f"--data_root {tmp_path / 'data'} --task melody --seed 1 --lr 1e-2 --epochs 1"
    assert fine_tune("out", words) == 0
    assert not recwarn.list
    text = (tmp_path / "out/seed_1/melody/result.json").read_text()
    json.loads(text, parse_constant=pytest.fail)  # no NaN


def test_a_warmup_longer_than_a_run_is_refused(fine_tune, capsys):
    assert fine_tune("out", "--task melody --seed 1 --warmup_steps 999") == SOME_TASKS_FAILED
    assert "--warmup_steps 999 is longer than the training" in capsys.readouterr().err


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_grid_score_is_of_the_tasks_batches_whatever_the_training_batch(
    finetuning_inputs, fine_tune, tmp_path, batch_size
):
    test = read_parts(TASKS["localkey"], [finetuning_inputs / "data"])["test"]
    fine_tune("out", f"--task localkey --seed 1 --save_ckpt --batch_size {batch_size}")
    (result,) = read_results(tmp_path / "out").values()
    model = NoteClassifier.from_pretrained(tmp_path / "out/seed_1/localkey/model")
    score = grid_accuracy(test.notes, test.labels, model(test.notes).argmax(-1), 6)
    assert result["test_score"] == round(score.item(), 4)


def save_as_published(inputs, path) -> None:
    model = M2BertForPreTraining.from_pretrained(inputs / "pretrained")
    save_published(path, model, read_record(inputs / "pretrained"))


def test_the_originals_checkpoint_gives_what_the_model_folder_gives(
    finetuning_inputs, fine_tune, tmp_path, monkeypatch
):
    ckpt = tmp_path / "model_best.ckpt"
    save_as_published(finetuning_inputs, ckpt)
    monkeypatch.setitem(PRESETS, "tiny", SMALL)
    for name, flags in (("a", ""), ("b", f"--ckpt {ckpt}")):
        fine_tune(name, f"--task localkey --seed 5 --preset tiny {flags}")
    (a,), (b,) = (figures(tmp_path / name).values() for name in "ab")
    assert a["epochs"] == b["epochs"]
    assert a["checkpoint"]["epoch"] == b["checkpoint"]["epoch"] == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--index_layer 9", r"--index_layer 9 is not in 10\.\.12"),
        ("--ckpt {tmp}/nothing", r"there is no checkpoint .*nothing"),
        ("--preset tiny", r"--preset tiny is not what .*model_best was built from"),
        ("--ckpt {tmp}/narrow.ckpt --preset tiny", r"--preset tiny is not what .*narrow\.ckpt was"),
        ("--lr 1", r"begun with other settings \(lr was 2e-05 and is now 1\.0\)"),
        ("--nopretrain", r"begun with other settings .*pretrained was True and is now False"),
        ("--warmup_steps 5", r"other settings .*warmup_steps was None and is now 5"),
    ],
)
def test_a_command_that_cannot_be_done_is_refused(
    finetuning_inputs, fine_tune, tmp_path, flags, message
):
    save_as_published(finetuning_inputs, tmp_path / "narrow.ckpt")
    fine_tune("out", "--task melody --seed 1 --epochs 1")
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    with pytest.raises(UserError, match=message):
        fine_tune("out", f"--task melody --seed 1 --epochs 1 {flags.format(tmp=tmp_path)}")
    assert result.read_bytes() == before


def test_a_folder_without_data_is_named(fine_tune, tmp_path):
    with pytest.raises(UserError, match=f"there is no data of any task in {tmp_path}: make it"):
        fine_tune("out", f"--data_root {tmp_path}")


def test_bad_words_end_with_one_sentence(finetuning_inputs, tmp_path):
    words = command(finetuning_inputs, "--save_root", tmp_path, "--task", "melodie")
    done = run("-m", "m2bert.finetune", *words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no task melodie; the tasks are genre, beat")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--seed 1 1", "--seed names one twice"),
        ("--task melody melody", "--task names one twice"),
        ("--epochs 0", "at least 1 is needed"),
        ("--lr nan", "'nan' is not a number of at least 0"),
        ("--save_roo x", "unrecognized arguments: --save_roo x"),
        ("--last_class_weight 0", "'0' is not a number greater than 0"),
        ("--freeze --transpose 3", "--transpose needs an encoder that is not frozen"),
    ],
)
def test_flags_that_mean_nothing_are_refused(fine_tune, capsys, flags, message):
    with pytest.raises(SystemExit) as left:
        fine_tune("out", flags)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_what_the_paper_does_not_do_is_recorded(fine_tune, tmp_path):
    losses = []
    for number, (flags, changed) in enumerate(
        [
            ("", {}),
            ("--freeze", {"freeze": True}),
            ("--transpose 3", {"transpose": 3}),
            ("--recipe small --warmup_steps 2", {"schedule": "cosine", "warmup_steps": 2}),
            ("--task melody", {}),
            ("--task melody --last_class_weight 2", {"last_class_weight": 2}),
        ]
    ):
        assert fine_tune(str(number), f"--task localkey --seed 1 {flags}") == 0
        (result,) = (results := figures(tmp_path / str(number))).values()
        settings = result["settings"]
        assert {name: value for name, value in settings.items() if name in EXTRA} == changed
        losses += train_losses(results)
    assert len(set(map(tuple, losses))) == len(losses)
