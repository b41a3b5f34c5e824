"""`python -m m2bert.embed`: files in, vectors and what is said of them out."""

import json
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.embed import main
from m2bert.model.config import M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.original import save_published
from m2bert.notes.midi_files import collect_midi_files
from tests.helpers.midi_files import SCALE, write_midi
from tests.helpers.shared import REPOSITORY

CONFIG = M2BertConfig(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a pre-training run, as far as its model goes."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    M2BertForPreTraining(CONFIG).save_pretrained(folder / "model_best", {"epoch": 2})
    return folder


@pytest.fixture
def music(tmp_path) -> Path:
    """Good and bad files, in sorted order: what each gives."""
    folder = tmp_path / "music"
    write_midi(folder / "a" / "scale.mid")
    write_midi(folder / "b waltz.MIDI", SCALE[:6], signatures=[(3, 4)])
    write_midi(folder / "c silent.mid", [])
    (folder / "d text.mid").write_text("this is no MIDI file")
    drums = mido.MidiFile(write_midi(folder / "e drums.mid", SCALE[:2]))
    for message in drums.tracks[0]:
        if message.type in ("note_on", "note_off"):
            message.channel = 9
    drums.save(folder / "e drums.mid")
    return folder


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_good_files_become_vectors_and_bad_ones_are_listed(run, music, tmp_path):
    out = tmp_path / "new folder" / "vectors.npz"
    words = ["m2bert.embed", music, music / "a/scale.mid", "--ckpt", run, "--out", out, "--cpu"]
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words), "--level", "bar", "--index_layer", "11"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for line in (
        "3 songs, 16 notes",
        "skipped 2 files: no usable notes 1, unreadable 1",
        "warning: 1 of 3 songs are in another metre",
        "warning: 1 of 3 songs are with drums",
        "5 vectors of width 16",
    ):
        assert line in done.stdout

    found = load(out)
    paths = [music / "a/scale.mid", music / "b waltz.MIDI", music / "e drums.mid"]
    assert found["files"].tolist() == list(map(str, paths))
    assert found["offsets"].tolist() == [0, 2, 4, 5]
    assert found["song"].tolist() == [0, 0, 1, 1, 2]
    assert found["note"].tolist() == [0, 4, 0, 4, 0]
    assert found["onset_beats"].tolist() == [0, 4, 0, 4, 0]
    torch.manual_seed(0)
    model = M2BertForPreTraining(CONFIG).backbone
    expected = np.concatenate([model.embed(path, "bar", 11) for path in paths])
    np.testing.assert_allclose(found["vectors"], expected, rtol=0, atol=1e-5)

    record = json.loads(out.with_suffix(".json").read_text())
    assert record["level"] == "bar"
    assert record["index_layer"] == 11
    assert record["model"]["epoch"] == 2
    assert [entry["vectors"] for entry in record["files"]] == [2, 2, 1]
    assert [entry["other_metre"] for entry in record["files"]] == [False, True, False]
    assert [Path(entry["file"]).name for entry in record["skipped"]] == [
        "c silent.mid",
        "d text.mid",
    ]
    assert sorted(path.name for path in out.parent.iterdir()) == ["vectors.json", "vectors.npz"]


def test_processes_that_read_files_do_without_torch():
    code = "import sys, m2bert.embed, m2bert.notes.tokenised_song; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_files_are_taken_as_given_and_folders_by_suffix(music, tmp_path):
    odd = write_midi(tmp_path / "song without suffix")
    found = collect_midi_files([odd, music, music / "d text.mid"])
    names = ["a/scale.mid", "b waltz.MIDI", "c silent.mid", "d text.mid", "e drums.mid"]
    assert found == [odd, *(music / name for name in names)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("gone.mid --ckpt RUN --out OUT", "there is no file or folder gone.mid"),
        ("RUN --ckpt RUN --out OUT", "no MIDI files in .*looked for"),
        ("MUSIC --ckpt gone --out OUT", "there is no checkpoint gone"),
        ("MUSIC --ckpt MUSIC --out OUT", "holds no model"),
        ("MUSIC --ckpt TEXT --out OUT", "d text.mid is no"),
        ("MUSIC --ckpt ODD --out OUT", r"python -m m2bert\.checkpoint .*odd\.ckpt FOLDER"),
        ("MUSIC --ckpt RUN --out OUT --index_layer 9", "--index_layer 9 is not in 10..12"),
        ("MUSIC --ckpt RUN --out OUT --preset tiny", "--preset tiny is not what"),
        ("TEXT --ckpt RUN --out OUT --num_workers 1", "none of the 1 MIDI files is usable"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    run, music, tmp_path, monkeypatch, arguments, words
):
    out = tmp_path / "vectors.npz"
    odd = music / "odd.ckpt"  # of no preset's size
    save_published(odd, M2BertForPreTraining(CONFIG), {})
    places = {"RUN": run, "MUSIC": music, "OUT": out, "TEXT": music / "d text.mid", "ODD": odd}
    command = [str(places.get(word, word)) for word in arguments.split()]
    monkeypatch.setattr(sys, "argv", ["embed", "--cpu", *command])
    with pytest.raises(UserError, match=words):
        main()
    assert [path.name for path in tmp_path.iterdir()] == ["music"]


def test_an_output_that_cannot_be_written_is_named_before_the_work(run, music, monkeypatch, capsys):
    out = music / "d text.mid" / "vectors.npz"
    command = ["embed", str(music), "--ckpt", str(run), "--out", str(out), "--cpu"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(OSError, match=r"d text\.mid/vectors\.npz could not be written"):
        main()
    assert "songs" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["v.npz", "v.json"])
def test_a_folder_in_the_way_is_named_before_the_work(
    run, music, tmp_path, monkeypatch, capsys, name
):
    (tmp_path / "out" / name).mkdir(parents=True)
    command = ["embed", music, "--ckpt", run, "--out", tmp_path / "out/v.npz", "--cpu"]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    with pytest.raises(UserError, match=f"{name} could not be written"):
        main()
    assert "songs" not in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [("--stride", "1025", "is not in 1..1024"), ("--out", "vectors", "does not end with .npz")],
)
def test_settings_that_make_no_sense_are_refused(monkeypatch, capsys, flag, value, words):
    command = ["embed", "x.mid", "--ckpt", "run", "--out", "x.npz", flag, value]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        main()
    assert words in capsys.readouterr().err
