"""The command `python -m m2bert.annotate`."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert import annotate
from m2bert.annotation.models import task_named
from m2bert.annotation.names import table_name
from m2bert.base.errors import UserError
from m2bert.base.outputs import RECORD
from m2bert.model.classifiers import CLASSIFIERS
from m2bert.notes.reader import read_song
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import NOTE_TASKS, PIECE_TASKS
from tests.helpers.commands import run_well
from tests.helpers.midi_files import note, save, write_midi
from tests.helpers.scores import DRUMS, WALTZ, archive, mxl
from tests.helpers.shared import REPOSITORY
from tests.helpers.task_files import SMALL, write_checkpoint


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


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run(models, out, monkeypatch):
    """Runs the command in this process."""

    def run(song: Path, *words: str, model: Path = models, out: Path = out) -> None:
        words = ("annotate", song, "--model", model, "--out", out, *words)
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        annotate.main()

    return run


@pytest.fixture
def song(tmp_path) -> Path:
    return write_midi(tmp_path / "song.mid")


def test_a_song_of_the_demo_is_annotated_by_all_tasks(models, demo_dir, out):
    song_path = sorted((demo_dir / "lmd_matched").rglob("*.mid"))[0]
    words = ["--model", models, "--out", out, "--tasks", *(task.title for task in TASKS.values())]
    said = run_well("-m", "m2bert.annotate", song_path, *words)
    for task in TASKS.values():
        assert f"  {task.title}  " in said
    stem = song_path.stem
    names = [f"{stem}{end}" for end in (".annotated.mid", ".csv", ".html", ".json", ".png")]
    assert sorted(path.name for path in out.iterdir()) == [RECORD, *names]
    assert all(str(out / name) in said for name in names)

    written = json.loads((out / f"{stem}.json").read_text())
    assert list(written["piece"]) == PIECE_TASKS
    starts = read_song(song_path).notes.start.tolist()
    assert [note["onset_ticks"] for note in written["notes"]] == starts
    for record in written["notes"]:
        for name in NOTE_TASKS:
            assert record[name] in (None, *map(table_name, TASKS[name].classes))
        assert record["melody"]


def test_models_of_one_task_are_averaged_or_the_best_is_taken(run, song, out, tmp_path):
    folders = [
        save_model(tmp_path / f"models/seed_{seed}/melody/model", "melody", seed, valid_score=score)
        for seed, score in ((1, 0.5), (2, 0.7), (3, 0.6))
    ]

    def probabilities(*words: str, model: Path, models: int = 1) -> np.ndarray:
        run(song, *words, model=model)
        written = json.loads((out / "song.json").read_text())
        assert len(written["models"]["melody"]) == models
        return np.array([note["melody_probability"] for note in written["notes"]])

    alone = [probabilities(model=folder) for folder in folders]
    best = probabilities("--which", "best", model=tmp_path / "models")
    np.testing.assert_array_equal(best, alone[1])
    mean = probabilities(model=tmp_path / "models", models=3)
    assert not np.allclose(mean, alone[1])
    assert (mean <= np.max(alone, axis=0) + 1e-4).all()


def test_only_the_tasks_that_are_named_are_labelled(run, song, out, models, tmp_path):
    run(song, "--tasks", "localkey", "melody", "--key_change", "0")
    annotation = json.loads((out / f"{song.stem}.json").read_text())
    assert list(annotation["models"]) == ["localkey", "melody"]
    assert all(note["localkey_span"] for note in annotation["notes"] if note["localkey"])
    melody = models / "seed_2021/melody"
    for name in ("genre", "Genres", "x"):
        with pytest.raises(UserError, match=rf"has no model of {name}; it has melody$"):
            run(song, "--tasks", name, model=melody)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("chord roots", "chordroot"),
        ("chord_roots", "chordroot"),
        ("chords", "chordroot"),
        ("roots", "chordroot"),
        ("keys", "localkey"),
        ("Local keys", "localkey"),
        ("beats", "beat"),
        ("downbeat", "downbeat"),
        ("emotion", "emotion"),
        ("violin_all", "violin_all"),
        ("violin fingering", "violin_all"),
        ("", None),
        ("s", None),
    ],
)
def test_tasks_have_the_names_that_outputs_give_them(text, name):
    assert task_named(text) == name


def test_velocity_is_predicted_where_the_file_has_none_or_it_is_asked_for(run, song, out, tmp_path):
    def tasks(song: Path, *words: str, model: Path) -> list[str]:
        run(song, *words, model=model)
        return list(json.loads((out / f"{song.stem}.json").read_text())["models"])

    both = tmp_path / "models"
    for name in ("melody", "velocity"):
        save_model(both / name, name)
    struck = [*note(0, 480, velocity=60), *note(0, 480, velocity=61)]
    played = save(tmp_path / "played.mid", struck)
    assert tasks(song, model=both) == ["melody", "velocity"]
    several = ("--model", both / "velocity", both / "melody", both)
    assert tasks(song, *several, model=both / "melody") == ["melody", "velocity"]
    assert tasks(played, model=both) == ["melody"]
    assert tasks(played, "--tasks", "velocity", model=both) == ["velocity"]
    assert tasks(played, model=both / "velocity") == ["velocity"]
    drums = [*note(0, 9, 36, 9, velocity=1), *note(0, 9, 36, 9, velocity=2), *note(0, 480)]
    assert tasks(save(tmp_path / "drums.mid", drums), model=both) == ["melody", "velocity"]


@pytest.mark.parametrize(
    ("pitched", "drums", "is_labelled"), [(0, 90, False), (49, 60, False), (50, 0, True)]
)
def test_emotion_needs_pitched_notes(
    pitched, drums, is_labelled, run, out, models, tmp_path, capsys
):
    notes = [message for _ in range(pitched) for message in note(0, 480)]
    notes += [message for _ in range(drums) for message in note(0, 480, 36, 9)]
    run(save(tmp_path / "song.mid", notes), model=models / "seed_2021/emotion")
    written = json.loads((out / "song.json").read_text())
    assert bool(written["piece"]) == ("emotion" in written["models"]) == is_labelled
    said = capsys.readouterr().out
    assert ("warning: no emotion: " in said) != is_labelled
    assert is_labelled or f"{pitched} pitched notes, at least 50 are needed" in said


def test_a_model_is_told_by_its_name_score_licence_and_limits(run, song, out, tmp_path):
    record = {
        "metric": "note_accuracy",
        "valid_score": 0.5,
        "test_score": float("nan"),
        "licence": "mit",
        "limits": "It knows pop.",
    }
    card = {"trained_on": "Songs.", "attribution": "theirs."}
    model = save_model(tmp_path / "home/seed_1/melody/model", "melody", **record, **card)
    run(song, model=model)
    text = (out / "song.json").read_text()
    assert json.loads(text)["models"]["melody"] == [
        record | {"name": "seed_1/melody", "metric": "accuracy", "test_score": None}
    ]
    page = (out / "song.html").read_text()
    told = "seed_1/melody, accuracy 0.500 (validation set), licence of the weights mit. It knows"
    assert told in page
    assert not any(str(tmp_path) in written for written in (text, page))


def test_a_score_is_annotated_like_a_midi_file(run, out, tmp_path, capsys):
    (tmp_path / "waltz.mxl").write_bytes(mxl(WALTZ))
    run(tmp_path / "waltz.mxl", "--tasks", "melody", "localkey")
    assert "10 notes, 2 tracks, 0:07" in capsys.readouterr().out
    written = json.loads((out / "waltz.json").read_text())
    assert [track["name"] for track in written["tracks"]] == ["Voice", "Piano"]
    assert [note["measure"] for note in written["notes"]] == list("0111221112")
    played = read_song(out / "waltz.annotated.mid")
    lengths = played.notes.end - played.notes.start
    assert sorted(lengths.tolist())[0] == 60  # the grace note
    assert sorted(played.notes.start.tolist()) == sorted(n["onset_ticks"] for n in written["notes"])
    assert played.notes.time_signatures == ((4, 4, 0), (3, 4, 1920))


@pytest.mark.parametrize(
    ("content", "words"),
    [(archive(a_txt="x"), "ZIP archive without a score"), (DRUMS, "percussion alone")],
)
def test_a_bad_score_is_rejected_in_one_sentence(run, out, tmp_path, content, words):
    (tmp_path / "song.mxl").write_bytes(content)
    with pytest.raises(UserError, match=f"song.mxl cannot be used: .*{words}"):
        run(tmp_path / "song.mxl")
    assert not out.exists()


def test_piece_tasks_are_left_out_where_no_note_is_long_enough(run, out, tmp_path, capsys):
    run(write_midi(tmp_path / "song.mid", [(480 * i, 480 * i + 20, 60) for i in range(4)]))
    written = json.loads((out / "song.json").read_text())
    assert written["piece"] == {}
    assert {note["marks"][0] for note in written["notes"]} == {"short"}
    assert all(note["melody"] for note in written["notes"])
    assert "models of whole pieces read nothing" in capsys.readouterr().out


def test_a_bad_song_is_told_in_one_sentence_and_leaves_nothing(run, out, tmp_path):
    (tmp_path / "text.mid").write_text("no music")
    write_midi(tmp_path / "empty.mid", notes=())
    for path, sentence in {
        tmp_path / "gone.mid": "there is no such file",
        tmp_path: "it is a folder",
        Path("/dev/null"): "it is not a regular file",
        tmp_path / "text.mid": "neither a MIDI file nor a score",
        tmp_path / "empty.mid": "has no notes",
    }.items():
        with pytest.raises(UserError, match=sentence):
            run(path)
    assert not out.exists()


def test_a_bad_model_is_told_before_the_song_is_read(run, models, out, tmp_path):
    def changed(name: str, **entries) -> Path:
        """A model with other entries in its configuration."""
        config = save_model(tmp_path / name, "melody") / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | entries))
        return config.parent

    (tmp_path / "nothing").mkdir()
    write_checkpoint(tmp_path / "pretrained")
    lost = save_model(tmp_path / "lost", "melody")
    (lost / "model.safetensors").unlink()
    for model, sentence in {
        tmp_path / "gone": "there is no folder",
        models / "seed_2021/melody/model/config.json": "is a file: name the",
        tmp_path / "nothing": "no fine-tuned model",
        tmp_path / "pretrained": "no fine-tuned model",
        changed("newer", format_version=7): "format version 7",
        changed("misfit", hidden_size=32): "does not fit",
        lost: "there is no file .*safetensors",
        save_model(tmp_path / "silent", "melody"): "--which all",
    }.items():
        with pytest.raises(UserError, match=sentence):
            run(tmp_path / "gone.mid", "--which", "best", model=model)
    assert not out.exists()


@pytest.mark.parametrize("lines", [0, 1])
def test_files_are_written_whoever_reads_the_summary(lines, models, song, out):
    words = [song, "--model", models / "seed_2021/melody", "--out", out]
    program = [sys.executable, "-m", "m2bert.annotate", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(program, cwd=REPOSITORY, text=True, **pipes) as process:
        read = [process.stdout.readline() for _ in range(lines)]
        process.stdout.close()
        assert (process.stderr.read(), process.wait(300)) == ("", 0)
    assert all("song.mid: 8 notes, 1 track" in line for line in read)
    assert len(list(out.iterdir())) == len(annotate.WRITERS) + len([RECORD])


def test_another_song_of_one_name_is_refused_before_the_work(
    run, models, out, tmp_path, monkeypatch
):
    model = models / "seed_2021/melody"
    first = write_midi(tmp_path / "a/song.mid")
    second = write_midi(tmp_path / "b/song.mid", tempos=(400_000,))
    run(first, model=model)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(annotate, "annotate", None)  # what works would fail
        with pytest.raises(UserError, match=r"song\.json is of another song of this name"):
            run(second, model=model)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    (tmp_path / "a").rename(tmp_path / "moved")
    run(tmp_path / "moved/song.mid", model=model)  # the same song again
    for name in ("song.png", "song.csv", "song.json"):
        (out / name).write_text("mine")
        with pytest.raises(UserError, match=f"{name} was not written by this program, or was"):
            run(tmp_path / "moved/song.mid", model=model)
        assert (out / name).read_text() == "mine"
        run(second, "--overwrite", model=model)
        run(tmp_path / "moved/song.mid", "--overwrite", model=model)
    assert str(tmp_path) not in (out / "song.json").read_text()


def test_what_is_in_the_way_is_named_before_the_work(run, song, out, tmp_path, monkeypatch):
    monkeypatch.setattr(annotate, "annotate", None)  # what works would fail
    (out / "song.html").mkdir(parents=True)
    with pytest.raises(UserError, match=r"song\.html could not be written"):
        run(song)
    assert [path.name for path in out.iterdir()] == ["song.html"]
    with pytest.raises(UserError, match=r"song\.mid is a file: name a folder"):
        run(song, out=song)
    with pytest.raises(OSError, match=r"song\.mid/below could not be written"):
        run(song, out=song / "below")


def test_a_stride_longer_than_the_windows_is_refused(run, song, capsys):
    with pytest.raises(SystemExit):
        run(song, "--stride", "1025")
    assert "--stride: stride 1025 is not in 1..1024" in capsys.readouterr().err


def test_all_outputs_are_replaced_or_none(run, models, song, out, monkeypatch):
    model = models / "seed_2021/melody"
    run(song, model=model)
    names = [f"song{ending}" for ending in annotate.WRITERS]
    before = {name: (out / name).read_bytes() for name in names}

    def fail(_annotation, path: Path) -> None:
        path.write_text("half a page")
        raise KeyboardInterrupt

    monkeypatch.setitem(annotate.WRITERS, ".html", fail)
    with pytest.raises(KeyboardInterrupt):
        run(song, model=model)
    assert sorted(path.name for path in out.iterdir()) == sorted([RECORD, *names])
    assert {name: (out / name).read_bytes() for name in names} == before


def test_no_name_is_too_odd_for_a_terminal(run, models, out, tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    song = write_midi(tmp_path / os.fsdecode(b"caf\xe9.mid"))
    run(song, model=models / "seed_2021/localkey")  # whose labels have flats
    terminal.flush()
    assert rb"caf\udce9.mid: 8 notes, 1 track, " in terminal.buffer.getvalue()
    assert len(list(out.iterdir())) == len(annotate.WRITERS) + len([RECORD])
