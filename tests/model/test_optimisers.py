"""The optimisers, compared with reference implementations."""

import numpy as np
import torch

from m2bert.model.optimisers import Adam, AdamW, StableAdamW
from tests.reference.reference_adamw import reference_adamw, reference_stable_adamw

GROWTH = [1.0, 1.0, 30.0, 1.0, 1000.0, 0.1, 5000.0, 1.0]
"""The size of the gradients at each step."""

RNG = np.random.default_rng(0)
STARTS = [RNG.normal(size=shape) for shape in [(7, 5), (11,), (1,), (3, 4, 2)]]
GRADIENTS = [[(g * RNG.normal(size=w.shape)).astype(np.float32) for g in GROWTH] for w in STARTS]


def trained(kind: type[Adam], **settings: float) -> list[np.ndarray]:
    """The weights after a step with each of the gradients."""
    weights = [torch.nn.Parameter(torch.from_numpy(w).float()) for w in STARTS]
    optimiser = kind(weights, **settings)
    for step in range(len(GROWTH)):
        for weight, series in zip(weights, GRADIENTS, strict=True):
            weight.grad = torch.from_numpy(series[step])
        optimiser.step()
    return [weight.detach().numpy() for weight in weights]


def test_stable_adamw_equals_the_reference_implementation():
    found = trained(StableAdamW, lr=1e-2)
    for weight, start, series in zip(found, STARTS, GRADIENTS, strict=True):
        expected, greatest_r = reference_stable_adamw(start, series, lr=1e-2)
        assert greatest_r > 2
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_adamw_equals_the_reference_implementation():
    settings = {"lr": 1e-2, "weight_decay": 0.5}
    for weight, start, series in zip(trained(AdamW, **settings), STARTS, GRADIENTS, strict=True):
        expected = reference_adamw(start, series, lr=1e-2, decay=0.5)
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)
