import json
import shutil

import numpy as np
import pytest
import torch

from m2bert.model.config import M2BertConfig
from m2bert.model.optimisers import StableAdamW
from m2bert.notes.cp import real_notes
from m2bert.pretraining.objectives import loss_sums, loss_terms, pianoroll_targets, total_loss
from m2bert.pretraining.step import GREATEST_NORM
from tests.helpers.shared import golden_model, golden_unpublished
from tests.helpers.trainers import make_batch, pretrainer


@golden_unpublished
def test_five_steps_equal_the_original(golden):
    batch = np.load(golden / "training_step/batch.npz")
    expected = json.loads((golden / "training_step/expected.json").read_text())
    original, corrupted, selected = (
        torch.from_numpy(batch[name]) for name in ("original", "corrupted", "selected")
    )
    model = golden_model().eval()  # the original had no dropout
    real = real_notes(original)
    target = pianoroll_targets(original, "full", bars=300).dense()
    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = StableAdamW(weights, lr=2e-5)
    stored = np.load(golden / "training_step/some_weights.npz")
    checksums = expected["checksums_sum_and_sum_of_squares"]
    assert_checksums(model, checksums["before"])
    compared = 0
    for step, metrics in enumerate(expected["steps"], start=1):
        sums = loss_sums(model(corrupted, real), original, selected, real, target)
        terms = loss_terms(sums.losses, float(selected.sum()), float(real.sum()))
        np.testing.assert_allclose(terms.tolist(), metrics["terms"], rtol=1e-5)
        loss = total_loss(terms)
        assert loss.item() == pytest.approx(metrics["total"], rel=1e-5)
        accuracies = (sums.correct / selected.sum()).tolist()
        assert [round(a, 3) for a in accuracies] == metrics["returned"][1]
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, GREATEST_NORM)
        assert norm.item() == pytest.approx(metrics["grad_norm"], rel=1e-4)
        optimiser.step()
        if f"after{step}" in checksums:
            assert_checksums(model, checksums[f"after{step}"])
            for name, value in published_names(model).items():
                key = f"after{step}__{name}"
                if key in stored:
                    np.testing.assert_allclose(value.numpy(), stored[key], atol=1e-6, rtol=0)
                    compared += 1
    assert compared == 10


def published_names(model) -> dict[str, torch.Tensor]:
    weights = model.state_dict().items()
    return {name.replace("backbone.", "midibert."): tensor for name, tensor in weights}


def assert_checksums(model, checksums: dict) -> None:
    mine = published_names(model)
    assert set(checksums) - set(mine) == {"midibert.note_bert1.final_norm.weight"}
    for name, tensor in mine.items():
        values = tensor.double()
        metrics = [values.sum().item(), values.square().sum().item()]
        np.testing.assert_allclose(metrics, checksums[name], rtol=1e-5, atol=1e-5)


def test_train_step_uses_bf16_only_in_the_model():
    batch = make_batch()
    trainer = pretrainer(precision="bf16")
    loss, exact = (each.train_step(batch, 0)[0].item() for each in (trainer, pretrainer()))
    assert loss == pytest.approx(exact, rel=1e-2)
    assert loss != exact
    assert {w.dtype for w in trainer.weights} == {torch.float32}


def test_train_step_clips_gradients_to_a_norm_of_3():
    batch = make_batch() | {"selected": 0.5, "real": 0.5}
    trainer, unclipped = pretrainer(), pretrainer()
    trainer.train_step(batch, 0)
    corrupted = unclipped.objective.corrupt(batch["notes"], batch["keys"])
    sums = unclipped.objective.sums(
        unclipped.model, batch["notes"], corrupted, batch["counted"], batch["bars"], padded=True
    )
    total_loss(loss_terms(sums.losses, 0.5, 0.5)).backward()
    norm = torch.stack([w.grad.norm() for w in unclipped.weights]).norm()
    assert norm > GREATEST_NORM == 3.0
    for clipped, whole in zip(trainer.weights, unclipped.weights, strict=True):
        torch.testing.assert_close(clipped.grad, whole.grad * 3 / norm, rtol=1e-4, atol=1e-7)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_step_equals_the_plain_one():
    small = M2BertConfig(16, 24, 1, 2, local_attention=16, dropout=0.0)
    plain, compiled = pretrainer(config=small), pretrainer(config=small, compile_mode="default")
    batch = make_batch(rows=3)
    expected = plain.train_step(batch, 0)
    torch.testing.assert_close(compiled.train_step(batch, 0), expected, rtol=1e-5, atol=0)
    for mine, other in zip(compiled.weights, plain.weights, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-6)
