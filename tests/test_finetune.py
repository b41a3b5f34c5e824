import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert import finetune
from m2bert.checkpoint import save_published
from m2bert.classifiers import NoteClassifier
from m2bert.errors import UserError
from m2bert.finetuning_run import FineTuningRun, best_epoch, commonest_label
from m2bert.labelled_segments import LabelledSegments, read_parts
from m2bert.metrics import METRICS, grid_accuracy
from m2bert.model import M2BertForPreTraining
from m2bert.model_folder import load_tensors, read_record
from m2bert.processes import Processes
from m2bert.result_files import read_results
from m2bert.seeds import seed_of_run
from m2bert.settings import claim_folder
from m2bert.tasks import TASKS
from tests.classifier_gradients import gradients
from tests.task_files import SMALL, write_checkpoint, write_task

REPOSITORY = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
MEASURED = {"seconds", "train_seconds", "notes_per_second", "processes"}


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """A folder with a pre-trained model and the data of three tasks."""
    folder = tmp_path_factory.mktemp("given")
    write_checkpoint(folder / "pretrained")
    for name in ("melody", "composer", "localkey"):
        write_task(folder / "data", name)
    return folder


def command(given: Path, *flags: str | Path) -> list[str]:
    fixed = ["--ckpt", given / "pretrained", "--data_root", given / "data", "--epochs", 2]
    return [str(word) for word in [*fixed, *flags]]


def run_here(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["finetune", *words])
    return finetune.main()


def run(*words: str) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "m2bert.finetune", *words]
    return subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def start(*words: str) -> subprocess.Popen:
    program = [sys.executable, "-m", "m2bert.finetune", *words]
    return subprocess.Popen(program, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def figures(save_root: Path) -> dict:
    """All results without what is measured anew in each run."""

    def without(value):
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in MEASURED}
        return [without(v) for v in value] if isinstance(value, list) else value

    return {run: without(result) for run, result in read_results(save_root).items()}


def test_a_run_leaves_a_result_a_log_and_the_best_weights(given, tmp_path, monkeypatch, capsys):
    words = command(given, "--task", "melody", "--seed", 7, "--save_root", tmp_path, "--save_ckpt")
    assert run_here(monkeypatch, *words, "--lr", "1e-2", "--epochs", "4") == 0
    assert "1 of 1 runs are finished" in capsys.readouterr().out
    folder = tmp_path / "seed_7/melody"
    result = json.loads((folder / "result.json").read_text())
    lines = (folder / "log").read_text().splitlines()
    assert lines[0] == f"Loading pre-trained model from {given / 'pretrained/model_best'}"
    assert len(lines) == 5
    for line, epoch in zip(lines[1:], result["epochs"], strict=True):
        names = ["train_loss", "valid_loss", "test_loss", "train_acc", "valid_acc", "test_acc"]
        expected = ", ".join(f"{name}={epoch[name]}" for name in names)
        assert line == f"Epoch {epoch['epoch']}: {expected}"

    # the score is that of the best epoch's weights, which are kept
    parts = read_parts(TASKS["melody"], [given / "data"])
    classifier = NoteClassifier.from_pretrained(folder / "model")
    assert (classifier.task, classifier.classes[3]) == ("melody", "accompaniment")
    record = read_record(folder)
    for key in ("task", "seed", "fold", "best_epoch", "valid_score", "test_score", "data"):
        assert record[key] == result[key]
    card = (folder / "model/README.md").read_text()
    assert f"| accuracy, test | {result['test_score']} |" in card
    assert f"| train | 8 | {result['data']['train']['notes']} |" in card
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


def test_what_can_be_learnt_is_learnt(given, tmp_path, monkeypatch):
    for name in ("melody", "composer"):
        write_task(tmp_path / "data", name, segments=24)
    words = ["--task", "melody", "composer", "--seed", "1", "--save_root", str(tmp_path / "out")]
    words += ["--data_root", str(tmp_path / "data"), "--lr", "1e-2", "--epochs", "8"]
    run_here(monkeypatch, *command(given), *words)
    results = read_results(tmp_path / "out")
    assert len(results) == 1 + 5
    for name, least in (("melody", 0.95), ("composer", 0.6)):
        found = [result for run, result in results.items() if run.task == name]
        assert np.mean([result["test_score"] for result in found]) > least
        assert np.mean([result["commonest_class"]["test_score"] for result in found]) < 0.5


def test_the_same_seed_gives_the_same_figures_and_another_does_not(given, tmp_path, monkeypatch):
    for name, flags in (("a", []), ("b", ["--num_workers", "3"]), ("c", ["--nopretrain"])):
        words = ["--task", "localkey", "--seed", "5", "6", "--save_root", str(tmp_path / name)]
        run_here(monkeypatch, *command(given), *words, *flags)
    a, b, c = (figures(tmp_path / name) for name in "abc")
    assert a == b
    losses = {
        tuple(epoch["train_loss"] for epoch in result["epochs"])
        for results in (a, c)
        for result in results.values()
    }
    assert len(losses) == 4


def test_folds_do_not_depend_on_each_other(given, tmp_path, monkeypatch):
    words = command(given, "--task", "composer", "--seed", 2, "--save_root", tmp_path)
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
    given, tmp_path, monkeypatch, task, fold
):
    words = ["--task", task, "--seed", "3", "--epochs", "12", "--save_ckpt"]
    run_here(monkeypatch, *command(given), *words, "--save_root", str(tmp_path / "whole"))

    class Killed(BaseException):
        pass

    run_epoch = FineTuningRun.run_epoch

    def killed_in_epoch_8(run: FineTuningRun, epoch: int) -> dict:
        if epoch == 8 and run.folder.name == task + fold:
            run.trainer.train_epoch(run.sets[0], epoch, lambda batches, _: batches[:1])
            raise Killed
        return run_epoch(run, epoch)

    monkeypatch.setattr(FineTuningRun, "run_epoch", killed_in_epoch_8)
    with pytest.raises(Killed):
        run_here(monkeypatch, *command(given), *words, "--save_root", str(tmp_path / "killed"))
    folder = tmp_path / f"killed/seed_3/{task}{fold}"
    assert not (folder / "result.json").exists()
    (folder / ".result.json.1.tmp").write_text('{"format_ver')  # killed while writing
    monkeypatch.setattr(FineTuningRun, "run_epoch", run_epoch)
    run_here(monkeypatch, *command(given), *words, "--save_root", str(tmp_path / "killed"))
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


def test_a_process_that_is_killed_loses_its_epoch_alone(given, tmp_path):
    words = ["--task", "melody", "--seed", "3", "--epochs", "200"]
    words = [*command(given), *words, "--save_root", str(tmp_path)]
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


def test_weights_asked_for_in_the_middle_of_a_run_begin_it_anew(given, tmp_path, monkeypatch):
    words = [*command(given), "--task", "melody", "--seed", "3", "--save_root", str(tmp_path)]

    def stop(run: FineTuningRun) -> dict:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(FineTuningRun, "figures", stop)
        with pytest.raises(KeyboardInterrupt):
            run_here(patched, *words)
    assert (tmp_path / "seed_3/melody/state.safetensors").exists()
    assert run_here(monkeypatch, *words, "--save_ckpt") == 0
    model = NoteClassifier.from_pretrained(tmp_path / "seed_3/melody/model")
    assert (model.task, model.classes) == ("melody", TASKS["melody"].classes)


def script(given: Path, save_root: Path, *flags: str) -> list[str]:
    folders = [given / "pretrained", given / "data", given / "data"]
    words = ["bash", REPOSITORY / "scripts/finetune_modernbert_script.sh", *folders, *flags]
    return [str(word) for word in [*words, "--seed", "2021", "--save_root", save_root]]


PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_the_script_is_stopped_goes_on_and_ends_with_the_table(given, tmp_path):
    call = script(given, tmp_path / "out", "--epochs", "150")
    environment = ENVIRONMENT | {"PATH": PATH, "JOBS": "2"}
    stopped = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: len(list((tmp_path / "out").glob("*/*/result.json"))) >= 2)
    stopped.terminate()
    assert stopped.wait(timeout=60) == 130
    assert not processes_that_mention(tmp_path / "out")
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*/*/result.json")}
    assert 2 <= len(kept) < 7

    options = {"capture_output": True, "text": True, "timeout": 300, "cwd": tmp_path}
    done = subprocess.run(call, env=environment, **options)
    assert done.returncode == 0, done.stderr
    assert sorted(read_results(tmp_path / "out"), key=str) == sorted(
        [
            ("melody", 2021, None),
            ("localkey", 2021, None),
            *(("composer", 2021, fold) for fold in range(5)),
        ],
        key=str,
    )
    assert done.stdout.count("best epoch") == 7 - len(kept)  # each run once
    assert kept == {p: p.stat().st_mtime_ns for p in kept}
    assert "no data, left out: genre, beat" in done.stdout
    assert "PS    composer" in done.stdout
    assert (tmp_path / "out/results.csv").exists()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, "0 0 1"), ("3,GPU-7,5", "3 5 GPU-7"), ("4", "4 4 4"), ("", "- - -")],
)
def test_jobs_are_spread_over_the_gpus(tmp_path, visible, expected):
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    noted = tmp_path / "noted"
    note = f'if [[ $2 == m2bert.finetune ]]; then echo "${{CUDA_VISIBLE_DEVICES:--}}" >>{noted}; fi'
    stand_ins = {"nvidia-smi": "printf '0\\n1\\n'", ".venv/bin/python": note}
    for name, program in stand_ins.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{program}\n")
        path.chmod(0o755)
    environment = {n: v for n, v in ENVIRONMENT.items() if n != "CUDA_VISIBLE_DEVICES"}
    environment |= {"PATH": f"{tmp_path}:{PATH}", "JOBS": "3"}
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    call = ["bash", tmp_path / "scripts/finetune_modernbert_script.sh"]
    subprocess.run(call, env=environment, check=True, timeout=60)
    assert " ".join(sorted(noted.read_text().split())) == expected


def processes_that_mention(path: Path) -> list[str]:
    """Command lines of running processes."""
    lines = []
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            lines.append(command_line.read_bytes().replace(b"\0", b" ").decode())
    return [line for line in lines if str(path) in line]


@pytest.mark.parametrize("jobs", ["0", "x", "-1"])
def test_a_number_of_jobs_that_is_none_is_refused(given, tmp_path, jobs):
    environment = ENVIRONMENT | {"JOBS": jobs}
    done = subprocess.run(
        script(given, tmp_path), env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == f"error: JOBS is '{jobs}', not a number of trainings at a time from 1\n"


def test_other_data_than_a_finished_run_was_trained_on_are_refused(
    given, tmp_path, monkeypatch, capsys
):
    write_task(tmp_path / "data", "melody")
    words = ["--data_root", str(tmp_path / "data"), "--save_root", str(tmp_path / "out")]
    words = [*command(given), "--task", "melody", "--seed", "1", *words]
    run_here(monkeypatch, *words)
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    path = tmp_path / "data/pop909_test_melodyans.npy"
    np.save(path, np.load(path)[::-1])
    write_task(tmp_path / "data", "melody", segments=9)
    assert run_here(monkeypatch, *words) == finetune.SOME_TASKS_FAILED
    assert "melody was trained on other data than that which is there" in capsys.readouterr().err
    assert result.read_bytes() == before

    write_task(tmp_path / "data", "melody")
    result.write_bytes(before[:300])
    assert run_here(monkeypatch, *words) == finetune.SOME_TASKS_FAILED
    assert "result.json cannot be read" in capsys.readouterr().err


def test_the_grid_score_is_of_the_tasks_batches_whatever_the_training_batch(
    given, tmp_path, monkeypatch
):
    parts = read_parts(TASKS["localkey"], [given / "data"])
    test = parts["test"]
    for batch_size in ("1", "4"):
        words = [*command(given), "--task", "localkey", "--seed", "1", "--save_ckpt"]
        folder = tmp_path / batch_size
        run_here(monkeypatch, *words, "--batch_size", batch_size, "--save_root", str(folder))
        (result,) = read_results(folder).values()
        model = NoteClassifier.from_pretrained(folder / "seed_1/localkey/model")
        predictions = model(test.notes).argmax(-1)
        score = grid_accuracy(test.notes, test.labels, predictions, 6)
        assert result["test_score"] == round(score.item(), 4)


def _claim(folder: Path, number: int) -> bool:
    try:
        claim_folder(folder, {"lr": number}, "--save_root")
    except UserError:
        return False
    return True


def test_of_commands_that_begin_one_folder_at_once_one_wins(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        won = pool.starmap(_claim, [(tmp_path, number) for number in range(12)])
    assert sum(won) == 1
    assert json.loads((tmp_path / "settings.json").read_text()) == {"lr": won.index(True)}


def test_the_originals_checkpoint_gives_what_the_model_folder_gives(given, tmp_path, monkeypatch):
    model = M2BertForPreTraining.from_pretrained(given / "pretrained")
    record = read_record(given / "pretrained")
    save_published(tmp_path / "model_best.ckpt", model, record)
    monkeypatch.setitem(finetune.PRESETS, "tiny", SMALL)
    words = ["--task", "localkey", "--seed", "5", "--preset", "tiny"]
    scores = []
    for name, ckpt in (("a", given / "pretrained"), ("b", tmp_path / "model_best.ckpt")):
        places = ["--ckpt", str(ckpt), "--save_root", str(tmp_path / name)]
        run_here(monkeypatch, *command(given), *words, *places)
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
def test_a_command_that_cannot_be_done_is_refused(given, tmp_path, monkeypatch, flags, message):
    model = M2BertForPreTraining.from_pretrained(given / "pretrained")
    record = read_record(given / "pretrained")
    save_published(tmp_path / "narrow.ckpt", model, record)
    words = command(given, "--save_root", tmp_path / "out", "--seed", 1, "--task", "melody")
    run_here(monkeypatch, *words)
    result = tmp_path / "out/seed_1/melody/result.json"
    before = result.read_bytes()
    if "--task" in flags:
        flags, words = flags.removesuffix(" --task"), words[:-2]
    with pytest.raises(UserError, match=message):
        run_here(monkeypatch, *words, *flags.format(tmp=tmp_path).split())
    assert result.read_bytes() == before


def test_bad_words_end_with_one_sentence(given, tmp_path):
    done = run(*command(given, "--save_root", tmp_path), "--task", "melodie")
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
    ],
)
def test_flags_that_mean_nothing_are_refused(given, monkeypatch, capsys, flags, message):
    with pytest.raises(SystemExit) as left:
        run_here(monkeypatch, *command(given), *flags.split())
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_task_with_bad_data_does_not_keep_others_from_training(
    given, tmp_path, monkeypatch, capsys
):
    write_task(tmp_path / "data", "melody")
    write_task(tmp_path / "data", "composer")
    (tmp_path / "data/pianist8_fold_2.npy").unlink()
    words = ["--data_root", str(tmp_path / "data"), "--save_root", str(tmp_path / "out")]
    words += ["--seed", "1", "--epochs", "1"]
    status = run_here(monkeypatch, *command(given), *words)
    assert status == finetune.SOME_TASKS_FAILED
    assert "error: there is no pianist8_fold_2.npy" in capsys.readouterr().err
    assert [run.task for run in read_results(tmp_path / "out")] == ["melody"]


def test_a_batch_without_labelled_notes_changes_no_weight(tmp_path, monkeypatch, given):
    write_task(tmp_path / "data", "texture", segments=12)
    labels_path = tmp_path / "data/orch_train_textureans.npy"
    labels = np.load(labels_path)
    labels[1:] = 0  # with one segment a batch only the first teaches anything
    np.save(labels_path, labels)
    words = ["--data_root", str(tmp_path / "data"), "--task", "texture", "--seed", "1"]
    words += ["--batch_size", "1", "--epochs", "1", "--save_root", str(tmp_path / "out")]
    steps = []

    def note_steps(run: FineTuningRun, result: dict) -> None:
        steps.append(run.trainer.optimiser.param_groups[0]["step"])

    monkeypatch.setattr(FineTuningRun, "finish", note_steps)
    run_here(monkeypatch, *command(given), *words)
    assert steps == [1]


def test_class_num_gives_room_for_more_classes(given, tmp_path, monkeypatch):
    write_task(tmp_path / "data", "melody")
    path = tmp_path / "data/pop909_train_melodyans.npy"
    labels = np.load(path)
    labels[labels == 3] = 5
    np.save(path, labels)
    words = ["--data_root", str(tmp_path / "data"), "--task", "melody", "--seed", "1"]
    words += ["--save_root", str(tmp_path / "out")]
    assert run_here(monkeypatch, *command(given), *words) == finetune.SOME_TASKS_FAILED
    words[-1] += "6"
    assert run_here(monkeypatch, *command(given), *words, "--class_num", "6") == 0


# Several processes -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_dropout(tmp_path_factory) -> Path:
    """As `given`, for runs that are to be the same in one process and in two."""
    folder = tmp_path_factory.mktemp("without_dropout")
    write_checkpoint(folder / "pretrained", replace(SMALL, dropout=0.0))
    for name in ("melody", "composer", "localkey"):
        write_task(folder / "data", name, segments=7)
    return folder


def torchrun(*words: str | Path) -> subprocess.CompletedProcess:
    program = [*TORCHRUN, *map(str, words)]
    return subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def test_two_processes_compute_the_gradients_of_one(tmp_path):
    done = torchrun(REPOSITORY / "tests/classifier_gradients.py", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said == ["error: not in the first process", "error: in both"]
    first, second = (load_tensors(tmp_path / f"kept.{index}")[0] for index in range(2))
    alone = gradients(Processes(torch.device("cpu")))
    assert alone.keys() == first.keys() == second.keys()
    assert len(alone) == 3 * (4 + 4)
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name]), name
        if "gradient" in name:
            difference = (first[name] - tensor).norm() / tensor.norm()
            assert difference < 1e-6, name
        elif "predictions" in name:
            assert torch.equal(first[name], tensor), name
        else:
            torch.testing.assert_close(first[name], tensor, rtol=0, atol=1.01e-4)


def assert_close_results(one: dict, other: dict) -> None:
    """The same runs with the same figures, losses but for the last of their places."""
    assert one.keys() == other.keys()
    for run, result in one.items():
        pairs = zip(result.pop("epochs"), other[run].pop("epochs"), strict=True)
        for mine, theirs in pairs:
            assert mine == pytest.approx(theirs, rel=0, abs=1.01e-4)
        assert result == other[run]


def test_torchrun_gives_the_results_of_one_process(without_dropout, tmp_path, monkeypatch):
    shutil.copytree(without_dropout / "data", tmp_path / "data")
    (tmp_path / "data/augnet_valid_localkeyans.npy").unlink()
    words = ["--task", "melody", "localkey", "composer", "--seed", "1", "--batch_size", "3"]
    words += ["--data_root", str(tmp_path / "data"), "--lr", "1e-3"]
    words = [*command(without_dropout), *words]
    done = torchrun("-m", "m2bert.finetune", *words, "--save_root", tmp_path / "two", "--cpu")
    assert done.returncode != 0
    assert done.stderr.count("error: there is no augnet_valid_localkeyans.npy") == 1
    assert done.stdout.count("6 of 7 runs are finished") == 1
    assert done.stdout.count("melody, seed 1: best epoch") == 1
    status = run_here(monkeypatch, *words, "--save_root", str(tmp_path / "one"))
    assert status == finetune.SOME_TASKS_FAILED
    assert {result["processes"] for result in read_results(tmp_path / "two").values()} == {2}
    assert_close_results(figures(tmp_path / "one"), figures(tmp_path / "two"))


def test_one_process_goes_on_where_two_were_stopped(without_dropout, tmp_path, monkeypatch, capsys):
    words = ["--task", "melody", "--seed", "3", "--epochs", "100", "--save_ckpt", "--cpu"]
    words = [*command(without_dropout), *words, "--save_root"]
    line = [*TORCHRUN, "-m", "m2bert.finetune", *words, str(tmp_path / "stopped")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(line, env=ENVIRONMENT, **quiet)
    log = tmp_path / "stopped/seed_3/melody/log"
    wait_until(lambda: log.exists() and "Epoch 3:" in log.read_text())
    process.terminate()  # torchrun passes it on
    assert process.wait(timeout=60) != 0
    assert not processes_that_mention(tmp_path / "stopped")
    assert run_here(monkeypatch, *words, str(tmp_path / "stopped")) == 0
    (epoch,) = re.findall("going on after epoch ([0-9]+)", capsys.readouterr().out)
    assert 0 < int(epoch) < 100
    run_here(monkeypatch, *words, str(tmp_path / "whole"))
    assert_close_results(figures(tmp_path / "whole"), figures(tmp_path / "stopped"))


def test_bad_words_under_torchrun_are_said_once(given, tmp_path):
    words = command(given, "--save_root", tmp_path, "--task", "melodie")
    done = torchrun("-m", "m2bert.finetune", *words)
    assert done.returncode != 0
    assert done.stderr.count("error: there is no task melodie") == 1
    assert list(tmp_path.iterdir()) == []


# Figures ---------------------------------------------------------------------------------------


def test_of_equal_epochs_the_latest_is_best():
    epochs = [{"epoch": k, "valid_acc": v} for k, v in enumerate([0.1, 0.5, 0.3, 0.5, 0.2], 1)]
    assert best_epoch(epochs)["epoch"] == 4


def test_the_commonest_label_is_of_the_notes_that_are_trained_on():
    notes = torch.zeros(1, 5, 4, dtype=torch.uint8)
    notes[0, 4, 0] = 2  # padding
    labels = torch.tensor([[0, 0, 2, 2, 0]], dtype=torch.int16)
    labels[0, 1] = 2
    train = LabelledSegments(notes, labels)
    assert commonest_label(TASKS["melody"], train) == 2
    labels[0, :3] = 0
    assert commonest_label(TASKS["melody"], LabelledSegments(notes, labels)) == 0
    assert commonest_label(TASKS["texture"], LabelledSegments(notes, labels)) == 2
