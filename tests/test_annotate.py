"""The command `python -m m2bert.annotate`."""

import argparse
import io
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

import mido
import numpy as np
import pytest
import torch

from m2bert import annotate
from m2bert.annotation.ensemble import annotate as annotation_of
from m2bert.annotation.ensemble import annotate_together
from m2bert.annotation.models import find_models, task_named
from m2bert.annotation.names import table_name
from m2bert.base.errors import UserError
from m2bert.base.outputs import RECORD
from m2bert.model.classifiers import load_classifier
from m2bert.notes.reader import read_song
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import NOTE_TASKS, PIECE_TASKS
from tests.helpers.commands import call_main
from tests.helpers.midi_files import note, save, write_midi
from tests.helpers.scores import WALTZ, archive, mxl
from tests.helpers.tables import read_csv
from tests.helpers.task_files import save_classifier, write_checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A model of every task, as fine-tuning leaves them."""
    folder = tmp_path_factory.mktemp("models")
    for name in TASKS:
        save_classifier(folder / f"seed_2021/{name}/model", name, valid_score=0.5)
    return folder


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run(models, out):
    """Runs the command in this process."""

    def run(song: Path, *words: str, model: Path = models, out: Path = out) -> None:
        call_main(annotate.main, song, "--model", model, "--out", out, *words)

    return run


@pytest.fixture
def song(tmp_path) -> Path:
    return write_midi(tmp_path / "song.mid")


def test_annotate_labels_a_song_with_all_tasks(run, demo_dir, out, capsys):
    song_path = sorted((demo_dir / "lmd_matched").rglob("*.mid"))[0]
    run(song_path, "--tasks", *(task.title for task in TASKS.values()))
    printed = capsys.readouterr().out
    for title in ("key", "tempo", "time signature", "chords", "melody", "emotion"):
        assert f"  {title}  " in printed
    names = {f"{song_path.stem}{ending}" for ending in annotate.WRITERS}
    assert {path.name for path in out.iterdir()} == {RECORD, *names}
    assert all(str(out / name) in printed for name in names)

    written = json.loads((out / f"{song_path.stem}.json").read_text())
    assert list(written["piece"]) == PIECE_TASKS
    starts = sorted(read_song(song_path).notes.start.tolist())
    assert [note["onset_ticks"] for note in written["notes"]] == starts
    for record in written["notes"]:
        for name in NOTE_TASKS:
            assert record[name] in (None, *map(table_name, TASKS[name].classes))
        assert record["melody"]


def test_which_averages_models_or_takes_the_best(run, song, out, tmp_path):
    folders = [
        save_classifier(
            tmp_path / f"models/seed_{seed}/melody/model", "melody", seed, valid_score=score
        )
        for seed, score in ((1, 0.5), (2, 0.7), (3, 0.6))
    ]

    def probabilities(*words: str, model: Path, models: int = 1) -> np.ndarray:
        run(song, *words, model=model)
        written = json.loads((out / "song.json").read_text())
        assert len(written["models"]["melody"]) == models
        return np.array([note["melody_probability"] for note in written["notes"]])

    best = probabilities("--which", "best", model=tmp_path / "models")
    alone = [load_classifier(folder).predict(song).probabilities for folder in folders]
    np.testing.assert_allclose(best, alone[1].max(1), atol=1e-4)
    mean = probabilities(model=tmp_path / "models", models=3)
    np.testing.assert_allclose(mean, np.mean(alone, axis=0).max(1), atol=1e-4)
    assert not np.allclose(mean, best, atol=1e-3)


def test_tasks_markers_and_key_change_choose_the_labels(run, song, out, models):
    def texts() -> set[str]:
        track = mido.MidiFile(out / "song.annotated.mid").tracks[-1]
        return {message.text.split()[0] for message in track if message.type == "marker"}

    run(song, "--tasks", "localkey", "beats", "--key_change", "0")
    annotation = json.loads((out / "song.json").read_text())
    assert list(annotation["models"]) == ["beat", "localkey"]
    labelled = [note for note in annotation["notes"] if note["localkey"]]
    assert labelled
    assert all(note["localkey_span"] for note in labelled)
    assert texts() == {"key"}
    made = {path.name for path in out.iterdir()}
    assert made.isdisjoint({"song.parts.mid", "song.chords.lab", "song.chords.csv"})
    assert made >= {"song.keys.lab", "song.beats.lab"}
    run(song, "--tasks", "localkey", "beats", "--markers", "beats")
    assert texts() >= {"beat", "downbeat"}
    with pytest.raises(UserError, match=r"has no model of Genres; it has melody$"):
        run(song, "--tasks", "Genres", model=models / "seed_2021/melody")


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (("chord roots", "chord_roots", "chords", "roots"), "chordroot"),
        (("keys", "Local keys"), "localkey"),
        (("", "s"), None),
    ],
)
def test_task_named_accepts_names_and_titles(texts, name):
    assert {task_named(text) for text in texts} == {name}


def test_labels_that_a_file_has_are_predicted_only_on_request(run, out, tmp_path):
    def tasks(song: Path, *words: str, model: Path = tmp_path / "models") -> list[str]:
        run(song, *words, model=model)
        return list(json.loads((out / f"{song.stem}.json").read_text())["models"])

    for name in ("beat", "localkey", "melody", "velocity"):
        save_classifier(tmp_path / "models" / name, name)
    chords = [(480 * k, 480 * k + 480, p) for k in range(8) for p in (60, 64)]
    on_grid = write_midi(tmp_path / "on_grid.mid", chords)
    off_grid = write_midi(
        tmp_path / "off_grid.mid", [(s + s // 13, e + 99, p) for s, e, p in chords]
    )
    line = write_midi(tmp_path / "line.mid", chords[::2])
    struck = [*note(0, 480, velocity=60), *note(0, 480, velocity=61)]
    played = save(tmp_path / "played.mid", struck)
    drums = [*note(0, 9, 36, 9, velocity=1), *note(0, 9, 36, 9, velocity=2), *note(0, 480)]
    assert tasks(on_grid) == ["localkey", "melody", "velocity"]
    assert tasks(off_grid) == ["beat", "localkey", "melody", "velocity"]
    assert tasks(line) == ["localkey", "velocity"]
    assert tasks(played) == ["localkey"]
    assert "velocity" in tasks(save(tmp_path / "drums.mid", drums))
    assert tasks(played, "--tasks", "velocity", "beats") == ["beat", "velocity"]
    assert tasks(played, model=tmp_path / "models/velocity") == ["velocity"]


@pytest.mark.parametrize(("pitched", "drums"), [(49, 60), (50, 0)])
def test_emotion_needs_50_pitched_notes(pitched, drums, run, out, models, tmp_path, capsys):
    notes = [message for _ in range(pitched) for message in note(0, 480)]
    notes += [message for _ in range(drums) for message in note(0, 480, 36, 9)]
    run(save(tmp_path / "song.mid", notes), model=models / "seed_2021/emotion")
    written = json.loads((out / "song.json").read_text())
    is_labelled = pitched >= 50
    assert bool(written["piece"]) == ("emotion" in written["models"]) == is_labelled
    warning = f"warning: no emotion: {pitched} pitched notes, at least 50 are needed"
    assert (warning in capsys.readouterr().out) != is_labelled


def test_outputs_contain_facts_about_models_and_no_paths(run, song, out, tmp_path):
    record = {"metric": "note_accuracy", "valid_score": 0.5, "licence": "mit"}
    record |= {"limits": "It knows pop."}
    card = {"trained_on": "Songs.", "attribution": "theirs."}
    model = save_classifier(tmp_path / "home/seed_1/melody/model", "melody", **record, **card)
    run(song, model=model)
    text = (out / "song.json").read_text()
    assert json.loads(text)["models"]["melody"] == [
        record | {"name": "seed_1/melody", "metric": "accuracy", "test_score": None}
    ]
    page = (out / "song.html").read_text()
    facts = "seed_1/melody, accuracy 0.500 (validation set), licence of the weights mit. It knows"
    assert facts in page
    assert not any(str(tmp_path) in written for written in (text, page))


def test_scores_are_annotated_like_midi_files(run, out, tmp_path, capsys):
    (tmp_path / "waltz.mxl").write_bytes(mxl(WALTZ))
    run(tmp_path / "waltz.mxl", "--tasks", "melody", "localkey")
    assert "10 notes, 2 tracks, 0:07" in capsys.readouterr().out
    written = json.loads((out / "waltz.json").read_text())
    assert [track["name"] for track in written["tracks"]] == ["Voice", "Piano"]
    assert [note["bar"] for note in written["notes"]] == list("0111111222")
    assert [note["beat_in_bar"] for note in written["notes"]] == [3, 1, 1, 1, 2, 3, 3, 1, 3, 3]


def test_annotate_names_partitura_if_it_is_not_installed(run, out, tmp_path, monkeypatch):
    (tmp_path / "waltz.mxl").write_bytes(mxl(WALTZ))
    monkeypatch.setitem(sys.modules, "partitura", None)
    with pytest.raises(UserError, match=r"waltz\.mxl cannot be used: .*pip install partitura=="):
        run(tmp_path / "waltz.mxl")
    assert not out.exists()


def test_annotate_omits_piece_tasks_if_every_note_is_short(run, out, tmp_path, capsys):
    notes = [(480 * i, 480 * i + 20, 60) for i in range(4)]
    run(write_midi(tmp_path / "song.mid", notes), "--tasks", "melody", "genre")
    written = json.loads((out / "song.json").read_text())
    assert written["piece"] == {}
    assert {note["marks"][0] for note in written["notes"]} == {"short"}
    assert all(note["melody"] for note in written["notes"])
    assert "piece-level models read nothing" in capsys.readouterr().out


def test_annotate_rejects_bad_songs_and_leaves_nothing(run, out, tmp_path):
    (tmp_path / "text.mid").write_text("no music")
    (tmp_path / "zip.mxl").write_bytes(archive(a_txt="x"))
    write_midi(tmp_path / "empty.mid", notes=())
    for path, sentence in {
        tmp_path / "gone.mid": "there is no such file",
        Path("/dev/null"): "it is not a regular file",
        tmp_path / "text.mid": "neither a MIDI file nor a score",
        tmp_path / "empty.mid": "has no notes",
        tmp_path / "zip.mxl": "zip.mxl cannot be used: .*ZIP archive without a score",
    }.items():
        with pytest.raises(UserError, match=sentence):
            run(path)
    assert not out.exists()


def test_annotate_rejects_bad_models_and_leaves_nothing(run, models, song, out, tmp_path):
    def changed(name: str, **entries) -> Path:
        """A model with other entries in its configuration."""
        config = save_classifier(tmp_path / name, "melody", valid_score=0.5) / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | entries))
        return config.parent

    (tmp_path / "nothing").mkdir()
    write_checkpoint(tmp_path / "pretrained")
    lost = save_classifier(tmp_path / "lost", "melody")
    (lost / "model.safetensors").unlink()
    for model, sentence in {
        tmp_path / "gone": "there is no folder",
        models / "seed_2021/melody/model/config.json": "is a file: name the",
        tmp_path / "nothing": "no fine-tuned model",
        tmp_path / "pretrained": "no fine-tuned model",
        changed("newer", format_version=7): "format version 7",
        changed("misfit", hidden_size=32): "does not fit",
        lost: "there is no file .*safetensors",
        save_classifier(tmp_path / "silent", "melody"): "--which all",
    }.items():
        with pytest.raises(UserError, match=sentence):
            run(song, "--which", "best", model=model)
    assert not out.exists() or not list(out.iterdir())


def test_annotate_replaces_changed_outputs_only_with_overwrite(run, models, song, out):
    model = models / "seed_2021/melody"
    run(song, model=model)
    run(song, model=model)  # its own files
    (out / "song.csv").write_text("mine")
    with pytest.raises(UserError, match=r"song\.csv was not written by this program, or was"):
        run(song, model=model)
    assert (out / "song.csv").read_text() == "mine"
    run(song, "--overwrite", model=model)
    assert (out / "song.csv").read_text() != "mine"


def test_annotate_prints_any_file_name(run, models, out, tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    song = write_midi(tmp_path / os.fsdecode(b"caf\xe9.mid"))
    run(song, model=models / "seed_2021/localkey")  # whose labels have flats
    terminal.flush()
    assert rb"caf\udce9.mid: 8 notes, 1 track, " in terminal.buffer.getvalue()
    assert {path.suffix for path in out.iterdir()} >= {".csv", ".html", ".lab", ".png"}


def test_bars_are_drawn_or_missing_ones_named(run, models, song, out):
    model = models / "seed_2021/melody"
    with pytest.raises(UserError, match=r"song\.mid has no bars 2 to 9: its bars are 1 to 2"):
        run(song, "--bars", "2-9", model=model)
    run(song, "--bars", "2", model=model)
    assert (out / "song.png").exists()
    for text in ("-2", "2-", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a bar range"):
            annotate.bar_range(text)


def test_annotate_takes_folders_and_keeps_finished_songs(run, out, tmp_path, capsys):
    folder, words = tmp_path / "in", ("--tasks", "localkey", "melody", "--formats", "csv", "html")
    for name in ("a/one.mid", "b/one.mid", "b/emoji 🎵 #3.mid"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_midi(folder / name)
    (folder / "bad.mid").write_text("x")
    run(folder, *words)
    printed = capsys.readouterr()
    assert "3 songs annotated, 1 skipped" in printed.out
    assert "bad.mid cannot be used" in printed.err
    table = read_csv(out / "summary.csv")
    names = ["a/one.mid", "b/emoji 🎵 #3.mid", "b/one.mid"]
    assert [row["file"] for row in table] == names
    assert all(row["key"] and row["tempo"] == "120" for row in table)
    index = (out / "index.html").read_text(encoding="utf-8")
    for name in names:
        made = {path.name for path in (out / name).iterdir()} - {RECORD}
        assert made == {f"{Path(name).stem}.csv", f"{Path(name).stem}.html"}
        assert f'href="{quote(f"{name}/{Path(name).stem}.html")}"' in index

    (out / "a/one.mid/one.csv").unlink()  # is not written again: the song is finished
    write_midi(folder / "b/one.mid", [(0, 480, 40)])
    run(folder, *words)
    counts = "1 song annotated, 2 finished before, 1 skipped, 3 with warnings"
    assert counts in capsys.readouterr().out
    assert not (out / "a/one.mid/one.csv").exists()
    table = read_csv(out / "summary.csv")
    assert [row["notes"] for row in table] == ["8", "8", "1"]
    with pytest.raises(UserError, match=r"other settings \(transpositions was 6 and is now 1\)"):
        run(folder, *words, "--transpositions", "1")
    run(folder, *words, "--transpositions", "1", "--overwrite")
    assert (out / "a/one.mid/one.csv").exists()


def test_annotate_lists_songs_whose_names_are_not_utf8(run, out, tmp_path):
    for name in (b"caf\xe9.mid", b"b.mid"):
        write_midi(tmp_path / "in" / os.fsdecode(name))
    run(tmp_path / "in", "--tasks", "melody", "--formats", "csv")
    assert [row["file"] for row in read_csv(out / "summary.csv")] == ["b.mid", "caf\\xe9.mid"]


def test_annotate_rejects_folders_without_usable_songs(run, out, tmp_path):
    empty, bad = tmp_path / "empty", tmp_path / "bad"
    empty.mkdir()
    bad.mkdir()
    (bad / "x.mid").write_text("x")
    with pytest.raises(UserError, match=r"no MIDI files or scores in .*empty"):
        run(empty)
    with pytest.raises(UserError, match=r"none of the 1 files is usable: .*x\.mid cannot be used"):
        run(bad)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file is a file: name a folder"):
        run(bad, out=tmp_path / "file")
    out.mkdir(exist_ok=True)
    write_midi(out / "song.mid")
    with pytest.raises(UserError, match="the folder of the outputs"):
        run(out)


def test_annotate_together_equals_each_song_alone(models, tmp_path):
    rng, songs = np.random.default_rng(0), []
    for count in (60, 8, 1500, 300):  # 8: too few for emotion
        start, pitch = 120 * np.arange(count), rng.integers(40, 80, count)
        notes = np.stack([start, start + rng.integers(60, 600, count), pitch], 1).tolist()
        songs.append(read_song(write_midi(tmp_path / f"{count}.mid", notes)))
    found = find_models([models], ["melody", "chordroot", "texture", "emotion"])
    settings = {"device": torch.device("cpu"), "transpositions": 2}
    for together in annotate_together([(song, found) for song in songs], **settings):
        alone = annotation_of(together.song, found, **settings)
        assert together.models == alone.models
        for kind in ("note_labels", "piece_labels"):
            its, expected = getattr(together, kind), getattr(alone, kind)
            assert list(its) == list(expected)
            for task, labels in its.items():
                same = {"rtol": 0, "atol": 1e-5}
                of_task = expected[task].probabilities
                np.testing.assert_allclose(labels.probabilities, of_task, **same)
                np.testing.assert_array_equal(labels.label, expected[task].label)


def test_annotate_skips_a_song_that_cannot_be_written(run, out, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, notes in {"a": 8, "b": 2, "c": 8}.items():
        write_midi(folder / f"{name}.mid", [(480 * i, 480 * i + 480, 60) for i in range(notes)])
    run(folder, "--tasks", "melody", "--formats", "png", "--bars", "2")
    printed = capsys.readouterr()
    assert "2 songs annotated, 1 skipped" in printed.out
    assert "skipped: b.mid has no bars 2 to 2" in printed.err
    assert {path.stem for path in out.rglob("*.png")} == {"a", "c"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_annotate_keeps_songs_that_were_finished_before_it_stopped(
    run, out, tmp_path, monkeypatch, stop
):
    folder, words = tmp_path / "in", ("--tasks", "melody", "--formats", "csv")
    folder.mkdir()
    for name in "abc":
        write_midi(folder / f"{name}.mid")
    write = annotate.WRITERS[".csv"]

    def fail(annotation, path: Path) -> None:
        if path.stem == "b":
            raise stop
        write(annotation, path)

    monkeypatch.setitem(annotate.WRITERS, ".csv", fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        run(folder, *words)
    assert len((out / "summary.csv").read_text().splitlines()) == 2
    assert not (out / "b.mid/b.csv").exists()
    monkeypatch.setitem(annotate.WRITERS, ".csv", write)
    run(folder, *words)
    assert len((out / "summary.csv").read_text().splitlines()) == 4
