"""Results on a GPU equal those on a CPU. `scripts/check_gpu.sh` also runs these tests."""

import copy
from dataclasses import replace

import pytest
import torch

from m2bert.base.recipes import FINETUNING
from m2bert.model import attention
from m2bert.model.config import PRESETS
from m2bert.model.tensors import pack_state, unpack_state
from m2bert.pretraining.objectives import corrupt_bounded
from tests.helpers.task_files import new_classifier
from tests.helpers.trainers import CPU, finetuner, labelled, make_batch, pretrainer

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
GPU = torch.device("cuda")
TINY = PRESETS["tiny"]  # without dropout


@pytest.mark.parametrize("length", [100, 192, 193, 300])
def test_train_step_equals_cpu(length):
    batch = make_batch(4, length)
    trainers = pretrainer(CPU), pretrainer(GPU)
    metrics = [torch.stack([t.train_step(batch, i).cpu() for i in range(3)]) for t in trainers]
    torch.testing.assert_close(*metrics, rtol=2e-3, atol=2e-3)


def test_train_step_in_bf16_is_near_fp32():
    batch = make_batch(4, 300)
    losses = [pretrainer(GPU, p).train_step(batch, 0)[0].item() for p in ("fp32", "bf16")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_corruption_equals_cpu():
    batch = make_batch(4, 300)
    on_cpu, on_gpu = (
        corrupt_bounded(batch["notes"].to(device), batch["keys"].to(device), 0.3, (4, 12, 12)).notes
        for device in (CPU, GPU)
    )
    assert torch.equal(on_cpu, on_gpu.cpu())


def test_train_step_does_not_synchronise():
    trainer, batch = pretrainer(GPU, "bf16", replace(TINY, dropout=0.1)), make_batch(4, 300)
    batch |= {name: batch[name].pin_memory() for name in ("notes", "keys", "counted")}
    trainer.train_step(batch, 0)  # creates what later steps reuse
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step(batch, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_state_resumes(tmp_path):
    batch, trainer, resumed = make_batch(4, 300), pretrainer(GPU), pretrainer(GPU)
    trainer.train_step(batch, 0)
    state = {name: t.cpu() for name, t in pack_state(trainer.model, trainer.optimiser).items()}
    unpack_state(copy.deepcopy(state), resumed.model, resumed.optimiser, 1, tmp_path)
    metrics = [t.train_step(batch, 1).cpu() for t in (trainer, resumed)]
    torch.testing.assert_close(*metrics, rtol=1e-4, atol=1e-4)


def test_classifier_equals_cpu():
    data, scores = labelled("velocity", 12, 200), []
    for device in (CPU, GPU):
        model = new_classifier("velocity", config=TINY)
        trainer = finetuner(model, device, recipe=FINETUNING["paper"])
        on_device = data.each(lambda tensor, device=device: tensor.to(device))
        trainer.train_epoch(on_device, 1)
        scores.append(trainer.evaluate(on_device))
    assert scores[0].loss == pytest.approx(scores[1].loss, abs=2e-3)
    assert (scores[0].predictions != scores[1].predictions.cpu()).float().mean() < 0.01


@pytest.mark.skipif(
    torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False),
    reason="FlashAttention needs bf16",
)
def test_flash_attention_equals_blocks(monkeypatch):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 300, 64, device=GPU, dtype=torch.bfloat16)
    real = torch.arange(300, device=GPU) < torch.tensor([[300], [170]], device=GPU)
    found = []
    for way in ("blocks", "flash"):
        monkeypatch.setenv("M2BERT_LOCAL_ATTENTION", way)
        mask = attention.attention_masks(query[:, 0], real, 64)["sliding_attention"]
        out, _ = attention.attend(None, query, key, value, mask, scaling=0.1, sliding_window=65)
        found.append(out[real].float())
    torch.testing.assert_close(*found, rtol=2e-2, atol=2e-2)
