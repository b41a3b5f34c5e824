"""The command `python -m m2bert.embed`."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.base.outputs import RECORD
from m2bert.embed import main
from m2bert.model.encoder import M2BertForPreTraining, M2BertModel
from m2bert.model.folder import BUNDLED_MODELS
from m2bert.model.original import save_published
from m2bert.notes.file_search import collect_music_files
from tests.helpers.commands import call_main
from tests.helpers.midi_files import END, SCALE, midi_bytes, off, on, write_midi
from tests.helpers.task_files import SMALL, write_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a pre-training run, as far as its model goes."""
    return write_checkpoint(tmp_path_factory.mktemp("run"))


@pytest.fixture
def music(tmp_path) -> Path:
    """Good and bad files, in sorted order."""
    folder = tmp_path / "music"
    write_midi(folder / "a" / "scale.mid")
    write_midi(folder / "b waltz.MIDI", SCALE[:6], signatures=[(3, 4)])
    write_midi(folder / "c silent.mid", [])
    (folder / "d text.mid").write_text("this is no MIDI file")
    drums = on(0, 36, channel=9) + off(400, 36, channel=9) + on(80, 38, channel=9)
    (folder / "e drums.mid").write_bytes(midi_bytes(drums + off(400, 38, channel=9) + END))
    return folder


embed = partial(call_main, main, "--cpu")


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_embed_reads_the_encoder_of_a_fine_tuned_model(music, tmp_path):
    out = tmp_path / "vectors.npz"
    embed(music / "a/scale.mid", "--ckpt", BUNDLED_MODELS / "melody", "--out", out)
    expected = M2BertModel.from_pretrained("melody").embed(music / "a/scale.mid")
    assert np.allclose(load(out)["vectors"], expected, atol=1e-5)


def test_embed_embeds_good_files_and_lists_bad_ones(run, music, tmp_path, capsys):
    out = tmp_path / "new folder" / "vectors.npz"
    words = [music, music / "a/scale.mid", "--ckpt", run, "--out", out]
    embed(*words, "--level", "bar", "--index_layer", 11)
    printed = capsys.readouterr().out
    for line in (
        "3 songs, 16 notes",
        "skipped 2 files: no usable notes 1, unreadable 1",
        "warning: 1 of 3 songs are without bars of four quarter notes",
        "warning: 1 of 3 songs are with drums",
        "5 vectors of width 16",
    ):
        assert line in printed

    found = load(out)
    paths = [music / "a/scale.mid", music / "b waltz.MIDI", music / "e drums.mid"]
    assert found["files"].tolist() == list(map(str, paths))
    assert found["offsets"].tolist() == [0, 2, 4, 5]
    assert found["song"].tolist() == [0, 0, 1, 1, 2]
    assert found["note"].tolist() == [0, 4, 0, 4, 0]
    assert found["onset_beats"].tolist() == [0, 4, 0, 4, 0]
    torch.manual_seed(0)
    model = M2BertForPreTraining(SMALL).backbone
    expected = np.concatenate([model.embed(path, "bar", 11) for path in paths])
    np.testing.assert_allclose(found["vectors"], expected, rtol=0, atol=1e-5)

    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["level"], record["index_layer"], record["model"]["epoch"]) == ("bar", 11, 3)
    facts = [(entry["vectors"], entry["other_meter"], entry["drums"]) for entry in record["files"]]
    assert facts == [(2, False, False), (2, True, False), (1, False, True)]
    skipped = [Path(entry["file"]).name for entry in record["skipped"]]
    assert skipped == ["c silent.mid", "d text.mid"]
    written = [RECORD, "vectors.json", "vectors.npz"]
    assert sorted(path.name for path in out.parent.iterdir()) == written


def test_nearest_lists_songs_by_the_similarity_of_their_vectors(run, music, tmp_path, capsys):
    out = tmp_path / "vectors.npz"
    embed(music, "--ckpt", run, "--out", out, "--any_key", "--index_layer", 11)
    assert json.loads(out.with_suffix(".json").read_text())["any_key"] is True
    capsys.readouterr()
    embed("--nearest", music / "b waltz.MIDI", out)
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["1.000", str(music / "b waltz.MIDI")]
    assert sorted(file for _, file in lines) == load(out)["files"].tolist()
    assert lines == sorted(lines, key=lambda line: -float(line[0]))

    other, song, bars = tmp_path / "other", music / "a/scale.mid", tmp_path / "bars.npz"
    M2BertForPreTraining(SMALL).save_pretrained(other)
    bars.write_bytes(out.read_bytes())
    bars.with_suffix(".json").write_text('{"level": "bar"}')
    for words, message in (
        ([song, out, "--ckpt", other], r"vectors\.npz has vectors of another model than .*other"),
        ([song, tmp_path / "gone.npz"], r"gone\.npz cannot be read \(No such file"),
        ([song, bars], r"bars\.json does not describe vectors of pieces"),
        (["gone.mid", out], r"gone\.mid cannot be used: .*no such file"),
    ):
        with pytest.raises(UserError, match=message):
            embed("--nearest", *words)
    out.write_bytes(out.read_bytes()[:100])
    with pytest.raises(UserError, match=r"vectors\.npz cannot be read \(it is damaged"):
        embed("--nearest", song, out)


def test_collect_music_files_takes_folders_by_suffix(music, tmp_path):
    bare = write_midi(tmp_path / "song without suffix")
    found = collect_music_files([bare, music, music / "d text.mid"])
    names = ["a/scale.mid", "b waltz.MIDI", "c silent.mid", "d text.mid", "e drums.mid"]
    assert found == [bare, *(music / name for name in names)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("gone.mid --ckpt RUN --out OUT", "there is no file or folder gone.mid"),
        ("RUN --ckpt RUN --out OUT", "no MIDI files or scores in .*looked for"),
        ("MUSIC --ckpt gone --out OUT", "there is no checkpoint gone"),
        ("MUSIC --ckpt MUSIC --out OUT", "contains no model"),
        ("MUSIC --ckpt TEXT --out OUT", "d text.mid is no"),
        ("MUSIC --ckpt OTHER --out OUT", r"python -m m2bert\.checkpoint .*other\.ckpt FOLDER"),
        ("MUSIC --ckpt RUN --out OUT --index_layer 9", "--index_layer 9 is not in 10..12"),
        ("MUSIC --ckpt RUN --out OUT --preset tiny", "--preset tiny is not what"),
        ("TEXT --ckpt RUN --out OUT --num_workers 1", "none of the 1 files is usable"),
    ],
)
def test_embed_rejects_bad_input_and_leaves_nothing(run, music, tmp_path, arguments, words):
    out = tmp_path / "vectors.npz"
    other = music / "other.ckpt"  # of no preset's size
    save_published(other, M2BertForPreTraining(SMALL), {})
    places = {"RUN": run, "MUSIC": music, "OUT": out, "TEXT": music / "d text.mid", "OTHER": other}
    with pytest.raises(UserError, match=words):
        embed(*(places.get(word, word) for word in arguments.split()))
    assert [path.name for path in tmp_path.iterdir()] == ["music"]


@pytest.mark.parametrize("out", ["text/v.npz", "npz.npz", "song.npz"])
def test_embed_names_unwritable_outputs_before_files_are_read(run, music, capsys, out):
    (music / "text").touch()
    (music / "npz.npz").mkdir()
    (music / "song.json").write_text('{"notes": []}')  # an annotation
    before = sorted(music.iterdir())
    with pytest.raises(
        UserError, match=r"could not be written|song\.json was not written|text is a file"
    ):
        embed(music, "--ckpt", run, "--out", music / out)
    assert "songs" not in capsys.readouterr().out
    assert sorted(music.iterdir()) == before
