"""One step of pre-training, on one process or several, and its figures."""

from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor

from m2bert.cp import FIELDS, VOCABULARY_SIZES
from m2bert.model import M2BertForPreTraining
from m2bert.objectives import Objective, Sums, loss_terms, total_loss
from m2bert.optimiser import StableAdamW
from m2bert.seeds import seed_of_step

MIXED_PRECISION = {"fp32": "no", "bf16": "bf16"}
"""accelerate's name of each `--precision`; weights and optimiser are fp32 in both."""

GREATEST_NORM = 3.0
DECIMALS = 3


class Trainer:
    """One process's part in every step of a run.

    `figures` below are a float64 tensor on the device: the total loss, its terms and the four
    accuracies of a *global* batch; `name_figures` gives them names. Nothing here makes the host
    wait for the device. compile_mode: of torch.compile, None leaves everything as it is.
    """

    def __init__(
        self,
        model: M2BertForPreTraining,
        objective: Objective,
        accelerator: Accelerator,
        *,
        lr: float,
        seed: int,
        accumulation_steps: int = 1,
        compile_mode: str | None = None,
    ):
        self.model, self.objective, self.accelerator = model, objective, accelerator
        self.seed, self.parts = seed, accumulation_steps
        self.wrapped = accelerator.prepare(model)
        self.predict = objective.sums
        self.weights = [w for w in model.parameters() if w.requires_grad]
        self.optimiser = StableAdamW(self.weights, lr=lr)
        if compile_mode is not None:
            # Noise is drawn outside: inductor cannot take its unsigned 64-bit constants.
            self.predict = torch.compile(self.predict, mode=compile_mode)
        self.first_bad_step = torch.tensor(-1, device=accelerator.device)

    def train_step(self, batch: dict, step: int) -> Tensor:
        """One optimiser step on this process's rows of a batch (an item of `Batches`)."""
        self.wrapped.train()
        # Dropout takes no generator of its own: a step's noise is made a function of the step.
        torch.manual_seed(seed_of_step(self.seed, step, self.accelerator.process_index))
        self.optimiser.zero_grad()
        sums = []
        for index in range(self.parts):
            last = index == self.parts - 1
            with nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                part = self.sums(batch, index)
                loss = total_loss(loss_terms(part.losses, batch["selected"], batch["real"]))
                # gradients are averaged over processes, the loss is a sum over them
                (loss * self.accelerator.num_processes).backward()
                sums.append(torch.cat([part.losses.detach(), part.correct]))
        norm = torch.nn.utils.clip_grad_norm_(self.weights, GREATEST_NORM)
        self.optimiser.step()
        figures = self.figures(sums, batch)
        self.note_bad_step(step, figures, norm)
        return figures

    @torch.no_grad()
    def valid_step(self, batch: dict) -> Tensor:
        """The figures of a validation batch."""
        self.wrapped.eval()
        parts = [self.sums(batch, index) for index in range(self.parts)]
        return self.figures([torch.cat([p.losses, p.correct]) for p in parts], batch)

    def sums(self, batch: dict, index: int) -> Sums:
        """Losses and right answers of the index-th part of this process's rows."""
        device = self.accelerator.device
        notes, keys, counted = (
            batch[name].chunk(self.parts)[index].to(device, non_blocking=True)
            for name in ("notes", "keys", "counted")
        )
        corrupted = self.objective.corrupt(notes, keys)
        return self.predict(self.wrapped, notes, corrupted, counted, batch["bars"], batch["padded"])

    def figures(self, sums: list[Tensor], batch: dict) -> Tensor:
        """Add up the parts of all processes and divide by what the global batch holds."""
        summed = self.accelerator.reduce(torch.stack(sums).sum(0), "sum")
        losses, correct = summed[: -len(FIELDS)], summed[-len(FIELDS) :]
        terms = loss_terms(losses, batch["selected"], batch["real"])
        accuracies = correct / max(batch["selected"], 0.1)
        return torch.cat([total_loss(terms)[None], terms, accuracies]).double()

    def note_bad_step(self, step: int, figures: Tensor, norm: Tensor) -> None:
        """Remember the first step whose loss or gradient is not finite, on the device."""
        bad = ~(figures.isfinite().all() & norm.isfinite()) & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(bad, step, self.first_bad_step)


def name_figures(figures: list[float]) -> dict[str, float]:
    """Give the entries of `Trainer.figures` their names."""
    fields = [field.lower() for field in FIELDS]
    terms = ["pianoroll_loss"] if len(figures) > 1 + 2 * len(fields) else []
    names = ["loss", *(f"{f}_loss" for f in fields), *terms, *(f"{f}_acc" for f in fields)]
    return dict(zip(names, figures, strict=True))


def epoch_record(train: Tensor, valid: Tensor) -> dict:
    """What is kept of an epoch, from the mean figures of its batches.

    The score chooses the best epoch: the rounded validation accuracies, weighted by the sizes of
    their vocabularies, as in the original.
    """
    trained, validated = name_figures(train.tolist()), name_figures(valid.tolist())

    def rounded(figures: dict[str, float]) -> list[float]:
        return [round(figures[f"{field.lower()}_acc"], DECIMALS) for field in FIELDS]

    accuracies = rounded(validated)
    weighed = zip(accuracies, VOCABULARY_SIZES, strict=True)
    score = sum(accuracy * size for accuracy, size in weighed) / sum(VOCABULARY_SIZES)
    return {
        "train_loss": round(trained["loss"], DECIMALS),
        "train_acc": rounded(trained),
        "valid_loss": round(validated["loss"], DECIMALS),
        "valid_acc": accuracies,
        "score": score,
        "train": trained,
        "valid": validated,
    }
