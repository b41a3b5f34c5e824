"""The original's training step as plain PyTorch does it, to compare ours with on the same device.

Targets are made on the host, written out for every note in float32 and sent with the batch; every
layer's attention computes all pairs of notes; the optimiser goes from tensor to tensor; losses and
accuracies are asked for at every step.
"""

from time import perf_counter, sleep

import torch
import torch.nn.functional as F
from torch import Tensor

from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.optimisers import StableAdamW
from m2bert.notes.cp import VOCABULARY_SIZES, real_notes
from m2bert.pretraining.objectives import Objective, pianoroll_targets

LOADER_NOTES_PER_SECOND = 118_000
"""The most that the original's data loader makes with ten workers (measured on its code)."""


def prepare(batch: dict) -> dict:
    """What the original's loader hands over for a batch of ours, on the host."""
    notes = batch["notes"].long()
    corrupted, selected = Objective().corrupt(notes, batch["keys"])
    return {
        "notes": notes,
        "corrupted": corrupted,
        "selected": selected.float(),
        "real": real_notes(notes).float(),
        "target": pianoroll_targets(notes, "full", batch["bars"]).dense(),
    }


class PacedLoader:
    """Hands over a prepared batch as often as the original's loader could."""

    def __init__(self, prepared: dict):
        self.prepared = prepared
        self.interval = prepared["notes"][..., 0].numel() / LOADER_NOTES_PER_SECOND
        self.due = perf_counter() + self.interval

    def next(self) -> dict:
        sleep(max(self.due - perf_counter(), 0))
        self.due = max(self.due, perf_counter()) + self.interval
        return self.prepared


def train_step(model: M2BertForPreTraining, optimisers: list[StableAdamW], prepared: dict) -> float:
    """One step on a prepared batch; returns the loss."""
    device = next(model.parameters()).device
    on_device = {name: tensor.to(device) for name, tensor in prepared.items()}
    notes, selected, real = (on_device[name] for name in ("notes", "selected", "real"))
    outputs = predict(model, on_device["corrupted"], real)
    losses = []
    for field, logits in enumerate(outputs[:-1]):
        loss = F.cross_entropy(logits.transpose(1, 2), notes[..., field], reduction="none")
        losses.append((loss * selected).sum() / selected.sum())
        correct = (logits.argmax(-1) == notes[..., field]).float() * selected
        (correct.sum() / selected.sum()).item()
    squared = F.mse_loss(outputs[-1], on_device["target"], reduction="none").sum(-1)
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


def predict(model: M2BertForPreTraining, notes: Tensor, real: Tensor) -> list[Tensor]:
    """All heads, with the masks and the attention of transformers."""
    encoder = model.backbone.note_bert1
    encoder.set_attn_implementation("sdpa")
    embedded = model.backbone.embed_tokens(notes)
    hidden = encoder(inputs_embeds=embedded, attention_mask=real).last_hidden_state
    return [head(hidden) for head in model.mask_lm["proj"]]


def optimisers_of(model: M2BertForPreTraining) -> list[StableAdamW]:
    """An optimiser a tensor."""
    return [StableAdamW([w], lr=2e-5) for w in model.parameters() if w.requires_grad]
