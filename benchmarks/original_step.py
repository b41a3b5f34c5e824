"""The original's training step in plain PyTorch, for comparison on the same device.

Dense float32 targets are made on the host and sent with the batch; attention of every layer is
computed over all pairs of notes; there is one optimiser per tensor; losses and accuracies are read
in every step.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from m2bert.model.config import M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.optimisers import StableAdamW
from m2bert.notes.cp import VOCABULARY_SIZES, real_notes
from m2bert.pretraining.objectives import Objective, pianoroll_targets


def original_step(config: M2BertConfig, batch: dict, device: torch.device) -> Callable[[], float]:
    """A function that takes one step on a batch, in fp32 with tf32 products where a GPU has them,
    and returns the loss."""
    torch.manual_seed(0)
    model = M2BertForPreTraining(config).to(device).train()
    model.backbone.note_bert1.set_attn_implementation("sdpa")
    optimisers = [StableAdamW([w], lr=2e-5) for w in model.parameters() if w.requires_grad]
    prepared = prepare(batch)

    def step() -> float:
        torch.set_float32_matmul_precision("medium")
        loss = train_step(model, optimisers, {k: v.to(device) for k, v in prepared.items()})
        torch.set_float32_matmul_precision("highest")
        return loss

    return step


def prepare(batch: dict) -> dict[str, Tensor]:
    """The output of the original's loader for a batch of ours, on the host."""
    notes = batch["notes"].long()
    corrupted, selected = Objective().corrupt(notes, batch["keys"])
    return {
        "notes": notes,
        "corrupted": corrupted,
        "selected": selected.float(),
        "real": real_notes(notes).float(),
        "target": pianoroll_targets(notes, "full", batch["bars"]).dense(),
    }


def train_step(model: M2BertForPreTraining, optimisers: list[StableAdamW], batch: dict) -> float:
    notes, selected, real = (batch[name] for name in ("notes", "selected", "real"))
    embedded = model.backbone.embed_tokens(batch["corrupted"])
    encoded = model.backbone.note_bert1(inputs_embeds=embedded, attention_mask=real)
    outputs = [head(encoded.last_hidden_state) for head in model.mask_lm["proj"]]
    losses = []
    for field, logits in enumerate(outputs[:-1]):
        loss = F.cross_entropy(logits.transpose(1, 2), notes[..., field], reduction="none")
        losses.append((loss * selected).sum() / selected.sum())
        correct = (logits.argmax(-1) == notes[..., field]).float() * selected
        (correct.sum() / selected.sum()).item()
    squared = F.mse_loss(outputs[-1], batch["target"], reduction="none").sum(-1)
    losses.append((squared * real).sum() / real.sum())
    weights = (*VOCABULARY_SIZES, 1)
    total = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    for optimiser in optimisers:
        optimiser.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0)
    for optimiser in optimisers:
        optimiser.step()
    return total.item()
