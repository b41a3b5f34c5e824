"""Seeds derived from a run's seed, so that no random number depends on those drawn before it."""

import numpy as np


def seed_of_step(seed: int, step: int, process: int = 0) -> int:
    """The seed of one training step's dropout in one process."""
    return int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0] >> 1)


def seed_of_run(seed: int, fold: int | None) -> int:
    """The seed of everything random in a run of fine-tuning; each fold has its own."""
    if fold is None:
        return seed
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])
