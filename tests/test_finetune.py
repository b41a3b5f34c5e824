import json
import os
import re
import signal

import numpy as np
import pytest
import torch

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
from tests.helpers.finetuning import command, figures, run, run_here, start, wait_until
from tests.helpers.task_files import SMALL, write_task


def test_a_run_leaves_a_result_a_log_and_the_best_weights(
    finetuning_inputs, tmp_path, monkeypatch, capsys
):
    words = command(
        finetuning_inputs, "--task", "melody", "--seed", 7, "--save_root", tmp_path, "--save_ckpt"
    )
    assert run_here(monkeypatch, *words, "--lr", "1e-2", "--epochs", "4") == 0
    assert "1 of 1 runs are finished" in capsys.readouterr().out
    folder = tmp_path / "seed_7/melody"
    result = json.loads((folder / "result.json").read_text())
    lines = (folder / "log").read_text().splitlines()
    assert (
        lines[0] == f"Loading pre-trained model from {finetuning_inputs / 'pretrained/model_best'}"
    )
    assert len(lines) == 5
    for line, epoch in zip(lines[1:], result["epochs"], strict=True):
        names = ["train_loss", "valid_loss", "test_loss", "train_acc", "valid_acc", "test_acc"]
        expected = ", ".join(f"{name}={epoch[name]}" for name in names)
        assert line == f"Epoch {epoch['epoch']}: {expected}"

    # the score is that of the best epoch's weights, which are kept
    parts = read_parts(TASKS["melody"], [finetuning_inputs / "data"])
    classifier = NoteClassifier.from_pretrained(folder / "model")
    assert (classifier.task, classifier.classes[3]) == ("melody", "accompaniment")
    record = read_record(folder)
    for key in ("task", "seed", "fold", "best_epoch", "valid_score", "test_score", "data"):
        assert record[key] == result[key]
    card = (folder / "model/README.md").read_text()
    assert f"| accuracy, test | {result['test_score']} |" in card
    assert f"8 labelled segments with {result['data']['train']['notes']} notes" in card
    test = parts["test"]
    predictions = classifier(test.notes).argmax(-1)
    score = METRICS["note_accuracy"].score(test.notes, test.labels, predictions, 6)
    assert result["test_score"] == round(score.item(), 4)
    assert result["best_epoch"] == best_epoch(result["epochs"])["epoch"]
    assert result["test_score"] == result["epochs"][result["best_epoch"] - 1]["test_acc"]

    # the confusion matrix counts every note once
    cells = np.array(result["confusion"])
    assert cells[:, 2].sum() == int(test.lengths.sum())
    right = cells[cells[:, 0] == cells[:, 1], 2].sum()
    assert right / cells[:, 2].sum() == pytest.approx(result["test_score"], abs=1e-4)
    always = (test.labels == result["commonest_class"]["label"]).sum() / test.lengths.sum()
    assert result["commonest_class"]["test_score"] == pytest.approx(always.item(), abs=1e-4)


def test_what_can_be_learnt_is_learnt(finetuning_inputs, tmp_path, monkeypatch):
    for name in ("melody", "composer"):
        write_task(tmp_path / "data", name, segments=24)
    words = ["--task", "melody", "composer", "--seed", "1", "--save_root", str(tmp_path / "out")]
    words += ["--data_root", str(tmp_path / "data"), "--lr", "1e-2", "--epochs", "8"]
    run_here(monkeypatch, *command(finetuning_inputs), *words)
    results = read_results(tmp_path / "out")
    assert len(results) == 1 + 5
    for name, least in (("melody", 0.95), ("composer", 0.6)):
        found = [result for run, result in results.items() if run.task == name]
        assert np.mean([result["test_score"] for result in found]) > least
        assert np.mean([result["commonest_class"]["test_score"] for result in found]) < 0.5


def test_the_same_seed_gives_the_same_figures_and_another_does_not(
    finetuning_inputs, tmp_path, monkeypatch
):
    for name, flags in (("a", []), ("b", ["--num_workers", "3"]), ("c", ["--nopretrain"])):
        words = ["--task", "localkey", "--seed", "5", "6", "--save_root", str(tmp_path / name)]
        run_here(monkeypatch, *command(finetuning_inputs), *words, *flags)
    a, b, c = (figures(tmp_path / name) for name in "abc")
    assert a == b
    losses = {
        tuple(epoch["train_loss"] for epoch in result["epochs"])
        for results in (a, c)
        for result in results.values()
    }
    assert len(losses) == 4


def test_folds_do_not_depend_on_each_other(finetuning_inputs, tmp_path, monkeypatch):
    words = command(finetuning_inputs, "--task", "composer", "--seed", 2, "--save_root", tmp_path)
    run_here(monkeypatch, *words)
    before = figures(tmp_path)
    for path in tmp_path.glob("seed_2/composer_fold_[34]/result.json"):
        path.unlink()
    run_here(monkeypatch, *words)
    assert figures(tmp_path) == before
    seeds = [seed_of_run(seed, fold) for seed in (1, 2) for fold in (None, 0, 1)]
    assert len(set(seeds)) == 6


@pytest.mark.parametrize(("task", "fold"), [("melody", ""), ("composer", "_fold_1")])
def test_a_killed_run_goes_on_and_ends_with_the_same_figures(
    finetuning_inputs, tmp_path, monkeypatch, task, fold
):
    words = ["--task", task, "--seed", "3", "--epochs", "12", "--save_ckpt"]
    run_here(
        monkeypatch, *command(finetuning_inputs), *words, "--save_root", str(tmp_path / "whole")
    )

    class Killed(BaseException):
        pass

    run_epoch = FinetuningRun.run_epoch

    def killed_in_epoch_8(run: FinetuningRun, epoch: int) -> dict:
        if epoch == 8 and run.folder.name == task + fold:
            run.trainer.train_epoch(run.sets[0], epoch, lambda batches, _: batches[:1])
            raise Killed
        return run_epoch(run, epoch)

    monkeypatch.setattr(FinetuningRun, "run_epoch", killed_in_epoch_8)
    with pytest.raises(Killed):
        run_here(
            monkeypatch,
            *command(finetuning_inputs),
            *words,
            "--save_root",
            str(tmp_path / "killed"),
        )
    folder = tmp_path / f"killed/seed_3/{task}{fold}"
    assert not (folder / "result.json").exists()
    (folder / ".result.json.1.tmp").write_text('{"format_ver')  # killed while writing
    monkeypatch.setattr(FinetuningRun, "run_epoch", run_epoch)
    run_here(
        monkeypatch, *command(finetuning_inputs), *words, "--save_root", str(tmp_path / "killed")
    )
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "log",
        "model",
        "result.json",
    ]
    weights = [
        (tmp_path / f"{name}/seed_3/{task}{fold}/model/model.safetensors").read_bytes()
        for name in ("whole", "killed")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(("task", "call"), [("melody", 3), ("melody", 5), ("composer", 41)])
def test_a_run_that_is_asked_to_stop_goes_on_at_its_step(
    finetuning_inputs, tmp_path, monkeypatch, capsys, task, call
):
    """Steps and batches of evaluation are counted by calls; of melody an epoch has two steps."""
    words = ["--task", task, "--seed", "3", "--epochs", "3", "--save_ckpt", "--save_root"]
    run_here(monkeypatch, *command(finetuning_inputs), *words, str(tmp_path / "whole"))
    calls, forward = [], ClassifierTrainer.forward

    def asked_to_stop(*args: object) -> tuple:
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(*args)

    monkeypatch.setattr(ClassifierTrainer, "forward", asked_to_stop)
    with pytest.raises(SystemExit) as left:
        run_here(monkeypatch, *command(finetuning_inputs), *words, str(tmp_path / "stopped"))
    assert left.value.code == 128 + signal.SIGTERM
    assert len(calls) == call
    assert "The same command goes on." in capsys.readouterr().out
    run_here(monkeypatch, *command(finetuning_inputs), *words, str(tmp_path / "stopped"))
    assert figures(tmp_path / "stopped") == figures(tmp_path / "whole")
    files = (tmp_path / "whole").glob("seed_3/*/model/model.safetensors")
    for file in files:
        other = tmp_path / "stopped" / file.relative_to(tmp_path / "whole")
        assert other.read_bytes() == file.read_bytes()


def test_the_states_of_a_frozen_encoder_are_computed_once_a_task(
    finetuning_inputs, tmp_path, monkeypatch
):
    calls, states = [], NoteClassifier.states

    def counted(*args: object, **kwargs: object) -> torch.Tensor:
        calls.append(1)
        return states(*args, **kwargs)

    monkeypatch.setattr(NoteClassifier, "states", counted)
    words = [*command(finetuning_inputs), "--task", "localkey", "--freeze"]
    losses, computed = [], []
    for seeds in (["1"], ["1", "2"]):
        out = tmp_path / str(len(seeds))
        run_here(monkeypatch, *words, "--save_root", str(out), "--seed", *seeds)
        losses.append([result["epochs"][0]["train_loss"] for result in figures(out).values()])
        computed.append(len(calls))
        calls.clear()
    assert computed[0] == computed[1] > 0
    assert losses[0][0] == losses[1][0] != losses[1][1]


def test_a_process_that_is_killed_loses_its_epoch_alone(finetuning_inputs, tmp_path):
    words = ["--task", "melody", "--seed", "3", "--epochs", "200"]
    words = [*command(finetuning_inputs), *words, "--save_root", str(tmp_path)]
    process = start(*words)
    log = tmp_path / "seed_3/melody/log"
    wait_until(lambda: log.exists() and "Epoch 30:" in log.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run(*words)
    assert done.returncode == 0, done.stderr
    (epoch,) = re.findall("going on after epoch ([0-9]+)", done.stdout)
    assert int(epoch) > 15
    assert len(json.loads((log.parent / "result.json").read_text())["epochs"]) == 200


def test_weights_asked_for_in_the_middle_of_a_run_begin_it_anew(
    finetuning_inputs, tmp_path, monkeypatch
):
    words = [
        *command(finetuning_inputs),
        "--task",
        "melody",
        "--seed",
        "3",
        "--save_root",
        str(tmp_path),
    ]

    def stop(run: FinetuningRun) -> dict:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(FinetuningRun, "figures", stop)
        with pytest.raises(KeyboardInterrupt):
            run_here(patched, *words)
    assert (tmp_path / "seed_3/melody/state.safetensors").exists()
    assert run_here(monkeypatch, *words, "--save_ckpt") == 0
    model = NoteClassifier.from_pretrained(tmp_path / "seed_3/melody/model")
    assert (model.task, model.classes) == ("melody", TASKS["melody"].classes)


def test_other_data_than_a_finished_run_was_trained_on_are_refused(
    finetuning_inputs, tmp_path, monkeypatch, capsys
):
    write_task(tmp_path / "data", "melody")
    words = ["--data_root", str(tmp_path / "data"), "--save_root", str(tmp_path / "out")]
    words = [*command(finetuning_inputs), "--task", "melody", "--seed", "1", *words]
    run_here(monkeypatch, *words)
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    path = tmp_path / "data/pop909_test_melodyans.npy"
    np.save(path, np.load(path)[::-1])
    write_task(tmp_path / "data", "melody", segments=9)
    assert run_here(monkeypatch, *words) == SOME_TASKS_FAILED
    assert "melody was trained on other data than that which is there" in capsys.readouterr().err
    assert result.read_bytes() == before

    write_task(tmp_path / "data", "melody")
    result.write_bytes(before[:300])
    assert run_here(monkeypatch, *words) == SOME_TASKS_FAILED
    assert "result.json cannot be read" in capsys.readouterr().err


def test_the_grid_score_is_of_the_tasks_batches_whatever_the_training_batch(
    finetuning_inputs, tmp_path, monkeypatch
):
    parts = read_parts(TASKS["localkey"], [finetuning_inputs / "data"])
    test = parts["test"]
    for batch_size in ("1", "4"):
        words = [*command(finetuning_inputs), "--task", "localkey", "--seed", "1", "--save_ckpt"]
        folder = tmp_path / batch_size
        run_here(monkeypatch, *words, "--batch_size", batch_size, "--save_root", str(folder))
        (result,) = read_results(folder).values()
        model = NoteClassifier.from_pretrained(folder / "seed_1/localkey/model")
        predictions = model(test.notes).argmax(-1)
        score = grid_accuracy(test.notes, test.labels, predictions, 6)
        assert result["test_score"] == round(score.item(), 4)


def test_the_originals_checkpoint_gives_what_the_model_folder_gives(
    finetuning_inputs, tmp_path, monkeypatch
):
    model = M2BertForPreTraining.from_pretrained(finetuning_inputs / "pretrained")
    record = read_record(finetuning_inputs / "pretrained")
    save_published(tmp_path / "model_best.ckpt", model, record)
    monkeypatch.setitem(PRESETS, "tiny", SMALL)
    words = ["--task", "localkey", "--seed", "5", "--preset", "tiny"]
    scores = []
    for name, ckpt in (
        ("a", finetuning_inputs / "pretrained"),
        ("b", tmp_path / "model_best.ckpt"),
    ):
        places = ["--ckpt", str(ckpt), "--save_root", str(tmp_path / name)]
        run_here(monkeypatch, *command(finetuning_inputs), *words, *places)
        (result,) = figures(tmp_path / name).values()
        scores.append(result["epochs"])
        assert result["checkpoint"]["epoch"] == 3
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--index_layer 9", r"--index_layer 9 is not in 10\.\.12"),
        ("--ckpt {tmp}/nothing", r"there is no checkpoint .*nothing"),
        ("--preset tiny", r"--preset tiny is not what .*model_best was built from"),
        ("--ckpt {tmp}/narrow.ckpt --preset tiny", r"narrow\.ckpt does not fit .*--preset"),
        ("--data_root {tmp} --task", r"there is no data of any task in"),
        ("--lr 1", r"begun with other settings \(lr was 2e-05 and is now 1\.0\)"),
        ("--nopretrain", r"begun with other settings .*pretrained was True and is now False"),
    ],
)
def test_a_command_that_cannot_be_done_is_refused(
    finetuning_inputs, tmp_path, monkeypatch, flags, message
):
    model = M2BertForPreTraining.from_pretrained(finetuning_inputs / "pretrained")
    record = read_record(finetuning_inputs / "pretrained")
    save_published(tmp_path / "narrow.ckpt", model, record)
    words = command(
        finetuning_inputs, "--save_root", tmp_path / "out", "--seed", 1, "--task", "melody"
    )
    run_here(monkeypatch, *words)
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    if "--task" in flags:
        flags, words = flags.removesuffix(" --task"), words[:-2]
    with pytest.raises(UserError, match=message):
        run_here(monkeypatch, *words, *flags.format(tmp=tmp_path).split())
    assert result.read_bytes() == before


def test_bad_words_end_with_one_sentence(finetuning_inputs, tmp_path):
    done = run(*command(finetuning_inputs, "--save_root", tmp_path), "--task", "melodie")
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
        ("--freeze --transpose 3", "--transpose needs an encoder that is not frozen"),
    ],
)
def test_flags_that_mean_nothing_are_refused(
    finetuning_inputs, monkeypatch, capsys, flags, message
):
    with pytest.raises(SystemExit) as left:
        run_here(monkeypatch, *command(finetuning_inputs), *flags.split())
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_task_with_bad_data_does_not_keep_others_from_training(
    finetuning_inputs, tmp_path, monkeypatch, capsys
):
    write_task(tmp_path / "data", "melody")
    write_task(tmp_path / "data", "composer")
    (tmp_path / "data/pianist8_fold_2.npy").unlink()
    words = ["--data_root", str(tmp_path / "data"), "--save_root", str(tmp_path / "out")]
    words += ["--seed", "1", "--epochs", "1"]
    status = run_here(monkeypatch, *command(finetuning_inputs), *words)
    assert status == SOME_TASKS_FAILED
    assert "error: there is no pianist8_fold_2.npy" in capsys.readouterr().err
    assert [run.task for run in read_results(tmp_path / "out")] == ["melody"]


def test_a_batch_without_labelled_notes_changes_no_weight(tmp_path, monkeypatch, finetuning_inputs):
    write_task(tmp_path / "data", "texture", segments=12)
    labels_path = tmp_path / "data/orch_train_textureans.npy"
    labels = np.load(labels_path)
    labels[1:] = 0  # with one segment a batch only the first teaches anything
    np.save(labels_path, labels)
    words = ["--data_root", str(tmp_path / "data"), "--task", "texture", "--seed", "1"]
    words += ["--batch_size", "1", "--epochs", "1", "--save_root", str(tmp_path / "out")]
    steps = []

    def note_steps(run: FinetuningRun, result: dict) -> None:
        steps.append(run.trainer.optimiser.param_groups[0]["step"])

    monkeypatch.setattr(FinetuningRun, "finish", note_steps)
    run_here(monkeypatch, *command(finetuning_inputs), *words)
    assert steps == [1]


def test_flags_that_published_scripts_give_are_ignored(finetuning_inputs, tmp_path, monkeypatch):
    words = ["--data_root", str(finetuning_inputs / "data"), "--task", "melody", "--seed", "1"]
    results = []
    for flags in ([], ["--class_num", "6", "--num_workers", "8"]):
        out = tmp_path / str(len(flags))
        run_here(monkeypatch, *command(finetuning_inputs), *words, "--save_root", str(out), *flags)
        result = json.loads((out / "seed_1/melody/result.json").read_text())
        results.append({name: result[name] for name in ("settings", "test_score", "confusion")})
    assert results[0] == results[1]


def test_recipes_probes_and_transpositions_are_recorded(
    finetuning_inputs, tmp_path, monkeypatch, capsys
):
    words = ["--task", "localkey", "--seed", "1", "--save_root"]
    scores = {}
    for flags in ("", "--freeze", "--transpose 3", "--recipe small --warmup_steps 2"):
        out = tmp_path / str(len(scores))
        status = run_here(
            monkeypatch, *command(finetuning_inputs), *words, str(out), *flags.split()
        )
        assert status == 0, capsys.readouterr().err
        result = json.loads((out / "seed_1/localkey/result.json").read_text())
        scores[flags] = [epoch["train_loss"] for epoch in result["epochs"]]
        settings = result["settings"]
        assert settings.get("freeze", False) == (flags == "--freeze")
        assert settings.get("transpose", 0) == (3 if "transpose" in flags else 0)
        assert settings.get("schedule") == ("cosine" if "small" in flags else None)
    assert len(set(map(str, scores.values()))) == len(scores)
    with pytest.raises(UserError, match=r"other settings .*warmup_steps was None and is now 5"):
        run_here(
            monkeypatch,
            *command(finetuning_inputs),
            *words,
            str(tmp_path / "0"),
            *["--warmup_steps", "5"],
        )


def test_a_warmup_longer_than_a_run_is_refused(finetuning_inputs, tmp_path, monkeypatch, capsys):
    words = ["--task", "melody", "--seed", "1", "--save_root", str(tmp_path)]
    words += ["--warmup_steps", "999"]
    assert run_here(monkeypatch, *command(finetuning_inputs), *words) == SOME_TASKS_FAILED
    assert "--warmup_steps 999 is longer than the training" in capsys.readouterr().err
