import os
import pickle
import sys

import pytest
import torch

from m2bert import checkpoint
from m2bert.base.errors import UserError
from m2bert.model.config import M2BertConfig, preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.original import FINAL_NORM, convert_published, save_published
from m2bert.model.pretrained import load_backbone, load_initial_weights
from tests.helpers.shared import GOLDEN, GOLDEN_CONFIG, golden_model, same_as_original

CONFIG = M2BertConfig(32, 48, 2, 2)
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


@same_as_original
def test_the_originals_checkpoint_becomes_a_folder_and_again_a_checkpoint(tmp_path, monkeypatch):
    source, folder, again = GOLDEN / "tiny_reference.ckpt", tmp_path / "model", tmp_path / "a.ckpt"
    with pytest.raises(UserError, match=r"4 layers of width 64.*--num_attention_heads"):
        convert(monkeypatch, source, folder)
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
    model, path = make_model(1, preset("tiny", pianoroll)), tmp_path / "tiny.ckpt"
    save_published(path, model, RECORD)
    stored = torch.load(path, weights_only=True)
    assert (stored["epoch"], stored["best_acc"]) == (3, 0.5)
    assert torch.equal(stored["state_dict"][FINAL_NORM], torch.ones(128))
    converted, record = convert_published(path)
    assert converted.config == model.config
    assert_same_weights(converted, model)
    assert {name: record[name] for name in RECORD} == RECORD
    with pytest.raises(UserError, match="no multiple of twice the 3 attention heads"):
        convert_published(path, attention_heads=3)


def convert_here(path) -> None:
    convert_published(path, attention_heads=2)


def load_here(path) -> None:
    load_initial_weights(path, make_model(1))


@pytest.mark.parametrize(
    ("read", "part", "entry", "value", "message"),
    [
        (convert_here, "state_dict", "in_linear.weight", None, "do not tell the model's size"),
        (convert_here, "mask_lm", "proj.4.bias", torch.ones(9), "of 9 outputs"),
        (convert_here, None, "valid_acc", "none", "figures that are no numbers"),
        (convert_here, "state_dict", "in_linear.bias", None, r"in_linear\.bias is missing"),
        (load_here, "mask_lm", "extra", torch.ones(1), r"mask_lm\.extra is unknown"),
        (load_here, "state_dict", "in_linear.bias", torch.ones(9), r"bias is \(9,\) where \(32,\)"),
        (load_here, None, "mask_lm", None, "lacks the keys"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_refused(tmp_path, read, part, entry, value, message):
    path = tmp_path / "changed.ckpt"
    save_published(path, make_model(1), RECORD)
    stored = torch.load(path, weights_only=True)
    changed = stored[part] if part else stored
    changed.pop(entry, None)
    if value is not None:
        changed[entry] = value
    torch.save(stored, path)
    with pytest.raises(UserError, match=message):
        read(path)


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


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch was_run",)


def test_a_checkpoint_that_holds_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": RunsCode(), "mask_lm": {}}, "bomb.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(RunsCode(), protocol=2))
    (tmp_path / "text.ckpt").write_text("no checkpoint at all")
    (tmp_path / "page.ckpt").write_text("<!DOCTYPE html><p>404")
    (tmp_path / "pointer.ckpt").write_text("version https://git-lfs.github.com/spec/v1\n")
    for name, words in {
        "bomb.ckpt": "could run code",
        "plain.ckpt": "could run code",
        "text.ckpt": "",
        "missing.ckpt": "",
        "page.ckpt": "a web page",
        "pointer.ckpt": "a Git LFS pointer",
    }.items():
        with pytest.raises(UserError, match=f"{name}.*{words}"):
            load_initial_weights(name, make_model(1))
    assert not (tmp_path / "was_run").exists()
