"""One step of pre-training, on one process or several."""

from contextlib import nullcontext

import torch
from torch import Tensor

from m2bert.base.processes import Processes
from m2bert.base.seeds import seed_of_step
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.optimisers import StableAdamW
from m2bert.notes.cp import FIELDS
from m2bert.pretraining.objectives import Objective, Sums, loss_terms, token_bars, total_loss

GREATEST_NORM = 3.0


class Trainer:
    """One process's part of every step of a run. Nothing here makes the host wait for the device.

    The metrics of a step are a float64 tensor on the device: the total loss, its terms and the four
    accuracies of a *global* batch (`metrics.name_metrics`). `first_bad_step` is the first step
    whose loss or gradient was not finite, -1 for none, also on the device.
    """

    def __init__(
        self,
        model: M2BertForPreTraining,
        objective: Objective,
        processes: Processes,
        *,
        precision: str,
        lr: float,
        weight_decay: float = 0.01,
        seed: int,
        accumulation_steps: int = 1,
        compile_mode: str | None = None,
    ):
        """precision: "fp32", or "bf16" for the model's matrix products; accumulation_steps: in how
        many parts a step is computed; compile_mode: of torch.compile; None compiles nothing."""
        self.processes, self.device = processes, processes.device
        self.model, self.objective = model.to(self.device), objective
        self.seed, self.parts, self.precision = seed, accumulation_steps, precision
        self.wrapped = processes.wrap(self.model)
        self.predict = objective.sums
        self.weights = [w for w in model.parameters() if w.requires_grad]
        self.optimiser = StableAdamW(self.weights, lr=lr, weight_decay=weight_decay)
        self.is_compiled = compile_mode is not None
        if compile_mode is not None:
            # batches with and without padding, of training and of validation, are compiled apart
            torch._dynamo.config.recompile_limit = 16
            # on one device the step is one graph; a break in it raises an error
            one_graph = processes.world_size == 1
            self.predict = torch.compile(self.predict, mode=compile_mode, fullgraph=one_graph)
        self.first_bad_step = torch.tensor(-1, device=self.device)

    def train_step(self, batch: dict, step: int, factor: float = 1.0) -> Tensor:
        """One optimiser step on this process's rows of a batch (an item of `Batches`); the learning
        rate is that of the optimiser, times `factor`."""
        self.wrapped.train()
        # Dropout takes no generator of its own: a step's noise is made a function of the step.
        torch.manual_seed(seed_of_step(self.seed, step, self.processes.rank))
        self.optimiser.zero_grad()
        sums = []
        for index in range(self.parts):
            is_last = index == self.parts - 1
            with nullcontext() if is_last else self.processes.local_gradients(self.wrapped):
                part = self.sums(batch, index)
                loss = total_loss(loss_terms(part.losses, batch["selected"], batch["real"]))
                # gradients are averaged over processes, the loss is a sum over them
                (loss * self.processes.world_size).backward()
                sums.append(torch.cat([part.losses.detach(), part.correct]))
        norm = torch.nn.utils.clip_grad_norm_(self.weights, GREATEST_NORM)
        self.optimiser.step(factor)
        metrics = self.metrics(sums, batch)
        # on the device: the host must not wait for it
        is_bad = ~(metrics.isfinite().all() & norm.isfinite()) & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(is_bad, step, self.first_bad_step)
        return metrics

    @torch.no_grad()
    def valid_step(self, batch: dict) -> Tensor:
        """The metrics of a validation batch."""
        self.wrapped.eval()
        parts = [self.sums(batch, index) for index in range(self.parts)]
        return self.metrics([torch.cat([p.losses, p.correct]) for p in parts], batch)

    def sums(self, batch: dict, index: int) -> Sums:
        """Losses and correct predictions of the index-th part of this process's rows."""
        notes, keys, counted = (
            batch[name].chunk(self.parts)[index].to(self.device, non_blocking=True)
            for name in ("notes", "keys", "counted")
        )
        # Not in the compiled part: inductor cannot take the unsigned 64-bit constants of the noise,
        # and torch 2.11's fails for running sums over many notes on a GPU.
        corrupted, bar_of_note = self.objective.corrupt(notes, keys), token_bars(notes)
        # compiled code has a fixed number of bars; a segment has at most as many bars as notes
        bars = notes.shape[1] if self.is_compiled else batch["bars"]
        return self.predict(
            self.outputs, notes, corrupted, counted, bars, batch["padded"], bar_of_note
        )

    def outputs(self, notes: Tensor, real: Tensor | None) -> list[Tensor]:
        """The heads' outputs in the chosen precision; shapes as in `M2BertForPreTraining`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.wrapped(notes, real)

    def metrics(self, sums: list[Tensor], batch: dict) -> Tensor:
        """Add up the parts of all processes and divide by the notes of the global batch."""
        summed = self.processes.add_up(torch.stack(sums).sum(0))
        losses, correct = summed[: -len(FIELDS)], summed[-len(FIELDS) :]
        terms = loss_terms(losses, batch["selected"], batch["real"])
        accuracies = correct / max(batch["selected"], 0.1)
        return torch.cat([total_loss(terms)[None], terms, accuracies]).double()
