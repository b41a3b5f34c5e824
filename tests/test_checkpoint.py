import json
import os
import pickle
import subprocess
import sys

import pytest
import torch

from m2bert.checkpoint import (
    load_initial_weights,
    load_model,
    load_published,
    save_model,
    save_published,
    save_tensors,
)
from m2bert.errors import UserError
from m2bert.model import M2BertConfig, M2BertForPreTraining
from tests.shared import GOLDEN, golden_model, needs_golden

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


def test_model_folder_comes_back(tmp_path):
    model = make_model(1)
    save_model(tmp_path / "model", model, RECORD)
    loaded, record = load_model(tmp_path / "model")
    assert_same_weights(loaded, model)
    assert record == RECORD
    assert loaded.config == CONFIG


def test_a_checkpoint_for_the_original_comes_back(tmp_path):
    model = make_model(1)
    save_model(tmp_path / "model", model, RECORD)
    out = tmp_path / "out.ckpt"
    command = [sys.executable, "-m", "m2bert.checkpoint", tmp_path / "model", out]
    subprocess.run(command, check=True, capture_output=True)
    stored = torch.load(out, weights_only=True)
    assert stored["epoch"] == 3
    assert stored["best_acc"] == 0.5
    assert torch.equal(stored["state_dict"]["note_bert1.final_norm.weight"], torch.ones(32))
    again = make_model(2)
    record = load_published(out, again)
    assert_same_weights(again, model)
    assert record["valid_acc"] == RECORD["valid_acc"]


@needs_golden
def test_keys_and_shapes_are_the_originals(tmp_path):
    manifest = json.loads((GOLDEN / "model/manifest.json").read_text())
    original = torch.load(GOLDEN / "tiny_reference.ckpt", weights_only=True)
    save_published(tmp_path / "out.ckpt", golden_model(), RECORD)
    written = torch.load(tmp_path / "out.ckpt", weights_only=True)
    assert written.keys() == original.keys()
    for part in ("state_dict", "mask_lm"):
        shapes = {name: list(tensor.shape) for name, tensor in written[part].items()}
        assert shapes == manifest[part]
        for name, tensor in original[part].items():
            if name != "note_bert1.final_norm.weight":
                assert torch.equal(written[part][name], tensor)


def published(tmp_path, change) -> os.PathLike:
    path = tmp_path / "changed.ckpt"
    save_published(path, make_model(1), RECORD)
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
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
    save_model(tmp_path / "small", make_model(1), RECORD)
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


def test_damaged_and_missing_files_are_named(tmp_path):
    save_model(tmp_path / "model", make_model(1), RECORD)
    weights = tmp_path / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_model(tmp_path / "model")
    with pytest.raises(UserError, match="holds no model"):
        load_model(tmp_path)
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
