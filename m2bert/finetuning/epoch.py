"""Training and scoring of a classifier on one task, epoch by epoch
(docs/METHOD.md, "Fine-tuning")."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from m2bert.base.devices import usual_batch_size
from m2bert.base.errors import UserError
from m2bert.base.processes import Processes
from m2bert.base.recipes import Recipe
from m2bert.base.seeds import seed_of_step
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.metrics import METRICS
from m2bert.finetuning.transposition import transposed
from m2bert.model.classifiers import Classifier
from m2bert.model.encoder import BACKBONE_PREFIX
from m2bert.model.optimisers import AdamW
from m2bert.notes.cp import real_notes
from m2bert.tasks import Task

DECIMALS = 4

ShowProgress = Callable[[list[np.ndarray], str], Iterator[np.ndarray]]
"""Passes batches (segment numbers each) on one by one, with a progress bar of the given title; it
may end the run between two of them by an exception."""


@dataclass(frozen=True)
class Scores:
    """What came out of one pass over a set.

    Attributes:
        loss: mean of the batches' losses.
        score: of the task's metric.
        predictions: the predicted classes, shaped as the labels, int16.
    """

    loss: float
    score: float
    predictions: Tensor


class ClassifierTrainer:
    """A classifier, its optimiser, and the task that they are for; one process's part in it.

    The segments that it is given lie on the device (a few bytes a note); what comes back to the
    host is a few figures an epoch. All processes have all data, and end with the same weights and
    scores.

    Attributes:
        steps: batches that were trained on so far.
        predictions, losses: what the epoch under way has brought in this process: the predicted
            classes, shaped as the labels, and the loss of each batch.
    """

    def __init__(
        self,
        model: Classifier,
        task: Task,
        *,
        batch_size: int,
        recipe: Recipe,
        seed: int,
        processes: Processes,
        precision: str,
        transpose: int = 0,
        last_class_weight: float = 1.0,
    ):
        self.processes, self.device = processes, processes.device
        self.model, self.task, self.metric = model.to(self.device), task, METRICS[task.metric]
        self.wrapped = processes.wrap(self.model)
        self.batch_size, self.seed, self.precision = batch_size, seed, precision
        self.recipe, self.transpose = recipe, transpose
        self.last_class_weight = last_class_weight
        self.optimiser = new_optimiser(model, recipe)
        self.steps = 0
        self.predictions, self.losses = torch.empty(0), list[Tensor]()

    def train_epoch(self, data: LabelledSegments, epoch: int, batches: ShowProgress) -> Scores:
        """Go once through the training set in an order made from the seed and the epoch, or
        through what is left of it where the epoch is under way."""
        self.model.train()
        order = np.random.default_rng([self.seed, epoch]).permutation(len(data))
        if self.transpose:
            seed = [self.seed, epoch, self.transpose]
            moved = transposed(self.task, data.notes, data.labels, self.transpose, seed)
            data = LabelledSegments(*moved)
        counted = counted_in_loss(data.notes, data.labels, self.task.loss_on)
        in_loss = counted.view(len(data), -1).sum(1).cpu().numpy()  # notes of each segment
        cut = self.cut(order, self.batch_size)
        steps = self.recipe.epochs * len(cut)
        done = self.steps - (epoch - 1) * len(cut)
        if not done:
            self.predictions, self.losses = torch.zeros_like(data.labels), []
        for rows in batches(cut[done:], f"epoch {epoch}"):
            # Dropout takes no generator of its own: a step's noise is made a function of the step.
            torch.manual_seed(seed_of_step(self.seed, self.steps, self.processes.index))
            self.steps += 1
            mine = self.processes.share(rows)
            # all take part in a step: who has no row computes one, which counts for nothing
            computed = mine if len(mine) else rows[:1]
            sums, _ = self.forward(self.wrapped, data, computed, self.predictions, bool(len(mine)))
            count = int(in_loss[rows].sum())
            if not count:  # a batch without a labelled note teaches nothing
                continue
            loss = sums.sum() / count
            self.optimiser.zero_grad()
            # gradients are averaged over processes, the loss is a sum over them
            (loss * self.processes.count).backward()
            self.optimiser.step(self.recipe.factor(self.steps - 1, steps))
            self.losses.append(loss.detach())
        loss = self.processes.add_up(torch.stack(self.losses).double()).mean()
        return self.scored(data, loss, self.processes.add_up(self.predictions), training=True)

    @torch.no_grad()
    def evaluate(self, data: LabelledSegments, title: str, batches: ShowProgress) -> Scores:
        """Score a set. It is read from its longest segment to its shortest, so that little padding
        is computed; no figure depends on that. Processes take turns at its batches."""
        self.model.eval()
        order = np.argsort(-data.lengths, kind="stable")
        predictions = torch.zeros_like(data.labels)
        sums_and_counts = torch.zeros(2, len(data), device=self.device)
        size = self.batch_size if self.device.type == "cpu" else usual_batch_size(self.device)
        mine = self.cut(order, size)[self.processes.index :: self.processes.count]
        for rows in batches(mine, title):
            index = torch.from_numpy(rows).to(self.device, non_blocking=True)
            read = self.forward(self.model, data, rows, predictions)
            sums_and_counts[:, index] = torch.stack(read)
        sums, counts = self.processes.add_up(sums_and_counts).double()
        loss = self.mean_of_batches(sums, counts)
        return self.scored(data, loss, self.processes.add_up(predictions))

    def pack_epoch(self) -> dict[str, Tensor]:
        """What the epoch under way has brought, summed over all processes (collective)."""
        losses = torch.tensor(self.losses, device=self.device)
        both = {"losses": losses, "predictions": self.predictions}
        return {name: self.processes.add_up(tensor) for name, tensor in both.items()}

    def unpack_epoch(self, tensors: dict[str, Tensor]) -> None:
        """Go on with an epoch that `pack_epoch` has saved. What it brought before is kept by the
        main process alone, so that the sum over all processes has it once."""
        kept = {name: t.to(self.device) * self.processes.is_main for name, t in tensors.items()}
        self.predictions, self.losses = kept["predictions"], list(kept["losses"])

    def cut(self, order: np.ndarray, size: int) -> list[np.ndarray]:
        """Segment numbers in order -> batches of them."""
        return [order[i : i + size] for i in range(0, len(order), size)]

    def forward(
        self,
        model: torch.nn.Module,
        data: LabelledSegments,
        rows: np.ndarray,
        predictions: Tensor,
        counting: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Summed losses of some segments and how many notes these are of, (rows,) each; puts the
        predicted classes into `predictions`. If `counting` is False, all of these are 0.

        For note tasks a batch ends with its longest segment: nothing looks at padding.
        """
        lengths = data.lengths[rows]
        longest = self.rounded(lengths.max())
        index = torch.from_numpy(rows).to(self.device, non_blocking=True)
        notes, labels = data.notes[index], data.labels[index]
        if self.task.level == "note":
            notes, labels = notes[:, :longest], labels[:, :longest]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            padded = bool(lengths.min() < notes.shape[1])
            states = None if data.states is None else data.states[index, : notes.shape[1]].float()
            logits = model(notes, padded, states)
        classes = logits.detach().argmax(-1).to(predictions.dtype) * counting
        if self.task.level == "note":
            predictions[index, : notes.shape[1]] = classes
        else:
            predictions[index] = classes
        counted = counted_in_loss(notes, labels, self.task.loss_on) & counting
        return segment_losses(logits, labels, counted, self.last_class_weight)

    def rounded(self, length: int) -> int:
        """The length to compute. On a GPU it is a multiple of 128, as new shapes cost time there;
        a CPU computes no note more than it must."""
        return length if self.device.type == "cpu" else -(-length // 128) * 128

    def mean_of_batches(self, sums: Tensor, counts: Tensor) -> Tensor:
        """Mean loss of batches in file order, of those that have something to count."""
        batch = torch.arange(len(sums), device=self.device) // self.batch_size
        batches = -(-len(sums) // self.batch_size)
        summed, counted = torch.zeros(2, batches, dtype=torch.float64, device=self.device)
        summed.index_add_(0, batch, sums)
        counted.index_add_(0, batch, counts)
        return (summed[counted > 0] / counted[counted > 0]).mean()

    def scored(
        self, data: LabelledSegments, loss: Tensor, predictions: Tensor, training: bool = False
    ) -> Scores:
        score = (training and self.metric.training_score) or self.metric.score
        value = score(data.notes, data.labels, predictions, self.task.batch_size)
        loss_value, score_value = torch.stack([loss, value]).tolist()
        if not np.isfinite(loss_value):
            raise UserError(
                f"{self.task.name}: the loss is not finite any more; "
                "try a lower --lr or --precision fp32 with another --save_root"
            )
        return Scores(round(loss_value, DECIMALS), round(score_value, DECIMALS), predictions)


@torch.no_grad()
def with_states(
    model: Classifier, segments: LabelledSegments, processes: Processes, precision: str
) -> LabelledSegments:
    """Segments with the states of an encoder that is frozen, computed once and without dropout."""
    device = processes.device
    model.to(device).eval()
    shape = (*segments.notes.shape[:2], model.config.hidden_size)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    states = torch.zeros(shape, dtype=dtype, device=device)
    lengths = segments.lengths
    order, size = np.argsort(-lengths, kind="stable"), usual_batch_size(device)
    for first in processes.progress(range(0, len(order), size), "states of the encoder"):
        rows = order[first : first + size]
        notes = segments.notes[rows].to(device)
        if model.level == "note":
            notes = notes[:, : lengths[rows].max()]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            states[rows, : notes.shape[1]] = model.states(notes).to(dtype)
    return replace(segments, states=states)


def new_optimiser(model: Classifier, recipe: Recipe) -> AdamW:
    """The optimiser of all weights that are trained; the encoder's may have a rate of their own."""
    encoder: list[Tensor] = []
    head: list[Tensor] = []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            (encoder if name.startswith(BACKBONE_PREFIX) else head).append(weight)
    rate = recipe.lr if recipe.encoder_lr is None else recipe.encoder_lr
    groups = [{"params": head, "lr": recipe.lr}, {"params": encoder, "lr": rate}]
    trained = [group for group in groups if group["params"]]  # an encoder may be frozen
    return AdamW(trained, lr=recipe.lr, weight_decay=recipe.weight_decay)


def segment_losses(
    logits: Tensor, labels: Tensor, counted: Tensor, last_class_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every segment, summed over its counted notes, and how many there are.

    logits (batch, notes, classes), labels and counted (batch, notes); for piece tasks the same
    without notes. The losses of notes of the last class are multiplied by `last_class_weight`.
    Returns two float32 tensors (batch,).
    """
    losses = F.cross_entropy(logits.float().movedim(-1, 1), labels.long(), reduction="none")
    if last_class_weight != 1:
        losses = torch.where(labels == logits.shape[-1] - 1, losses * last_class_weight, losses)
    weights = counted.float()
    return (losses * weights).view(len(losses), -1).sum(1), weights.view(len(losses), -1).sum(1)


def counted_in_loss(notes: Tensor, labels: Tensor, loss_on: str) -> Tensor:
    """Mark what a task's loss is about (`Task.loss_on`), as labels: bool."""
    if labels.ndim == 1:
        return torch.ones_like(labels, dtype=torch.bool)
    real = real_notes(notes)
    return real if loss_on == "notes" else real & (labels > 0)
