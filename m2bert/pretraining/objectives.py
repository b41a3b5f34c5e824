"""The objectives of pre-training: corrupted notes, pianoroll targets and the loss
(docs/METHOD.md, "Objectives").

Pure functions on tensors of any device, which never make the host wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from m2bert.model.config import CHROMA_BINS
from m2bert.notes.cp import (
    BAR_NEW,
    MASK,
    ORDINARY_SIZES,
    PITCHES,
    POSITIONS_PER_BAR,
    VOCABULARY_SIZES,
    real_notes,
)

CHANGED_FIELDS = (1, 2, 3)
"""Position, Pitch and Duration; the Bar field never changes."""

IGNORED = -100


# Random numbers ------------------------------------------------------------------------------


def random_bits(keys: Tensor, size: int) -> Tensor:
    """Draw `size` numbers from each key: (rows,) int64 -> (rows, size) int64 in 0 .. 2**31-1.

    SplitMix64 in counter mode: a number depends only on its key and its place, so a segment is
    corrupted in the same way on every device, in any batch and in any number of processes.
    """
    place = torch.arange(1, size + 1, device=keys.device)
    z = keys[:, None] + place * _signed(0x9E3779B97F4A7C15)
    z = (z ^ _shift_right(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shift_right(z, 27)) * _signed(0x94D049BB133111EB)
    return _shift_right(z ^ _shift_right(z, 31), 33)


def _signed(constant: int) -> int:
    """The int64 with the bits of an unsigned 64-bit constant."""
    return constant - (1 << 64)


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Unsigned shift; torch's own `>>` repeats the sign bit."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _below(bits: Tensor, bound: Tensor | int) -> Tensor:
    """31 random bits -> a uniform integer in 0 .. bound-1 (bias below bound / 2**31)."""
    return (bits * bound) >> 31


# Corruption ----------------------------------------------------------------------------------

_DRAWS_PER_NOTE = 5
"""One to select notes, one to choose MLM's treatment, one for each field that changes."""

CORRUPTIONS = ("rc", "mlm")
"""Token correction (`corrupt_bounded`) and masked language modelling (`corrupt_masked`)."""


class Corrupted(NamedTuple):
    """Corrupted notes (batch, notes, 4) int64 and the notes selected (batch, notes) bool."""

    notes: Tensor
    selected: Tensor


def corrupt_bounded(
    notes: Tensor, keys: Tensor, mask_percent: float, rc_range: tuple[int, int, int]
) -> Corrupted:
    """Change position, pitch and duration of some notes by a bounded random amount (`rc`).

    notes: (batch, notes, 4), any integer dtype, padding at the end; keys: (batch,) int64, one per
    segment; rc_range: the ranges of the three fields.
    """
    notes, bits, selected = _select(notes, keys, mask_percent)
    changed = notes.clone()
    for field, reach in zip(CHANGED_FIELDS, rc_range, strict=True):
        low = (notes[..., field] - reach).clamp(min=0)
        high = (notes[..., field] + reach).clamp(max=ORDINARY_SIZES[field])
        changed[..., field] = low + _below(bits[..., 1 + field], high - low)
    return Corrupted(torch.where(selected[..., None], changed, notes), selected)


def corrupt_masked(notes: Tensor, keys: Tensor, mask_percent: float) -> Corrupted:
    """Mask or replace some notes (`mlm`, MidiBERT's objective); arguments as in
    `corrupt_bounded`."""
    notes, bits, selected = _select(notes, keys, mask_percent)
    choice = _below(bits[..., 1], 10)
    changed = notes.clone()
    for field in CHANGED_FIELDS:
        ordinary = _below(bits[..., 1 + field], ORDINARY_SIZES[field])
        value = torch.where(choice < 8, MASK[field], ordinary)
        changed[..., field] = torch.where(choice < 9, value, notes[..., field])
    return Corrupted(torch.where(selected[..., None], changed, notes), selected)


def _select(notes: Tensor, keys: Tensor, mask_percent: float) -> tuple[Tensor, Tensor, Tensor]:
    """Select round(mask_percent * notes) notes of each segment; returns the notes as int64, the
    random bits of each, and the selection."""
    notes, (batch, length) = notes.long(), notes.shape[:2]
    bits = random_bits(keys, length * _DRAWS_PER_NOTE).view(batch, length, _DRAWS_PER_NOTE)
    real = real_notes(notes)
    order = torch.where(real, bits[..., 0], 1 << 31).argsort(dim=1, stable=True)
    places = torch.arange(length, device=notes.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    selected = (real.sum(1).double() * mask_percent).round().long()  # half to even
    return notes, bits, rank < selected[:, None]


# Pianoroll -----------------------------------------------------------------------------------


class Pianoroll(NamedTuple):
    """Pianoroll targets of a batch, each bar's block kept once.

    bars: (batch, bars, 16, bins) float32, one row per 16th-note slot, chroma bins first;
    bar_of_note, slot_of_note: (batch, notes) int64; a padding note has the slot 16.
    """

    bars: Tensor
    bar_of_note: Tensor
    slot_of_note: Tensor

    def dense(self) -> Tensor:
        """A target for every note, (batch, notes, 17 * bins): its bar's block, then the row of its
        own slot, which is empty for padding."""
        batch, bars, slots, bins = self.bars.shape
        rows = F.pad(self.bars, (0, 0, 0, 1)).view(-1, bins)
        segment = torch.arange(batch, device=rows.device)[:, None]
        first_row = (segment * bars + self.bar_of_note) * (slots + 1)
        block = torch.arange(slots, device=rows.device).expand(*first_row.shape, slots)
        slot = torch.cat((block, self.slot_of_note[..., None]), dim=-1)
        places = (first_row[..., None] + slot).flatten()
        return rows.index_select(0, places).view(*first_row.shape, -1)


def token_bars(notes: Tensor) -> Tensor:
    """The token bar of each note, from 0 in each segment: (batch, notes, 4) -> (batch, notes)."""
    opens = (notes[..., 0] == BAR_NEW).long()
    return opens.cumsum(1) - opens[:, :1]


def pianoroll_targets(
    notes: Tensor, pianoroll: str, bars: int, bar_of_note: Tensor | None = None
) -> Pianoroll:
    """Pianoroll (and chroma) of each token bar of a batch of uncorrupted segments.

    notes: (batch, notes, 4), any integer dtype, padding at the end; pianoroll: "full" (12 chroma
    bins, then 86 pitch bins) or "nochroma"; bars: at least the greatest number of token bars of a
    segment, given so that shapes do not depend on values on the device; bar_of_note: of
    `token_bars`, if it is known already.

    Pitch bin 0 is the lowest Pitch id, B flat 0 (MIDI 22), so chroma bin 0 is B flat, and 2 is C.
    """
    batch = len(notes)
    ids, real = notes.long(), real_notes(notes)
    if bar_of_note is None:
        bar_of_note = token_bars(notes)

    slots = POSITIONS_PER_BAR
    start = ids[..., 1]
    # round() is half to even: a 32nd note (id 0) has no length in 16ths and adds nothing.
    end = start + ((ids[..., 3] + 1) / 2).round().long()
    carried = (end - slots).clamp(0, slots)
    # +1 where a note starts and -1 where it ends; a running sum fills the slots between. The row
    # after the last slot and the bar after the last one take what falls outside.
    edges = torch.zeros(batch * (bars + 1) * (slots + 1) * PITCHES, device=notes.device)
    rows_before = torch.arange(batch, device=notes.device)[:, None] * (bars + 1) + bar_of_note
    pitch = ids[..., 2].clamp(max=PITCHES - 1)

    def place(bar: Tensor, slot: Tensor) -> Tensor:
        return ((bar * (slots + 1) + slot) * PITCHES + pitch).flatten()

    one = real.float().flatten()
    edges.scatter_add_(0, place(rows_before, start), one)
    edges.scatter_add_(0, place(rows_before, end.clamp(max=slots)), -one)
    edges.scatter_add_(0, place(rows_before + 1, torch.zeros_like(start)), one)
    edges.scatter_add_(0, place(rows_before + 1, carried), -one)

    edges = edges.view(batch, bars + 1, slots + 1, PITCHES)
    sounding = edges.cumsum(2)[:, :bars, :slots]
    return Pianoroll(_normalised(sounding, pianoroll), bar_of_note, start)


def _normalised(sounding: Tensor, pianoroll: str) -> Tensor:
    """Counts (..., 86) -> rows that sum to 1, or to 1 in the chroma and 1 in the pitch bins."""
    if pianoroll == "nochroma":
        return sounding / sounding.sum(-1, keepdim=True).clamp(min=0.1)
    octaves = -(-PITCHES // CHROMA_BINS)
    padded = F.pad(sounding, (0, octaves * CHROMA_BINS - PITCHES))
    chroma = padded.unflatten(-1, (octaves, CHROMA_BINS)).sum(-2)
    # Twice a row over its sum (at least 0.1): the chroma bins are half of that sum.
    row = torch.cat((chroma, sounding), dim=-1)
    return row.div_(chroma.sum(-1, keepdim=True).clamp(min=0.05))


# Loss ----------------------------------------------------------------------------------------


class Sums(NamedTuple):
    """Sums of a batch or a part: losses (heads,) float32, and correct predictions of each CP field
    at the selected notes, (4,) float32."""

    losses: Tensor
    correct: Tensor


def loss_sums(
    outputs: list[Tensor], notes: Tensor, selected: Tensor, real: Tensor, target: Tensor | None
) -> Sums:
    """Add up the losses over the selected (CP fields) or the real notes (pianoroll).

    outputs: one (batch, notes, n) tensor per head; notes: the original notes (batch, notes, 4);
    selected, real: (batch, notes) bool; target: (batch, notes, 17 * bins) or None.
    """
    losses, correct = [], []
    for field, logits in enumerate(outputs[: len(VOCABULARY_SIZES)]):
        answer = notes[..., field].long()
        wanted = torch.where(selected, answer, IGNORED)
        values = logits.float().flatten(0, 1)
        losses.append(
            F.cross_entropy(values, wanted.flatten(), ignore_index=IGNORED, reduction="sum")
        )
        correct.append(((logits.argmax(-1) == answer) & selected).sum())
    if target is not None:
        squared = F.mse_loss(outputs[-1].float(), target, reduction="none").sum(-1)
        losses.append(torch.where(real, squared, 0).sum())
    return Sums(torch.stack(losses), torch.stack(correct).float())


def loss_terms(losses: Tensor, selected: float, real: float) -> Tensor:
    """Summed losses -> their means over the selected notes (CP fields) and the real notes
    (pianoroll) of the batch."""
    fields = losses[: len(VOCABULARY_SIZES)] / max(selected, 0.1)
    return torch.cat((fields, losses[len(VOCABULARY_SIZES) :] / real))


def total_loss(terms: Tensor) -> Tensor:
    """The mean of the terms, fields weighted by the sizes of their vocabularies, pianoroll by 1."""
    weights = (*VOCABULARY_SIZES, 1)[: len(terms)]
    # a sum of Python numbers times scalars: a tensor of weights would be copied to the device
    return sum(weight * term for weight, term in zip(weights, terms, strict=True)) / sum(weights)


# Everything ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Objective:
    """How a pre-training run corrupts notes and what it predicts; the defaults are the paper's.

    Attributes:
        corruption: one of `CORRUPTIONS`.
        mask_percent: fraction of a segment's notes that is corrupted.
        rc_range: of `corrupt_bounded`.
        pianoroll: "full", "nochroma" (without its chroma bins) or "none".
    """

    corruption: str = "rc"
    mask_percent: float = 0.3
    rc_range: tuple[int, int, int] = (4, 12, 12)
    pianoroll: str = "full"

    def corrupt(self, notes: Tensor, keys: Tensor) -> Corrupted:
        """Corrupt a batch by the chosen rule; shapes as in `corrupt_bounded`."""
        if self.corruption == "mlm":
            return corrupt_masked(notes, keys, self.mask_percent)
        return corrupt_bounded(notes, keys, self.mask_percent, self.rc_range)

    def sums(
        self,
        model: Callable[[Tensor, Tensor | None], list[Tensor]],
        notes: Tensor,
        corrupted: Corrupted,
        counted: Tensor,
        bars: int,
        padded: bool,
        bar_of_note: Tensor | None = None,
    ) -> Sums:
        """Predict uint8 notes (batch, notes, 4) from their corruption, and add up the losses.

        counted: (batch,) bool, the segments that count; padded: False promises that there is no
        padding, which saves its mask; bars, bar_of_note: as in `pianoroll_targets`.
        """
        real = real_notes(notes)
        outputs = model(corrupted.notes, real if padded else None)
        target = None
        if self.pianoroll != "none":
            target = pianoroll_targets(notes, self.pianoroll, bars, bar_of_note).dense()
        counted = counted[:, None]
        return loss_sums(outputs, notes, corrupted.selected & counted, real & counted, target)
