"""The command `python -m m2bert.annotate`."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pytest
import torch

from m2bert import annotate
from m2bert.base.errors import UserError
from m2bert.model.classifiers import CLASSIFIERS
from m2bert.notes.song import read_song
from m2bert.tasks import TASKS
from tests.helpers.midi_files import write_midi
from tests.helpers.shared import REPOSITORY
from tests.helpers.task_files import SMALL, write_checkpoint

NOTE_TASKS = [task.name for task in TASKS.values() if task.level == "note"]
PIECE_TASKS = [task.name for task in TASKS.values() if task.level == "piece"]


def save_model(folder: Path, name: str, seed: int = 0, **record) -> Path:
    torch.manual_seed(seed)
    task = TASKS[name]
    model = CLASSIFIERS[task.level](SMALL, task.classes, task=name)
    model.save_pretrained(folder, {"task": name, **record})
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A model of every task, as fine-tuning leaves them."""
    folder = tmp_path_factory.mktemp("models")
    for name in TASKS:
        save_model(folder / f"seed_2021/{name}/model", name, valid_score=0.5)
    return folder


def run_here(monkeypatch, *words: Path | str) -> None:
    monkeypatch.setattr(sys, "argv", ["annotate", *map(str, words)])
    annotate.main()


def test_a_song_of_the_demo_is_annotated_by_all_tasks(models, demo_dir, tmp_path):
    song_path = sorted((demo_dir / "lmd_matched").rglob("*.mid"))[0]
    words = [song_path, "--model", models, "--out", tmp_path / "out"]
    program = [sys.executable, "-m", "m2bert.annotate", *map(str, words)]
    done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for task in TASKS.values():
        assert f"  {task.title}  " in done.stdout
    stem = song_path.stem
    names = [f"{stem}{end}" for end in (".annotated.mid", ".csv", ".html", ".json", ".png")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert all(str(tmp_path / "out" / name) in done.stdout for name in names)

    song = read_song(song_path)
    written = json.loads((tmp_path / "out" / f"{stem}.json").read_text())
    with (tmp_path / "out" / f"{stem}.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(written["notes"]) == len(song)
    assert list(written["piece"]) == PIECE_TASKS
    for row, note, start in zip(rows, written["notes"], song.notes.start, strict=True):
        assert int(row["onset_ticks"]) == note["onset_ticks"] == start
        for name in NOTE_TASKS:
            assert row[name] == (note[name] or "")
            assert note[name] is None or note[name] in TASKS[name].classes
    assert all(note["melody"] for note in written["notes"])
    markers = [
        message.text
        for track in mido.MidiFile(tmp_path / "out" / f"{stem}.annotated.mid").tracks
        for message in track
        if message.type == "marker"
    ]
    assert {text.split()[0] for text in markers} >= {"chord", "key"}


def test_models_of_one_task_are_averaged_or_the_best_is_taken(tmp_path, monkeypatch):
    song = write_midi(tmp_path / "song.mid")
    folders = [
        save_model(tmp_path / f"models/seed_{seed}/melody/model", "melody", seed, valid_score=score)
        for seed, score in ((1, 0.5), (2, 0.7), (3, 0.6))
    ]

    def probabilities(*words: Path | str) -> np.ndarray:
        run_here(monkeypatch, song, "--out", tmp_path / "out", *words)
        written = json.loads((tmp_path / "out/song.json").read_text())
        assert len(written["models"]["melody"]) == (3 if words[-1] == tmp_path / "models" else 1)
        return np.array([note["melody_probability"] for note in written["notes"]])

    alone = [probabilities("--model", folder) for folder in folders]
    best = probabilities("--model", tmp_path / "models", "--which", "best")
    np.testing.assert_array_equal(best, alone[1])
    mean = probabilities("--model", tmp_path / "models")
    assert not np.allclose(mean, alone[1])
    assert (mean <= np.max(alone, axis=0) + 1e-4).all()


def test_piece_tasks_are_left_out_where_no_note_is_long_enough(
    models, tmp_path, monkeypatch, capsys
):
    song = write_midi(tmp_path / "song.mid", [(480 * i, 480 * i + 20, 60) for i in range(4)])
    run_here(monkeypatch, song, "--model", models, "--out", tmp_path / "out")
    written = json.loads((tmp_path / "out/song.json").read_text())
    assert written["piece"] == {}
    assert {note["marks"][0] for note in written["notes"]} == {"short"}
    assert all(note["melody"] for note in written["notes"])
    assert "models of whole pieces read nothing" in capsys.readouterr().out


def test_bad_input_is_told_in_one_sentence_and_leaves_nothing(models, tmp_path, monkeypatch):
    song = write_midi(tmp_path / "song.mid")
    (tmp_path / "text.mid").write_text("no music")
    write_midi(tmp_path / "empty.mid", notes=())
    (tmp_path / "nothing").mkdir()
    write_checkpoint(tmp_path / "pretrained")
    other = save_model(tmp_path / "other", "melody")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"format_version": 7}))
    misfit = save_model(tmp_path / "misfit", "melody")
    config = json.loads((misfit / "config.json").read_text())
    (misfit / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    lost = save_model(tmp_path / "lost", "melody")
    (lost / "model.safetensors").unlink()
    silent = save_model(tmp_path / "silent", "melody")
    out = tmp_path / "out"
    for words, sentence in [
        ((tmp_path / "gone.mid", "--model", models), "there is no file"),
        ((tmp_path, "--model", models), "is no file: name a MIDI file"),
        (("/dev/null", "--model", models), "is no file: name a MIDI file"),
        ((tmp_path / "text.mid", "--model", models), "no readable MIDI file"),
        ((tmp_path / "empty.mid", "--model", models), "has no notes"),
        ((song, "--model", tmp_path / "gone"), "there is no folder"),
        ((song, "--model", models / "seed_2021/melody/model/config.json"), "is a file: name the"),
        ((song, "--model", tmp_path / "nothing"), "no fine-tuned model"),
        ((song, "--model", tmp_path / "pretrained"), "no fine-tuned model"),
        ((song, "--model", other), "format version 7"),
        ((song, "--model", misfit), "does not fit"),
        ((song, "--model", lost), "there is no file .*safetensors"),
        ((song, "--model", silent, "--which", "best"), "--which all"),
    ]:
        with pytest.raises(UserError, match=sentence):
            run_here(monkeypatch, *words, "--out", out)
        assert not out.exists()  # all this is seen before the work
    out.write_text("a file")
    with pytest.raises(UserError, match="out is a file: name a folder with --out"):
        run_here(monkeypatch, song, "--model", models, "--out", out)
    with pytest.raises(OSError, match="out/below could not be written"):
        run_here(monkeypatch, song, "--model", models, "--out", out / "below")


@pytest.mark.parametrize("lines", [0, 1])
def test_files_are_written_whoever_reads_the_summary(lines, models, tmp_path):
    words = [write_midi(tmp_path / "song.mid"), "--model", models / "seed_2021/melody"]
    program = [sys.executable, "-m", "m2bert.annotate", *map(str, words), "--out", tmp_path / "out"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(program, cwd=REPOSITORY, text=True, **pipes) as process:
        read = [process.stdout.readline() for _ in range(lines)]
        process.stdout.close()
        assert (process.stderr.read(), process.wait(300)) == ("", 0)
    assert all("song.mid: 8 notes, 1 track" in line for line in read)
    assert len(list((tmp_path / "out").iterdir())) == len(annotate.WRITERS)


def test_another_song_of_one_name_is_refused_before_the_work(models, tmp_path, monkeypatch):
    first, second = (write_midi(tmp_path / folder / "song.mid") for folder in "ab")
    words = ("--model", models / "seed_2021/melody", "--out", tmp_path / "out")
    run_here(monkeypatch, first, *words)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(annotate, "annotate", None)  # what works would fail
        with pytest.raises(UserError, match=r"of another song, .*a/song\.mid"):
            run_here(patch, second, *words)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    monkeypatch.chdir(tmp_path / "a")
    run_here(monkeypatch, "song.mid", *words)  # the same song again


def test_a_stride_longer_than_the_windows_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_here(monkeypatch, "song.mid", "--model", "models", "--stride", "1025")
    assert "--stride: stride 1025 is not in 1..1024" in capsys.readouterr().err


def test_all_outputs_are_replaced_or_none(models, tmp_path, monkeypatch):
    song, out = write_midi(tmp_path / "song.mid"), tmp_path / "out"
    model = models / "seed_2021/melody"
    words = (song, "--model", model, "--out", out)
    run_here(monkeypatch, *words)
    names = [f"song{ending}" for ending in annotate.WRITERS]
    for name in names:
        (out / name).write_text("of another run")

    def fail(_annotation, path: Path) -> None:
        path.write_text("half a page")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(annotate.WRITERS, ".html", fail)
        with pytest.raises(KeyboardInterrupt):
            run_here(patch, *words)
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert {(out / name).read_text() for name in names} == {"of another run"}


def test_no_name_is_too_odd_for_a_terminal(models, tmp_path, monkeypatch):
    song = write_midi(tmp_path / os.fsdecode(b"caf\xe9.mid"))
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    model = models / "seed_2021/localkey"  # whose labels have flats
    run_here(monkeypatch, song, "--model", model, "--out", tmp_path / "out")
    terminal.flush()
    assert rb"caf\udce9.mid: 8 notes, 1 track, " in terminal.buffer.getvalue()
    assert len(list((tmp_path / "out").iterdir())) == len(annotate.WRITERS)


def test_a_folder_in_the_way_is_named_before_the_work(models, tmp_path, monkeypatch):
    song, out = write_midi(tmp_path / "song.mid"), tmp_path / "out"
    (out / "song.html").mkdir(parents=True)
    monkeypatch.setattr(annotate, "annotate", None)  # what works would fail
    with pytest.raises(UserError, match=r"song\.html could not be written"):
        run_here(monkeypatch, song, "--model", models, "--out", out)
    assert [path.name for path in out.iterdir()] == ["song.html"]
