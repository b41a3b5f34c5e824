import os
import pickle
import subprocess
import sys

import pytest
import torch

from m2bert import checkpoint
from m2bert.base.errors import UserError
from m2bert.model.config import M2BertConfig, preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.original import FINAL_NORM, convert_published, load_published, save_published
from m2bert.model.pretrained import load_backbone, load_initial_weights
from m2bert.model.tensors import save_tensors
from tests.helpers.shared import GOLDEN, GOLDEN_CONFIG, golden_model, same_as_original

CONFIG = M2BertConfig(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
)
RECORD = {"epoch": 3, "score": 0.5, "valid_acc": [1.0, 0.5, 0.25, 0.125], "valid_loss": 1.25}


def make_model(seed: int, config: M2BertConfig = CONFIG) -> M2BertForPreTraining:
    torch.manual_seed(seed)
    return M2BertForPreTraining(config)


def assert_same_weights(one, other) -> None:
    mine, others = one.state_dict(), other.state_dict()
    assert mine.keys() == others.keys()
    assert all(torch.equal(tensor, others[name]) for name, tensor in mine.items())


def convert(monkeypatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["checkpoint", *map(str, words)])
    checkpoint.main()


def test_a_checkpoint_for_the_original_comes_back(tmp_path, monkeypatch):
    model = make_model(1)
    model.save_pretrained(tmp_path / "model", RECORD)
    out = tmp_path / "out.ckpt"
    convert(monkeypatch, tmp_path / "model", out)
    stored = torch.load(out, weights_only=True)
    assert stored["epoch"] == 3
    assert stored["best_acc"] == 0.5
    assert torch.equal(stored["state_dict"]["note_bert1.final_norm.weight"], torch.ones(32))
    again = make_model(2)
    record = load_published(out, again)
    assert_same_weights(again, model)
    assert record["valid_acc"] == RECORD["valid_acc"]


@same_as_original
def test_the_originals_checkpoint_becomes_a_folder_and_again_a_checkpoint(tmp_path, monkeypatch):
    source, folder, again = GOLDEN / "tiny_reference.ckpt", tmp_path / "model", tmp_path / "a.ckpt"
    command = [sys.executable, "-m", "m2bert.checkpoint", source, folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "4 layers of width 64" in done.stderr
    assert "--num_attention_heads" in done.stderr
    assert not folder.exists()
    convert(monkeypatch, source, folder, "--num_attention_heads", 4)
    model = M2BertForPreTraining.from_pretrained(folder)
    assert model.config == GOLDEN_CONFIG
    assert_same_weights(model, golden_model())
    convert(monkeypatch, folder, again)
    before, after = (torch.load(path, weights_only=True) for path in (source, again))
    assert before.keys() == after.keys()
    for part in ("state_dict", "mask_lm"):
        assert before[part].keys() == after[part].keys()
        for name, tensor in before[part].items():
            if name != FINAL_NORM:  # read by nothing, and ones unless made for a test
                assert torch.equal(after[part][name], tensor), name
    for part in before.keys() - {"state_dict", "mask_lm", "optimizer"}:
        assert after[part] == before[part]


def test_a_place_of_another_kind_is_not_written_over(tmp_path, monkeypatch):
    model = make_model(1, preset("tiny"))
    save_published(tmp_path / "tiny.ckpt", model, RECORD)
    model.save_pretrained(tmp_path / "model")
    before = (tmp_path / "tiny.ckpt").read_bytes()
    with pytest.raises(UserError, match=r"tiny\.ckpt is a file"):
        convert(monkeypatch, tmp_path / "tiny.ckpt", tmp_path / "tiny.ckpt")
    with pytest.raises(UserError, match="model is a folder"):
        convert(monkeypatch, tmp_path / "model", tmp_path / "model")
    assert (tmp_path / "tiny.ckpt").read_bytes() == before


@pytest.mark.parametrize("pianoroll", ["full", "nochroma", "none"])
def test_size_and_pianoroll_are_told_by_the_tensors(tmp_path, pianoroll):
    model = make_model(1, preset("tiny", pianoroll))
    save_published(tmp_path / "tiny.ckpt", model, RECORD)
    converted, record = convert_published(tmp_path / "tiny.ckpt")
    assert converted.config == model.config
    assert_same_weights(converted, model)
    assert {name: record[name] for name in RECORD} == RECORD
    with pytest.raises(UserError, match="no multiple of twice the 3 attention heads"):
        convert_published(tmp_path / "tiny.ckpt", attention_heads=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["state_dict"].pop("in_linear.weight"), "do not tell the model's size"),
        (lambda c: c["mask_lm"].update({"proj.4.bias": torch.ones(9)}), "of 9 outputs"),
        (lambda c: c.update(valid_acc="none"), "figures that are no numbers"),
        (lambda c: c["state_dict"].pop("in_linear.bias"), r"in_linear\.bias is missing"),
    ],
)
def test_a_checkpoint_that_cannot_be_converted_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        convert_published(published(tmp_path, change), attention_heads=2)


def test_the_folders_of_runs_have_a_backbone(tmp_path):
    model, other = make_model(1), make_model(2)
    save_published(tmp_path / "model_best.ckpt", other, RECORD)
    weights = load_backbone(tmp_path, CONFIG).tensors["in_linear.weight"]
    assert torch.equal(weights, other.backbone.in_linear.weight)
    model.save_pretrained(tmp_path / "model_best", {"epoch": 7})  # goes before a .ckpt beside it
    model.backbone.save_pretrained(tmp_path / "encoder")
    for folder, epoch in ((tmp_path, 7), (tmp_path / "encoder", None)):
        backbone = load_backbone(folder, preset("tiny"))
        assert (backbone.config, backbone.epoch) == (CONFIG, epoch)
        wanted = model.backbone.state_dict()
        assert backbone.tensors.keys() == wanted.keys()
        assert all(torch.equal(t, wanted[name]) for name, t in backbone.tensors.items())


def published(tmp_path, change) -> os.PathLike:
    path = tmp_path / "changed.ckpt"
    save_published(path, make_model(1), RECORD)
    stored = torch.load(path, weights_only=True)
    change(stored)
    torch.save(stored, path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["state_dict"].pop("note_bert1.layers.1.mlp.Wi.weight"),
            r"layers\.1\.mlp\.Wi\.weight is missing",
        ),
        (lambda c: c["mask_lm"].update(extra=torch.ones(1)), r"mask_lm\.extra is unknown"),
        (
            lambda c: c["state_dict"].update({"in_linear.bias": torch.ones(9)}),
            r"in_linear\.bias is \(9,\) where \(32,\) is needed",
        ),
        (lambda c: c.pop("mask_lm"), "lacks the keys"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        load_published(published(tmp_path, change), make_model(1))


def test_a_checkpoint_of_another_size_is_refused(tmp_path):
    make_model(1).save_pretrained(tmp_path / "small")
    larger = M2BertConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2
    )
    with pytest.raises(UserError, match="does not fit the model"):
        load_initial_weights(tmp_path / "small", make_model(1, larger))


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch was_run",)


def test_a_checkpoint_that_holds_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": RunsCode(), "mask_lm": {}}, "bomb.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(RunsCode(), protocol=2))
    for name in ("bomb.ckpt", "plain.ckpt"):
        with pytest.raises(UserError, match=name):
            load_published(name, make_model(1))
    assert not (tmp_path / "was_run").exists()


def test_missing_files_and_files_of_another_kind_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_initial_weights(tmp_path / "none.ckpt", make_model(1))
    (tmp_path / "text.ckpt").write_text("no checkpoint at all")
    with pytest.raises(UserError, match=r"text\.ckpt"):
        load_initial_weights(tmp_path / "text.ckpt", make_model(1))


def test_a_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, {"step": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_tensors(path, {"a": torch.zeros(3)}, {"step": object()})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
