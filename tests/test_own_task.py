"""Tasks of one's own from the command line: task file, fine-tuning, table, annotation."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from m2bert import M2BertModel, NoteClassifier, annotate, finetune, results
from m2bert.base.errors import UserError
from m2bert.finetuning.task_file import write_task
from m2bert.model.classifiers import load_classifier
from m2bert.scores.results import read_results
from m2bert.tasks import TASKS, Task
from tests.helpers.commands import run_here, run_here_well
from tests.helpers.midi_files import write_midi
from tests.helpers.tables import read_csv
from tests.helpers.task_files import SMALL, write_checkpoint, write_data

CLASSES = ("padding", "$5^$ _", "mid 🎵", "<b>high</b>", "bridge", "B-")
VOICES = Task(
    "声 voice", "own voices", "note", CLASSES, "macro_f1", acronym="OV", loss_on="labelled"
)
FORM = Task(
    "form",
    "musical form",
    "piece",
    tuple(f"form {number}" for number in range(20)),
    "macro_f1",
    folds=3,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with data and results of melody and two own tasks; tests do not change these."""
    folder = tmp_path_factory.mktemp("own")
    write_checkpoint(folder / "pretrained")
    for task in (TASKS["melody"], VOICES, FORM):
        write_data(folder / "data", task)
    for task in (VOICES, FORM):
        write_task(task, folder / "data")
    fine_tune(folder, "runs", "--seed 2021 --epochs 2 --lr 1e-2 --save_ckpt")
    return folder


def command(folder: Path, save_root: str, words: str) -> list:
    places = ("--ckpt", folder / "pretrained", "--data_root", folder / "data")
    return [*places, "--save_root", folder / save_root, *words.split()]


def fine_tune(folder: Path, save_root: str, words: str) -> str:
    return run_here_well(finetune.main, *command(folder, save_root, words))


def test_own_tasks_are_rows_below_those_of_the_benchmark(trained, tmp_path):
    assert not {VOICES.name, FORM.name} & TASKS.keys()
    out = tmp_path / "out"
    printed = run_here_well(results.main, trained / "runs", "--save_dir", out, "--plot")
    rows = [line for line in printed.splitlines() if re.search(" of [12]( |$)", line)]
    assert [re.split(" {2,}", row)[:3] for row in rows] == [
        ["ME", "melody", "accuracy"],
        ["musical form", "form", "macro F1"],
        ["OV", "声 voice", "macro F1"],
    ]
    assert "missing: melody seed 2022\n" in printed
    assert "<b>high</b>" in (out / "classes.csv").read_text()
    assert (out / "plots/confusion_声 voice.png").exists()
    columns = run_here_well(results.main, trained / "runs", trained / "runs")
    assert re.search("OV +声 voice +macro F1", columns)
    found = read_results(trained / "runs")
    assert len(found) == 1 + 1 + 3
    defined = {run.task: result.get("definition", {}).get("title") for run, result in found.items()}
    assert defined == {"melody": None, VOICES.name: "own voices", FORM.name: "musical form"}


def test_model_of_an_own_task_works_without_its_task_file(trained, tmp_path):
    names = {"voice": VOICES.name, "form": "form_fold_1"}
    for name, run in names.items():
        shutil.copytree(trained / "runs/seed_2021" / run / "model", tmp_path / "given" / name)
    assert load_classifier(tmp_path / "given/voice").task == VOICES
    card = (tmp_path / "given/voice/README.md").read_text()
    assert "# M2BERT, fine-tuned: own voices" in card
    assert "| macro F1, test | 0." in card

    song, out = write_midi(tmp_path / "song.mid"), tmp_path / "out"
    given = ("--model", tmp_path / "given", "--out", out)
    printed = run_here_well(annotate.main, song, *given, "--markers", "beats")
    assert re.search(r"own voices +\S.* \(mean probability 0\.\d\d", printed)
    assert re.search(r"musical form +form \d+ ", printed)
    assert {row[VOICES.name] for row in read_csv(out / "song.csv")} <= set(CLASSES)
    written = json.loads((out / "song.json").read_text())
    assert [*written["piece"]["form"]] == list(FORM.classes)
    assert written["models"]["form"][0]["metric"] == "macro F1"
    page = (out / "song.html").read_text()
    assert '"title":"own voices"' in page
    assert r'"\u003cb>high\u003c/b>","bridge","B-"]' in page  # not as in the benchmark's tasks
    (of_piece,) = json.loads(re.search(r"\"pieces\":(\[.*?\]),\"models\"", page)[1])
    assert len(of_piece["colours"]) == 20
    made = {path.name for path in out.iterdir()}
    assert made >= {"song.png", "song.annotated.mid", "song.beats.lab"}
    assert not made & {"song.parts.mid", "song.keys.lab", "song.chords.csv"}

    run_here_well(annotate.main, song, *given, "--tasks", "Own Voice", "--overwrite")
    assert not json.loads((out / "song.json").read_text())["piece"]
    vector = M2BertModel.from_pretrained(tmp_path / "given/form").embed(song)
    assert vector.shape == (SMALL.hidden_size,)


def test_models_of_a_task_with_different_classes_are_rejected(trained, tmp_path):
    other = replace(VOICES, classes=("padding", "low", "high"))
    NoteClassifier(SMALL, other).save_pretrained(tmp_path / "other")
    model = trained / "runs/seed_2021" / VOICES.name / "model"
    song = write_midi(tmp_path / "song.mid")
    done = run_here(annotate.main, song, "--model", model, tmp_path / "other")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {model} and {tmp_path}/other are models of 声 voice with different classes: give "
        "one of them\n"
    )
    config = json.loads((tmp_path / "other/config.json").read_text())
    config["definition"]["format_version"] = 2
    (tmp_path / "other/config.json").write_text(json.dumps(config))
    done = run_here(annotate.main, song, "--model", tmp_path / "other")
    assert "other/config.json: the task has format version 2, this release reads 1" in done.stderr


def test_changed_task_file_is_not_mixed_with_earlier_results(trained, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    write_task(replace(VOICES, title="other"), folder / "data")
    words = f"--epochs 2 --lr 1e-2 --save_ckpt --task {FORM.name} --seed"
    assert "3 of 3 runs are finished" in fine_tune(folder, "runs", f"{words} 2021")
    line = [*command(folder, "runs", "--epochs 2 --lr 1e-2 --task"), VOICES.name, "--seed"]
    done = run_here(finetune.main, *line, "2021")
    assert done.returncode == 3
    assert "was trained on other data or with another task file" in done.stderr
    run_here_well(finetune.main, *line, "2022")
    with pytest.raises(UserError, match=r"different definition \(title own voices and other\)"):
        read_results(folder / "runs")
    shutil.rmtree(folder / "runs/seed_2021")
    done = run_here(results.main, trained / "runs", folder / "runs")
    assert done.returncode == 1
    assert "different tasks with the name '声 voice'" in done.stderr


def test_finetune_rejects_a_bad_task_file(trained, tmp_path):
    (tmp_path / "bad.task.json").write_text("{")
    done = run_here(finetune.main, *command(trained, "bad", f"--data_root {tmp_path}"))
    assert (done.returncode, done.stdout) == (1, "")
    message = f"error: {tmp_path}/bad.task.json cannot be read (it is damaged)\n"
    assert done.stderr == message
    assert not (trained / "bad").exists()


def test_patience_stops_a_run_without_improvement(trained):
    fine_tune(trained, "patient", "--task form --seed 1 --lr 0 --epochs 9 --patience 2")
    for result in read_results(trained / "patient").values():
        assert len(result["epochs"]) == 3  # the first of equal scores is the best
        assert result["settings"]["patience"] == 2
