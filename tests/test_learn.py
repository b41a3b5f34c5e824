"""Tasks of one's own from labelled songs, on the command line."""

import json
import os
import shutil
from pathlib import Path
from signal import SIGINT, raise_signal
from unittest.mock import patch

import mido
import numpy as np
import pytest
import torch

from m2bert import annotate, finetune, learn, results
from m2bert.annotation.models import find_models
from m2bert.base.files import path_text
from m2bert.base.outputs import sha256
from m2bert.learning import train
from m2bert.learning.splits import write_split
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import read_record
from tests.helpers.commands import contents, run_here, run_here_well
from tests.helpers.midi_files import note, save, write_midi
from tests.helpers.tables import read_csv, write_csv
from tests.helpers.task_files import write_checkpoint

LOW, HIGH = "tief 🎵", "высоко"
"""Classes of pieces, by the pitches of their notes."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("encoder") / "pretrained")


def write_song(path: Path, lowest: int, seed: int, notes: int = 40) -> Path:
    """Eighth notes at random pitches of an octave."""
    pitches = np.random.default_rng(seed).integers(lowest, lowest + 12, notes).tolist()
    return write_midi(path, [(240 * n, 240 * n + 200, p) for n, p in enumerate(pitches)])


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    """Two classes of ten songs; two are unreadable and two clips are of one song."""
    folder = tmp_path_factory.mktemp("pieces")
    for name, lowest in ((LOW, 30), (HIGH, 80)):
        for number in range(10):
            write_song(folder / name / f"song{number // 2}_{number}.mid", lowest, number)
        (folder / name / "broken.mid").write_bytes(b"MThd")
    shutil.copy(folder / LOW / "song0_0.mid", folder / LOW / os.fsdecode(b"caf\xe9_0.mid"))
    return folder


@pytest.fixture(scope="module")
def learnt(pieces, encoder, tmp_path_factory) -> tuple[Path, str]:
    """A model of pieces and what its command printed; tests do not change it."""
    out = tmp_path_factory.mktemp("models") / "register"
    printed = learn_here(pieces, "--out", out, "--ckpt", encoder, "--baseline", "--epochs", 2)
    return out, printed


def short_learn() -> None:
    """The command, with fewer steps of the head on the frozen encoder."""
    with patch.dict(train.EPOCHS, {train.PROBE: (20, 200)}):
        learn.main()


def learn_here(*words: object) -> str:
    return run_here_well(short_learn, *words, "--num_workers", 1)


def test_learn_writes_a_model_that_annotates_without_its_data(learnt, tmp_path):
    out, printed = learnt
    assert "skipped 2 files: unreadable 2" in printed
    assert "Confusion matrix: true classes in rows" in printed
    assert printed.endswith(f"python -m m2bert.annotate song.mid --model {out}\n")
    found = json.loads((out / "scores.json").read_text())
    assert found["test"]["accuracy"] == 1  # registers are easy to hear
    assert "so few test songs say little" in printed
    exact = [0.025 ** (1 / found["test"]["songs"]), 1]
    assert found["test"]["accuracy_interval"] == pytest.approx(exact)
    assert found["baselines"]["hand-crafted features"]["accuracy"] == 1
    assert {row["name"] for row in found["test"]["classes"]} == {LOW, HIGH}
    moved = shutil.copytree(out, tmp_path / "elsewhere")
    assert list(find_models([moved])) == ["register"]
    song = write_song(tmp_path / "song.mid", 81, 99)
    run_here_well(annotate.main, song, "--model", moved, "--out", tmp_path, "--formats", "json")
    piece = json.loads((tmp_path / "song.json").read_text())["piece"]["register"]
    assert max(piece, key=piece.__getitem__) == HIGH
    assert {"report.md", "confusion.png", "README.md"} <= contents(out).keys()
    assert not (out / "work").exists()


def test_learn_keeps_equal_songs_and_clips_of_a_song_together(learnt, pieces, tmp_path):
    part = {row["file"]: row["part"] for row in read_csv(learnt[0] / "split.csv")}
    assert part[f"{LOW}/caf\\xe9_0.mid"] == part[f"{LOW}/song0_0.mid"]
    assert set(part.values()) == {"train", "valid", "test"}
    words = ("--name", "clips", "--prepare_only", "--group_by", "(.+)_")
    learn_here(pieces, "--out", tmp_path, *words)
    part = {row["file"]: row["part"] for row in read_csv(tmp_path / "clips.split.csv")}
    clips = {(name.split("_")[0], its) for name, its in part.items() if "song" in name}
    assert len(clips) == 10


def test_learn_does_not_replace_a_model(learnt, pieces, encoder):
    before = contents(learnt[0])
    words = (pieces, "--out", learnt[0], "--ckpt", encoder, "--baseline", "--num_workers", 1)
    done = run_here(learn.main, *words, "--epochs", 2)
    assert done.returncode == 1
    assert "has a model already: remove it, or choose another --out" in done.stderr
    assert contents(learnt[0]) == before


def test_prepared_task_is_trained_and_listed_like_the_others(pieces, encoder, tmp_path):
    data = tmp_path / "data"
    learn_here(pieces, "--out", data, "--name", "register", "--prepare_only", "--folds", 3)
    words = (pieces, "--out", data, "--name", "register", "--prepare_only")
    assert "has the task 'register' already" in run_here(learn.main, *words).stderr
    words = ("--ckpt", encoder, "--data_root", data, "--save_root", tmp_path / "runs")
    run_here_well(finetune.main, *words, "--epochs", 1)
    printed = run_here_well(results.main, tmp_path / "runs")
    assert "register" in printed
    assert "missing" not in printed
    assert " ME " not in printed


# Labels of notes -------------------------------------------------------------------------------


def write_voices(path: Path, seed: int, names=("voice", "piano")) -> Path:
    """Two tracks, of which the first is higher."""
    rng = np.random.default_rng(seed)
    tracks = []
    for name, lowest in zip(names, (70, 40), strict=True):
        track = [mido.MetaMessage("track_name", name=name)]
        for pitch in rng.integers(lowest, lowest + 12, 24).tolist():
            track += note(40, 240, pitch)
        tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, *tracks)


@pytest.fixture(scope="module")
def voices(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    for number in range(12):
        write_voices(folder / f"{number}.mid", number)
    return folder


@pytest.fixture(scope="module")
def voice_model(voices, encoder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("models") / "voices"
    words = ("--label", "track_name", "--ckpt", encoder, "--epochs", 5, "--baseline")
    learn_here(voices, "--out", out, *words)
    return out


def test_learn_reads_labels_of_notes_from_the_names_of_tracks(voice_model):
    found = json.loads((voice_model / "scores.json").read_text())
    assert [row["name"] for row in found["test"]["classes"]] == ["piano", "voice"]
    assert found["songs"] == {"train": 8, "valid": 2, "test": 2}
    assert sum(map(sum, found["test"]["confusion"])) == 2 * 48
    assert found["majority_accuracy"] == 0.5
    for scores in (found["test"], *found["baselines"].values()):
        assert scores["accuracy"] > 0.75
    assert load_classifier(voice_model).classes == ("padding", "piano", "voice")


def annotated(song: Path, model: Path, folder: Path) -> list[dict]:
    run_here_well(annotate.main, song, "--model", model, "--out", folder, "--formats", "csv")
    return read_csv(folder / f"{song.stem}.csv")


def test_learn_reads_labels_of_notes_from_tables(voices, voice_model, tmp_path):
    songs = tmp_path / "songs"
    songs.mkdir()
    for song in voices.glob("*.mid"):
        rows = annotated(Path(shutil.copy(song, songs)), voice_model, songs)
        for row in rows:
            row["hand"] = {"voice": "right", "piano": "left"}[row["track_name"]]
        rows[0]["hand"] = ""
        columns = ("onset_beats", "pitch", "hand")
        cells = [[row[name] for name in columns] for row in rows[::-1]]
        write_csv(songs / f"{song.stem}.csv", cells, columns)
    place = ("--out", tmp_path / "data", "--prepare_only", "--num_workers", 1)
    done = run_here(learn.main, songs, "--label", "hand", "--name", "hand", *place)
    assert done.returncode == 1
    assert "0.csv, row 49: the cell of hand is empty (--allow_missing skips" in done.stderr
    learn_here(songs, "--label", "hand", "--name", "hand", *place, "--allow_missing")
    learn_here(songs, "--label", "track_name", "--name", "by_track", *place)
    for part in ("train", "valid", "test"):
        hand, track = (
            np.load(tmp_path / f"data/{name}_{part}_{name}ans.npy") for name in ("hand", "by_track")
        )
        assert (hand == 0).sum() == (track == 0).sum() + len(track)
        assert (hand == track)[hand > 0].all()


@pytest.fixture
def undecided(voice_model, tmp_path) -> Path:
    """A model that predicts piano for every note, by a small margin."""
    model = load_classifier(voice_model)
    model.classifier[0].weight.data.zero_()
    model.classifier[0].bias.data = torch.tensor([-1, 1e-4, 0])
    model.save_pretrained(tmp_path / "undecided", read_record(voice_model))
    return tmp_path / "undecided"


def test_learn_continues_a_classifier_with_corrections(voices, undecided, tmp_path):
    corrected = 0
    for number in range(3):
        (tmp_path / "songs").mkdir(exist_ok=True)
        song = Path(shutil.copy(voices / f"{number}.mid", tmp_path / "songs"))
        rows = annotated(song, undecided, tmp_path / "annotated")
        for row in rows:
            row["sha256"] = sha256(song)
        for row in rows[::10]:
            row |= {"voices": "voice", "voices_probability": ""}
        corrected += len(rows[::10])
        cells = [row.values() for row in rows]
        write_csv(tmp_path / f"tables/{number}.csv", cells, rows[0])  # found by the checksum
    out = tmp_path / "new"
    words = ("--label", "voices", "--start_from", undecided, "--out", out)
    printed = learn_here(tmp_path / "tables", tmp_path / "songs", *words)
    found = json.loads((out / "scores.json").read_text())
    for held_out in (found["labels_held_out"], found["songs_held_out"]):
        assert held_out["labelled_notes"] == held_out["right_after"] == corrected
        assert held_out["right_before"] == 0
        assert held_out["other_notes"] == 3 * 48 - corrected
    assert found["helped"] is True
    assert f"so {out} is a copy" not in printed
    old, new = (load_classifier(path) for path in (undecided, out))
    assert new.task == old.task
    names = [set(model.predict(tmp_path / "songs/0.mid").names) for model in (old, new)]
    assert names == [{"piano"}, {"voice"}]


def test_learn_copies_the_classifier_if_corrections_do_not_help(voices, voice_model, tmp_path):
    song, out = Path(shutil.copy(voices / "0.mid", tmp_path)), tmp_path / "new"
    (row, *_) = annotated(song, voice_model, tmp_path / "annotated")
    row |= {"voices": "voice", "voices_probability": "", "sha256": sha256(song)}
    write_csv(tmp_path / "tables/0.csv", [row.values()], row)
    words = ("--label", "voices", "--start_from", voice_model, "--out", out)
    printed = learn_here(tmp_path / "tables", song, *words)
    found = json.loads((out / "scores.json").read_text())
    assert found["labels_held_out"]["labelled_notes"] == 1
    assert found["helped"] is False
    assert f"so {out} is a copy of {voice_model}" in printed
    labels = [load_classifier(path).predict(song) for path in (voice_model, out)]
    np.testing.assert_array_equal(labels[0].probabilities, labels[1].probabilities)


# Interruptions and errors ----------------------------------------------------------------------


def test_learn_resumes_after_ctrl_c(learnt, pieces, encoder, tmp_path, monkeypatch):
    out, begin = tmp_path / "register", train.FinetuningRun

    def interrupted(*arguments):
        if (out / "work/probe/result.json").exists():
            raise_signal(SIGINT)
        return begin(*arguments)

    split = shutil.copy(learnt[0] / "split.csv", tmp_path)
    words = (pieces, "--out", out, "--ckpt", encoder, "--epochs", 2, "--split", split)
    monkeypatch.setattr(train, "FinetuningRun", interrupted)
    assert run_here(short_learn, *words, "--num_workers", 1).returncode == 130
    assert not (out / "scores.json").exists()
    monkeypatch.undo()
    printed = learn_here(*words)
    assert "step 1 of 2, probe: finished before" in printed
    assert contents(out)["model.safetensors"] == contents(learnt[0])["model.safetensors"]


@pytest.fixture(scope="module")
def places(pieces, voices, tmp_path_factory) -> dict[str, Path]:
    """Folders and files by the words that stand for them below."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "split.csv").write_text("file,part\nother.mid,train\n")
    names = [path_text(path.relative_to(pieces)) for path in pieces.glob("*/*.mid")]
    write_split(folder / "all.csv", names, np.full(len(names), "train"))
    parts = [("train", "valid")[n % 2] if LOW in name else "test" for n, name in enumerate(names)]
    write_split(folder / "one.csv", names, np.array(parts))
    for number in range(3):
        write_voices(folder / f"padding/{number}.mid", number, ("voice", "padding"))
    found = {"PIECES": pieces, "PIECES/model": pieces / "model", "VOICES": voices, "PARENT": folder}
    found |= {name.upper(): folder / f"{name}.csv" for name in ("all", "one", "split")}
    return found | {"PADDING": folder / "padding"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("PIECES VOICES --out OUT", "give one folder, with a folder of songs for each class"),
        ("VOICES --label hand --out OUT", "no tables of labels in"),
        ("VOICES --out OUT", "12 files outside the folders of classes, such as"),
        ("PIECES --out OUT --name melody", "the name 'melody' is reserved"),
        ("PIECES --out OUT --name a/b", "'a/b' cannot be part of a file name"),
        ("PIECES --out OUT --group_by (x)", "does not match"),
        ("PIECES --out OUT --group_by (", "'(' is not a regular expression"),
        ("PIECES --out OUT --group_by ()", "no songs are in the part"),
        ("PIECES --out PIECES/model", "where songs are: choose another folder"),
        ("PIECES --out SPLIT", "is a file: name a folder"),
        ("PIECES --out PARENT", "has other files, such as all.csv"),
        ("PIECES --out OUT --split ALL", "no songs are in the part"),
        ("PIECES --out OUT --split ONE", "no song for training has the label"),
        (
            "VOICES --label x --start_from melody --out OUT --balance",
            "--balance cannot be used with",
        ),
        ("PIECES --out OUT --split SPLIT", "has the part None for"),
        ("VOICES --label x --start_from emotion --out OUT", "emotion cannot be continued"),
        ("VOICES --label track_name --start_from melody --out OUT", "no class 'piano'"),
        ("PIECES --out OUT --folds 5", "--folds and several seeds need --prepare_only"),
        ("PIECES --out OUT --folds 2 --prepare_only", "--folds must be at least 3"),
        ("PADDING --label track_name --out OUT", "padding: two classes have the same name"),
    ],
)
def test_learn_rejects_input_that_it_cannot_use(words, message, places, tmp_path):
    out = tmp_path / "out"
    words = [(places | {"OUT": out}).get(word, word) for word in words.split()]
    done = run_here(learn.main, *words, "--num_workers", 1)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert not out.exists()
