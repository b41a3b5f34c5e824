"""The optimisers in float64, one tensor at a time."""

import numpy as np


def reference_stable_adamw(weight, gradients, lr, decay=0.01, betas=(0.9, 0.99), eps=1e-8):
    """The weight after steps with these gradients, and the greatest r."""
    w = weight.astype(np.float64)
    m, v, greatest = np.zeros_like(w), np.zeros_like(w), 0.0
    for t, g in enumerate(gradients, start=1):
        b1, b2 = ((b - b**t) / (1 - b**t) for b in betas)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        r = max(1.0, np.sqrt(np.mean(g**2 / np.maximum(v, eps**2))))
        w = w * (1 - decay * lr / r) - lr / r * m / (np.sqrt(v) + eps)
        greatest = max(greatest, r)
    return w, greatest


def reference_adamw(weight, gradients, lr, decay, betas=(0.9, 0.999), eps=1e-6):
    """The weight after steps with these gradients."""
    w = weight.astype(np.float64)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        (b1, b2) = betas
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        w = w - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        w = w - lr * decay * w
    return w
