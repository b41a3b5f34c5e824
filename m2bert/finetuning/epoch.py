"""Training and scoring of a classifier on one task, epoch by epoch
(docs/METHOD.md, "Fine-tuning")."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from m2bert.base.devices import usual_batch_size
from m2bert.base.errors import UserError
from m2bert.base.progress import show_progress
from m2bert.base.recipes import Recipe
from m2bert.base.seeds import seed_of_step
from m2bert.finetuning.data import LabelledSegments, Sets
from m2bert.finetuning.metrics import METRICS
from m2bert.finetuning.transposition import transposed
from m2bert.model.classifiers import Classifier
from m2bert.model.optimisers import AdamW
from m2bert.notes.cp import real_notes
from m2bert.tasks import Task

DECIMALS = 4

Watch = Callable[[list[np.ndarray]], Iterable[np.ndarray]]
"""Yields batches (segment numbers each) and watches over them: shows progress, or ends the run
between two of them by an exception."""


@dataclass(frozen=True)
class Scores:
    """What one pass over a set gave.

    Attributes:
        loss: mean of the batches' losses.
        score: of the task's metric.
        predictions: the predicted classes, shaped as the labels, int16.
    """

    loss: float
    score: float
    predictions: Tensor


class ClassifierTrainer:
    """A classifier, its optimiser, and the task that they are for.

    Segments are on the device (a few bytes per note); only a few numbers per epoch come back to the
    host.
    """

    def __init__(
        self,
        model: Classifier,
        task: Task,
        *,
        batch_size: int,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        precision: str,
        transpose: int = 0,
        class_weights: Tensor | None = None,
    ):
        self.model, self.device = model.to(device), device
        self.task, self.metric = task, METRICS[task.metric]
        self.batch_size, self.seed, self.precision = batch_size, seed, precision
        self.evaluated_together = batch_size if device.type == "cpu" else usual_batch_size(device)
        self.recipe, self.transpose = recipe, transpose
        self.class_weights = None if class_weights is None else class_weights.to(device)
        trained = (weight for weight in model.parameters() if weight.requires_grad)
        self.optimiser = AdamW(trained, lr=recipe.lr, weight_decay=recipe.weight_decay)

    def train_epoch(self, data: LabelledSegments, epoch: int, watch: Watch = iter) -> Scores:
        """Train one epoch on the training set, in an order made from the seed and the epoch."""
        self.model.train()
        order = np.random.default_rng([self.seed, epoch]).permutation(len(data))
        if self.transpose:
            seed = [self.seed, epoch, self.transpose]
            moved = transposed(self.task, data.notes, data.labels, self.transpose, seed)
            data = LabelledSegments(*moved)
        counted = counted_in_loss(data.notes, data.labels, self.task.loss_on)
        in_loss = counted.view(len(data), -1).sum(1).cpu().numpy()  # notes of each segment
        batches = cut(order, self.batch_size)
        first, steps = (epoch - 1) * len(batches), self.recipe.epochs * len(batches)
        predictions, losses = torch.zeros_like(data.labels), []
        for step, rows in enumerate(watch(batches), first):
            # Dropout takes no generator of its own: a step's noise is made a function of the step.
            torch.manual_seed(seed_of_step(self.seed, step))
            sums, _ = self.forward(data, rows, predictions)
            number = int(in_loss[rows].sum())
            if not number:  # a batch without a labelled note teaches nothing
                continue
            loss = sums.sum() / number
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step(self.recipe.factor(step, steps))
            losses.append(loss.detach())
        return self.scored(data, torch.stack(losses).double().mean(), predictions, training=True)

    @torch.no_grad()
    def evaluate(self, data: LabelledSegments, watch: Watch = iter) -> Scores:
        """Score a set. It is read from its longest segment to its shortest, so that little padding
        is computed; no result depends on that."""
        self.model.eval()
        order = np.argsort(-data.lengths, kind="stable")
        predictions = torch.zeros_like(data.labels)
        sums_and_counts = torch.zeros(2, len(data), device=self.device)
        for rows in watch(cut(order, self.evaluated_together)):
            index = torch.from_numpy(rows).to(self.device, non_blocking=True)
            sums_and_counts[:, index] = torch.stack(self.forward(data, rows, predictions))
        return self.scored(data, self.mean_of_batches(*sums_and_counts.double()), predictions)

    def batches_of_epoch(self, sets: Sets) -> int:
        """Batches of an epoch: of training, validation and test."""
        sizes = {"train": self.batch_size}
        size = self.evaluated_together
        return sum(-(-len(part) // sizes.get(name, size)) for name, part in sets.items())

    def forward(
        self, data: LabelledSegments, rows: np.ndarray, predictions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Summed losses of some segments and how many notes these are of, (rows,) each; puts the
        predicted classes into `predictions`.

        For note tasks a batch ends with its longest segment, as nothing depends on padding.
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
            logits = self.model(notes, padded, states)
        classes = logits.detach().argmax(-1).to(predictions.dtype)
        if self.task.level == "note":
            predictions[index, : notes.shape[1]] = classes
        else:
            predictions[index] = classes
        counted = counted_in_loss(notes, labels, self.task.loss_on)
        return segment_losses(logits, labels, counted, self.class_weights)

    def rounded(self, length: int) -> int:
        """The length to compute: on a GPU a multiple of 128, as new shapes cost time there."""
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
                f"{self.task.name}: the loss is NaN or infinite; "
                "use a lower --lr or --precision fp32 with another --save_root"
            )
        return Scores(round(loss_value, DECIMALS), round(score_value, DECIMALS), predictions)


def cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Segment numbers in order -> batches of them."""
    return [order[i : i + size] for i in range(0, len(order), size)]


@torch.no_grad()
def with_states(model: Classifier, sets: Sets, device: torch.device, precision: str) -> Sets:
    """Sets with the states of a frozen encoder, computed once and without dropout."""
    model.to(device).eval()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    found = {}
    for name, segments in sets.items():
        shape = (*segments.notes.shape[:2], model.config.hidden_size)
        states = torch.zeros(shape, dtype=dtype, device=device)
        lengths = segments.lengths
        batches = cut(np.argsort(-lengths, kind="stable"), usual_batch_size(device))
        for rows in show_progress(batches, f"hidden states, {name}", len(batches)):
            notes = segments.notes[rows].to(device)
            if model.level == "note":
                notes = notes[:, : lengths[rows].max()]
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                states[rows, : notes.shape[1]] = model.states(notes).to(dtype)
        found[name] = replace(segments, states=states)
    return found


def segment_losses(
    logits: Tensor, labels: Tensor, counted: Tensor, class_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every segment, summed over its counted notes, and how many there are.

    logits (batch, notes, classes), labels and counted (batch, notes); for piece tasks the same
    without notes. Losses are multiplied by the weights of their classes, (classes,) float32.
    Returns two float32 tensors (batch,).
    """
    losses = F.cross_entropy(logits.float().movedim(-1, 1), labels.long(), reduction="none")
    if class_weights is not None:
        losses = losses * class_weights[labels.long()]
    weights = counted.float()
    return (losses * weights).view(len(losses), -1).sum(1), weights.view(len(losses), -1).sum(1)


def class_weights(
    task: Task, train: LabelledSegments, balance: bool, last: float | None
) -> Tensor | None:
    """Weights of the classes in the loss, (classes,) float32; None if all are 1.

    balance: inverse to the frequencies in the training set, with the mean 1 over its labels, and 1
    for classes that do not occur there. last: that of the last class; 1 for the others.
    """
    weights = torch.ones(len(task.classes))
    if balance:
        counted = counted_in_loss(train.notes, train.labels, task.loss_on)
        labels = train.labels[counted].cpu().numpy()
        present = np.unique(labels)
        found = compute_class_weight("balanced", classes=present, y=labels)
        weights[present] = torch.from_numpy(found).float()
    elif last:
        weights[-1] = last
    else:
        return None
    return weights


def counted_in_loss(notes: Tensor, labels: Tensor, loss_on: str) -> Tensor:
    """Mark what a task's loss is about (`Task.loss_on`), as labels: bool."""
    if labels.ndim == 1:
        return torch.ones_like(labels, dtype=torch.bool)
    real = real_notes(notes)
    return real if loss_on == "notes" else real & (labels > 0)
