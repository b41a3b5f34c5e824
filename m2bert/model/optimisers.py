"""The optimisers of pre-training and fine-tuning (docs/METHOD.md, "Training", "Fine-tuning").

All tensors are updated together (foreach), without making the host wait for the device.
"""

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

Tensors = list[Tensor]


class Adam(torch.optim.Optimizer):
    """Running averages of every weight's gradient and of its square."""

    betas: ClassVar[tuple[float, float]]
    eps: ClassVar[float]

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict], lr: float, weight_decay: float = 0.01
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "step": 0})
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight] = {
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:  # type: ignore[override]  # none needs a closure
        """Update every weight that has a gradient; the learning rate is multiplied by `factor`."""
        for group in self.param_groups:
            group["step"] += 1
            weights = [w for w in group["params"] if w.grad is not None]
            gradients = [w.grad for w in weights]
            averages = [self.state[w]["exp_avg"] for w in weights]
            squares = [self.state[w]["exp_avg_sq"] for w in weights]
            beta1, beta2 = self.betas_at(group["step"])
            torch._foreach_lerp_(averages, gradients, 1 - beta1)
            torch._foreach_mul_(squares, beta2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
            group = group | {"lr": group["lr"] * factor}
            self.update(weights, gradients, averages, squares, group)

    def betas_at(self, step: int) -> tuple[float, float]:
        """The decay rates of the averages at a step, counted from 1."""
        return self.betas

    def update(
        self, weights: Tensors, gradients: Tensors, averages: Tensors, squares: Tensors, group: dict
    ) -> None:
        """Update the weights in place; this step's gradients are in the averages already."""
        raise NotImplementedError


class StableAdamW(Adam):
    """AdamW whose step shrinks, tensor by tensor, when gradients outgrow their running square.

    With step t, b' = (b - b^t) / (1 - b^t) for both betas (so that the averages need no further
    bias correction) and, per tensor,

        m = b1' m + (1 - b1') g          v = b2' v + (1 - b2') g^2
        lr' = lr / max(1, sqrt(mean(g^2 / max(v, eps^2))))
        w = (1 - weight_decay lr') w - lr' m / (sqrt(v) + eps)
    """

    betas, eps = (0.9, 0.99), 1e-8
    sizes: Tensor | None = None

    def betas_at(self, step: int) -> tuple[float, float]:
        beta1, beta2 = ((beta - beta**step) / (1 - beta**step) for beta in self.betas)
        return beta1, beta2

    def update(
        self, weights: Tensors, gradients: Tensors, averages: Tensors, squares: Tensors, group: dict
    ) -> None:
        ratios = torch._foreach_maximum(squares, self.eps**2)
        torch._foreach_sqrt_(ratios)
        ratios = torch._foreach_div(gradients, ratios)
        sizes = self.sizes_of(weights)
        greatest = torch.stack(torch._foreach_norm(ratios)) / sizes.to(ratios[0].dtype).sqrt()
        rates = greatest.clamp(min=1.0).reciprocal() * group["lr"]
        decays = rates * -group["weight_decay"] + 1.0
        torch._foreach_mul_(weights, spread(decays, sizes, weights))

        updates = torch._foreach_sqrt(squares)
        torch._foreach_add_(updates, self.eps)
        updates = torch._foreach_div(averages, updates)
        torch._foreach_mul_(updates, spread(rates, sizes, weights))
        torch._foreach_sub_(weights, updates)

    def sizes_of(self, weights: Tensors) -> Tensor:
        """Numbers of each weight, (weights,) int64 on their device. Cached: creating
        it makes the host wait for the device."""
        if self.sizes is None or len(self.sizes) != len(weights):
            self.sizes = torch.tensor([w.numel() for w in weights], device=weights[0].device)
        return self.sizes


def spread(values: Tensor, sizes: Tensor, weights: Tensors) -> Tensors:
    """Repeat each value to the size and shape of its weight: on a GPU foreach takes pairs of the
    same shape in a few launches, and pairs of others one by one."""
    counts = [w.numel() for w in weights]
    repeated = values.repeat_interleave(sizes, output_size=sum(counts)).split(counts)
    return [r.view_as(w) for r, w in zip(repeated, weights, strict=True)]


class AdamW(Adam):
    """The AdamW of older releases of transformers, with which the original fine-tunes.

    With step t,

        m = b1 m + (1 - b1) g            v = b2 v + (1 - b2) g^2
        w = w - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)
        w = w - lr weight_decay w

    torch's AdamW differs: it adds eps after the bias correction and decays first.
    """

    betas, eps = (0.9, 0.999), 1e-6

    def update(
        self, weights: Tensors, gradients: Tensors, averages: Tensors, squares: Tensors, group: dict
    ) -> None:
        (beta1, beta2), step = self.betas, group["step"]
        divisors = torch._foreach_sqrt(squares)
        torch._foreach_add_(divisors, self.eps)
        rate = group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        torch._foreach_addcdiv_(weights, averages, divisors, -rate)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
