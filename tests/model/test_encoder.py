import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from m2bert.model.config import M2BertConfig, preset
from m2bert.model.encoder import (
    M2BertForPreTraining,
    M2BertModel,
    published_parameter_count,
    training_flops_per_note,
)
from m2bert.notes.cp import real_notes
from tests.helpers.shared import golden_all, golden_model
from tests.helpers.synthetic import random_segments

SMALL = M2BertConfig(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=5,
    num_attention_heads=2,
    local_attention=8,
    dropout=0.0,
)


# An encoder written out, one segment without padding at a time


def slow_hidden_states(weights: dict[str, Tensor], config: M2BertConfig, notes: Tensor) -> list:
    """Hidden states of the notes (notes, 4) of one segment that has no padding."""
    tables = [weights[f"word_emb.{i}.lut.weight"] for i in range(4)]
    embedded = torch.cat([t[notes[:, i]] * 16 for i, t in enumerate(tables)], dim=-1)
    x = embedded @ weights["in_linear.weight"].T + weights["in_linear.bias"]
    x = norm(x, weights["note_bert1.embeddings.norm.weight"])
    states = [x]
    for layer in range(config.num_hidden_layers):
        name = f"note_bert1.layers.{layer}."
        is_global = layer % config.global_attn_every_n_layers == 0
        inner = x if layer == 0 else norm(x, weights[name + "attn_norm.weight"])
        x = x + attention(inner, weights, name + "attn.", config, is_global)
        inner = norm(x, weights[name + "mlp_norm.weight"])
        left, right = (inner @ weights[name + "mlp.Wi.weight"].T).chunk(2, dim=-1)
        x = x + (F.gelu(left) * right) @ weights[name + "mlp.Wo.weight"].T
        states.append(x)
    return states


def norm(x: Tensor, weight: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, False, keepdim=True) + 1e-5).sqrt() * weight


def attention(x: Tensor, weights: dict, name: str, config: M2BertConfig, is_global: bool) -> Tensor:
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    q, k, v = (x @ weights[name + "Wqkv.weight"].T).view(len(x), 3, heads, width).unbind(1)
    theta = 160000.0 if is_global else 10000.0
    out = torch.empty_like(q)
    for head in range(heads):
        queries, keys = (rotate(t[:, head], theta) for t in (q, k))
        for i in range(len(x)):
            reach = len(x) if is_global else config.local_attention // 2
            seen = [j for j in range(len(x)) if abs(i - j) <= reach]
            scores = keys[seen] @ queries[i] / math.sqrt(width)
            out[i, head] = scores.softmax(0) @ v[seen, head]
    return out.flatten(1) @ weights[name + "Wo.weight"].T


def rotate(x: Tensor, theta: float) -> Tensor:
    half = x.shape[1] // 2
    frequency = theta ** -(torch.arange(half) / half)
    angle = torch.arange(len(x))[:, None] * frequency
    left, right = x[:, :half], x[:, half:]
    return torch.cat(
        [left * angle.cos() - right * angle.sin(), right * angle.cos() + left * angle.sin()], 1
    )


@pytest.fixture(scope="module")
def model() -> M2BertModel:
    torch.manual_seed(1)
    model = M2BertModel(SMALL).eval()
    for parameter in model.parameters():  # norms are not 1, so that leaving one out would show
        parameter.data.mul_(torch.empty_like(parameter).uniform_(0.5, 2))
    return model


def test_hidden_states_equal_slow_version_padding_included(model):
    notes = torch.from_numpy(random_segments(np.random.default_rng(0), 4, 40, shortest=20))
    with torch.no_grad():
        states = model.hidden_states(notes, real_notes(notes))
        assert torch.equal(states[-1], model(notes, real_notes(notes)))
    for segment, row in enumerate(notes):
        count = int(real_notes(row).sum())
        slow = slow_hidden_states(model.state_dict(), SMALL, row[:count].long())
        assert len(slow) == len(states) == 6
        for mine, expected in zip(states, slow, strict=True):
            torch.testing.assert_close(mine[segment, :count], expected, atol=2e-5, rtol=1e-4)


def test_no_mask_means_that_padding_is_seen(model):
    notes = torch.from_numpy(random_segments(np.random.default_rng(0), 1, 30, shortest=20)).long()
    with torch.no_grad():
        everything = model(notes)
    slow = slow_hidden_states(model.state_dict(), SMALL, notes[0])[-1]
    torch.testing.assert_close(everything[0], slow, atol=2e-5, rtol=1e-4)


def test_gradients_are_finite_where_padding_sees_no_note():
    torch.manual_seed(0)
    model = M2BertModel(replace(SMALL, dropout=0.1)).train()
    notes = torch.from_numpy(random_segments(np.random.default_rng(1), 1, 60)).long()
    notes[:, 2:] = torch.tensor((2, 16, 86, 64))
    hidden = model(notes, real_notes(notes))
    hidden[real_notes(notes)].sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert hidden.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_size_and_cost_of_the_papers_model():
    model = M2BertForPreTraining(preset("base"))
    assert published_parameter_count(model) == 62_437_682
    heads = sum(p.numel() for p in model.mask_lm.parameters())
    assert heads == 1_416_498
    assert training_flops_per_note(preset("base"), 1024) == pytest.approx(421e6, rel=2e-3)


def test_initial_weights_are_distributed_as_the_originals():
    torch.manual_seed(0)
    weights = M2BertForPreTraining(preset("base")).state_dict()
    for name, deviation in {
        "backbone.note_bert1.layers.5.attn.Wqkv.weight": 0.02,
        "backbone.note_bert1.layers.5.mlp.Wi.weight": 0.02,
        "backbone.note_bert1.layers.5.attn.Wo.weight": 0.02 / math.sqrt(24),
        "backbone.note_bert1.layers.5.mlp.Wo.weight": 0.02 / math.sqrt(24),
    }.items():
        # a normal distribution cut at 2 deviations is narrower by this factor
        assert weights[name].std().item() == pytest.approx(deviation * 0.8796, rel=0.01)
        assert weights[name].abs().max() <= 2 * deviation
    assert (weights["backbone.note_bert1.layers.5.attn_norm.weight"] == 1).all()
    embedding = weights["backbone.word_emb.2.lut.weight"]
    assert embedding.std().item() == pytest.approx(1, rel=0.02)
    assert "backbone.note_bert1.layers.0.attn_norm.weight" not in weights


@pytest.mark.parametrize(("pianoroll", "width"), [("full", 1666), ("nochroma", 1462), ("none", 0)])
def test_pianoroll_head(pianoroll, width):
    outputs = M2BertForPreTraining(preset("tiny", pianoroll))(torch.zeros(1, 3, 4).long())
    sizes = [output.shape[-1] for output in outputs]
    assert sizes == [4, 18, 88, 66] + ([width] if width else [])


# The original's figures


@golden_all
@torch.no_grad()
def test_model_equals_the_original(golden):
    model = golden_model().eval()
    figures = {k: torch.from_numpy(v) for k, v in np.load(golden / "model/outputs.npz").items()}
    notes, real = figures["tokens"], figures["attention"] > 0
    states = model.backbone.hidden_states(notes, real)
    for index, name in ((-1, "hidden_last"), (-2, "hidden_second_last"), (0, "hidden_first")):
        torch.testing.assert_close(states[index][real], figures[name][real], atol=1e-5, rtol=0)
    # the final norm would show: what comes out is not what the original has after it
    normed = figures["last_hidden_state_after_final_norm"]
    assert (states[-1] - normed)[real].abs().max() > 0.1
    torch.testing.assert_close(
        model.backbone(notes), figures["hidden_last_all_ones_mask"], atol=1e-5, rtol=0
    )
    outputs = model(notes, real)
    for output, name in zip(outputs, ("bar", "position", "pitch", "duration"), strict=False):
        torch.testing.assert_close(output[real], figures[f"head_{name}"][real], atol=1e-5, rtol=0)
    row, place = figures["head_pianoroll_rows"].T
    torch.testing.assert_close(outputs[4][row, place], figures["head_pianoroll"], atol=1e-5, rtol=0)
    sums = outputs[4].double().sum(-1)
    torch.testing.assert_close(
        sums[real], figures["head_pianoroll_row_sums"][real], atol=2e-3, rtol=1e-5
    )
