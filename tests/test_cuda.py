"""Results on a GPU equal those on a CPU. `scripts/check_gpu.sh` also runs these tests."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from m2bert.base.processes import Processes
from m2bert.base.recipes import FINETUNING
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.model import attention
from m2bert.model.classifiers import NoteClassifier
from m2bert.model.config import PRESETS
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.tensors import pack_state, unpack_state
from m2bert.pretraining.objectives import Objective, corrupt_bounded
from m2bert.pretraining.step import Trainer
from m2bert.tasks import TASKS
from tests.helpers.synthetic import random_segments

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
TINY = PRESETS["tiny"]  # without dropout


def trainer_on(device: torch.device, precision: str = "fp32", dropout: float = 0.0) -> Trainer:
    torch.manual_seed(0)
    model = M2BertForPreTraining(replace(TINY, dropout=dropout))
    return Trainer(model, Objective(), Processes(device), precision=precision, lr=1e-3, seed=1)


def batch_of(length: int = 300) -> dict:
    notes = torch.from_numpy(random_segments(np.random.default_rng(0), 4, length))
    keys, real = torch.arange(4), notes[..., 0] < 2
    return {
        "notes": notes,
        "keys": keys,
        "counted": torch.ones(4, dtype=torch.bool),
        "padded": True,
        "bars": 320,
        "selected": float(Objective().corrupt(notes, keys).selected.sum()),
        "real": float(real.sum()),
    }


@pytest.mark.parametrize("length", [100, 192, 193, 300])
def test_train_step_equals_cpu(length):
    batch = batch_of(length)
    trainers = trainer_on(CPU), trainer_on(GPU)
    metrics = [torch.stack([t.train_step(batch, i).cpu() for i in range(3)]) for t in trainers]
    torch.testing.assert_close(*metrics, rtol=2e-3, atol=2e-3)


def test_train_step_in_bf16_is_near_fp32():
    batch = batch_of()
    losses = [trainer_on(GPU, p).train_step(batch, 0)[0].item() for p in ("fp32", "bf16")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_corruption_equals_cpu():
    notes, keys = batch_of()["notes"], batch_of()["keys"]
    on_cpu = corrupt_bounded(notes, keys, 0.3, (4, 12, 12)).notes
    on_gpu = corrupt_bounded(notes.to(GPU), keys.to(GPU), 0.3, (4, 12, 12)).notes
    assert torch.equal(on_cpu, on_gpu.cpu())


def test_train_step_does_not_synchronise():
    trainer, batch = trainer_on(GPU, "bf16", dropout=0.1), batch_of()
    batch |= {name: batch[name].pin_memory() for name in ("notes", "keys", "counted")}
    trainer.train_step(batch, 0)  # creates what later steps reuse
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step(batch, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_state_resumes(tmp_path):
    batch, trainer, resumed = batch_of(), trainer_on(GPU), trainer_on(GPU)
    trainer.train_step(batch, 0)
    state = {name: t.cpu() for name, t in pack_state(trainer.model, trainer.optimiser).items()}
    unpack_state(copy.deepcopy(state), resumed.model, resumed.optimiser, 1, tmp_path)
    metrics = [t.train_step(batch, 1).cpu() for t in (trainer, resumed)]
    torch.testing.assert_close(*metrics, rtol=1e-4, atol=1e-4)


def test_classifier_equals_cpu():
    task, scores = TASKS["velocity"], []
    notes = torch.from_numpy(random_segments(np.random.default_rng(1), 12, 200, shortest=20))
    labels = torch.where(notes[..., 0] < 2, 1 + notes[..., 2] // 22, 0).short()
    for device in (CPU, GPU):
        torch.manual_seed(0)
        trainer = ClassifierTrainer(
            NoteClassifier(TINY, task.classes),
            task,
            batch_size=6,
            recipe=FINETUNING["paper"],
            seed=0,
            processes=Processes(device),
            precision="fp32",
        )
        data = LabelledSegments(notes, labels).each(lambda t, device=device: t.to(device))
        trainer.train_epoch(data, 1, lambda batches, _: iter(batches))
        scores.append(trainer.evaluate(data, "test", lambda batches, _: iter(batches)))
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
