import os
import pickle
from functools import partial

import pytest
import torch

from m2bert import checkpoint
from m2bert.base.errors import UserError
from m2bert.model.config import M2BertConfig, preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.original import FINAL_NORM, load_published, save_published
from m2bert.model.pretrained import load_backbone, load_initial_weights
from tests.helpers.commands import call_main
from tests.helpers.pickles import Bomb
from tests.helpers.shared import GOLDEN, GOLDEN_CONFIG, golden_model, same_as_original

CONFIG = M2BertConfig(64, 48, 2, 1)
RECORD = {"epoch": 3, "score": 0.5, "valid_acc": [1.0, 0.5, 0.25, 0.125], "valid_loss": 1.25}


def make_model(seed: int, config: M2BertConfig = CONFIG) -> M2BertForPreTraining:
    torch.manual_seed(seed)
    return M2BertForPreTraining(config)


def assert_same_weights(one, other) -> None:
    mine, others = one.state_dict(), other.state_dict()
    assert mine.keys() == others.keys()
    assert all(torch.equal(tensor, others[name]) for name, tensor in mine.items())


convert = partial(call_main, checkpoint.main)


@same_as_original
def test_checkpoint_converts_the_originals_file_to_a_folder_and_back(tmp_path):
    source, folder, again = GOLDEN / "tiny_reference.ckpt", tmp_path / "model", tmp_path / "a.ckpt"
    convert(source, folder, "--num_attention_heads", 4)
    model = M2BertForPreTraining.from_pretrained(folder)
    assert model.config == GOLDEN_CONFIG
    assert_same_weights(model, golden_model())
    assert "from the checkpoint `tiny_reference.ckpt`" in (folder / "README.md").read_text()
    convert(folder, again)
    before, after = (torch.load(path, weights_only=True) for path in (source, again))
    assert before.keys() == after.keys()
    for part in ("state_dict", "mask_lm"):
        assert before[part].keys() == after[part].keys()
        for name, tensor in before[part].items():
            if name != FINAL_NORM:  # read by nothing, and ones unless made for a test
                assert torch.equal(after[part][name], tensor), name
    for part in before.keys() - {"state_dict", "mask_lm", "optimizer"}:
        assert after[part] == before[part]


def test_checkpoint_rejects_places_of_another_kind(tmp_path):
    model, ckpt, folder = make_model(1), tmp_path / "a.ckpt", tmp_path / "model"
    save_published(ckpt, model, RECORD)
    model.save_pretrained(folder)
    before = ckpt.read_bytes()
    for words, message in {
        (ckpt, ckpt): r"a\.ckpt is a file",
        (folder, folder): "model is a folder",
        (folder / "model.safetensors", ckpt): f"not a model folder: give its folder, {folder}$",
        (tmp_path / "none", ckpt): "there is no checkpoint .*none",
    }.items():
        with pytest.raises(UserError, match=message):
            convert(*words)
    assert ckpt.read_bytes() == before


@pytest.mark.parametrize("pianoroll", ["full", "nochroma", "none"])
@pytest.mark.parametrize("config", [preset("tiny"), CONFIG])
def test_load_published_deduces_size_and_pianoroll(tmp_path, config, pianoroll):
    model, path = make_model(1, M2BertConfig(**vars(config) | {"pianoroll": pianoroll})), tmp_path
    save_published(path / "a.ckpt", model, RECORD)
    found, record = load_published(path / "a.ckpt")
    assert found.config == model.config
    assert_same_weights(found, model)
    assert {name: record[name] for name in RECORD} == RECORD
    with pytest.raises(UserError, match="not a multiple of twice the 3 attention heads"):
        load_published(path / "a.ckpt", attention_heads=3)


@pytest.mark.parametrize(
    ("part", "entry", "value", "message"),
    [
        ("state_dict", "in_linear.weight", None, "or is incomplete"),
        ("state_dict", "in_linear.weight", torch.ones(100, 1024), "width of 100.*attention_heads"),
        ("mask_lm", "extra", torch.ones(1), r"mask_lm\.extra is \(1,\), not part of it"),
        ("state_dict", "in_linear.bias", None, r"in_linear\.bias is missing, not \(64,\)"),
        (None, "valid_acc", "none", "or is incomplete"),
        (None, "state_dict", 3, "or is incomplete"),
    ],
)
def test_load_published_rejects_incomplete_checkpoints(tmp_path, part, entry, value, message):
    path = tmp_path / "changed.ckpt"
    save_published(path, make_model(1), RECORD)
    stored = torch.load(path, weights_only=True)
    changed = stored[part] if part else stored
    changed.pop(entry, None)
    if value is not None:
        changed[entry] = value
    torch.save(stored, path)
    with pytest.raises(UserError, match=message):
        load_published(path)


def test_load_backbone_prefers_the_model_folder_of_a_run(tmp_path):
    model, other = make_model(1), make_model(2)
    save_published(tmp_path / "model_best.ckpt", other, RECORD)
    assert_same_weights(load_backbone(tmp_path).model, other.backbone)
    model.save_pretrained(tmp_path / "model_best", {"epoch": 7})
    model.backbone.save_pretrained(tmp_path / "encoder")
    for folder, epoch in ((tmp_path, 7), (tmp_path / "encoder", None)):
        backbone = load_backbone(folder)
        assert (backbone.config, backbone.epoch) == (CONFIG, epoch)
        assert_same_weights(backbone.model, model.backbone)


def test_checkpoints_with_code_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = Bomb(os.system, "touch was_run")
    torch.save({"state_dict": bomb, "mask_lm": {}}, "bomb.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(bomb, protocol=2))
    (tmp_path / "text.ckpt").write_text("no checkpoint at all")
    (tmp_path / "page.ckpt").write_text("<!DOCTYPE html><p>404")
    (tmp_path / "pointer.ckpt").write_text("version https://git-lfs.github.com/spec/v1\n")
    for name, words in {
        "bomb.ckpt": "could run code",
        "plain.ckpt": "could run code",
        "text.ckpt": "not a checkpoint",
        "page.ckpt": "a web page",
        "pointer.ckpt": "a Git LFS pointer",
    }.items():
        with pytest.raises(UserError, match=f"{name}.*{words}"):
            load_initial_weights(name, make_model(1))
    assert not (tmp_path / "was_run").exists()
