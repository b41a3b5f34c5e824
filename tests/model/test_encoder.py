import math

import numpy as np
import pytest
import torch

from m2bert.model.config import M2BertConfig, preset
from m2bert.model.encoder import (
    M2BertForPreTraining,
    M2BertModel,
    published_parameter_count,
    training_flops_per_note,
)
from m2bert.model.tensors import without_weights
from m2bert.notes.cp import real_notes
from tests.helpers.shared import golden_all, golden_model
from tests.helpers.synthetic import random_segments


def test_encoder_gradients_are_finite_where_padding_sees_no_note():
    torch.manual_seed(0)
    model = M2BertModel(M2BertConfig(32, 48, 5, 2, local_attention=8, dropout=0.1)).train()
    notes = torch.from_numpy(random_segments(np.random.default_rng(1), 1, 60)).long()
    notes[:, 2:] = torch.tensor((2, 16, 86, 64))
    hidden = model(notes, real_notes(notes))
    hidden[real_notes(notes)].sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert hidden.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_encoder_has_the_originals_size_and_cost():
    model = without_weights(lambda: M2BertForPreTraining(preset("base")))
    assert published_parameter_count(model) == 62_437_682
    assert sum(p.numel() for p in model.mask_lm.parameters()) == 1_416_498
    assert training_flops_per_note(preset("base"), 1024) == pytest.approx(421e6, rel=2e-3)


def test_encoder_has_the_originals_initial_weights():
    torch.manual_seed(0)
    weights = M2BertForPreTraining(M2BertConfig(128, 192, 12, 2)).state_dict()
    for name, deviation in {
        "backbone.note_bert1.layers.5.attn.Wqkv.weight": 0.02,
        "backbone.note_bert1.layers.5.mlp.Wi.weight": 0.02,
        "backbone.note_bert1.layers.5.attn.Wo.weight": 0.02 / math.sqrt(24),
        "backbone.note_bert1.layers.5.mlp.Wo.weight": 0.02 / math.sqrt(24),
    }.items():
        # a normal distribution cut at 2 deviations is narrower by this factor
        assert weights[name].std().item() == pytest.approx(deviation * 0.8796, rel=0.02)
        assert weights[name].abs().max() <= 2 * deviation
    assert (weights["backbone.note_bert1.layers.5.attn_norm.weight"] == 1).all()
    embedding = weights["backbone.word_emb.2.lut.weight"]
    assert embedding.std().item() == pytest.approx(1, rel=0.02)
    assert "backbone.note_bert1.layers.0.attn_norm.weight" not in weights


@golden_all
@torch.no_grad()
def test_encoder_equals_the_original(golden):
    model = golden_model().eval()
    stored = {k: torch.from_numpy(v) for k, v in np.load(golden / "model/outputs.npz").items()}
    notes, real = stored["tokens"], stored["attention"] > 0
    states = model.backbone.hidden_states(notes, real)
    assert torch.equal(states[-1], model.backbone(notes, real))
    for index, name in ((-1, "hidden_last"), (-2, "hidden_second_last"), (0, "hidden_first")):
        torch.testing.assert_close(states[index][real], stored[name][real], atol=1e-5, rtol=0)
    # the final norm would show: what comes out is not what the original has after it
    normed = stored["last_hidden_state_after_final_norm"]
    assert (states[-1] - normed)[real].abs().max() > 0.1
    torch.testing.assert_close(
        model.backbone(notes), stored["hidden_last_all_ones_mask"], atol=1e-5, rtol=0
    )
    outputs = model(notes, real)
    for output, name in zip(outputs, ("bar", "position", "pitch", "duration"), strict=False):
        torch.testing.assert_close(output[real], stored[f"head_{name}"][real], atol=1e-5, rtol=0)
    row, place = stored["head_pianoroll_rows"].T
    torch.testing.assert_close(outputs[4][row, place], stored["head_pianoroll"], atol=1e-5, rtol=0)
    sums = outputs[4].double().sum(-1)
    torch.testing.assert_close(
        sums[real], stored["head_pianoroll_row_sums"][real], atol=2e-3, rtol=1e-5
    )
