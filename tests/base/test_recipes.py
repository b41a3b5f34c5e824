import argparse
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.base.recipes import (
    FINETUNING,
    PAPER,
    PRETRAINING,
    Recipe,
    add_flags,
    check_warmup,
    chosen,
)


def parsed(*words: str, recipes=FINETUNING) -> Recipe:
    parser = argparse.ArgumentParser()
    add_flags(parser, recipes)
    return chosen(parser.parse_args(words), recipes)


def test_default_recipe_is_the_papers():
    assert parsed(recipes=PRETRAINING) == Recipe(epochs=150, lr=2e-5) == PAPER
    assert parsed() == Recipe(epochs=10, lr=2e-5)
    assert all(PAPER.factor(step, 100) == 1.0 for step in (0, 50, 99))


def test_flags_override_the_recipe():
    assert parsed("--recipe", "small") == FINETUNING["small"]
    words = ["--recipe", "small", "--lr", "0.5", "--warmup_steps", "0", "--dropout", "0"]
    assert parsed(*words) == replace(FINETUNING["small"], lr=0.5, warmup_steps=0, dropout=0.0)


@given(st.integers(0, 20), st.integers(1, 300))
def test_factor_rises_linearly_and_falls_as_half_a_cosine(warmup, steps):
    recipe = Recipe(epochs=1, lr=1.0, schedule="cosine", warmup_steps=warmup)
    factors = [recipe.factor(step, warmup + steps) for step in range(warmup + steps)]
    assert factors[:warmup] == [(step + 1) / warmup for step in range(warmup)]
    falling = factors[warmup:]
    assert falling[0] == 1.0
    assert falling == sorted(falling, reverse=True)
    for step, factor in enumerate(falling):
        assert factor == pytest.approx(math.cos(math.pi / 2 * step / steps) ** 2, abs=1e-12)
    assert recipe.factor(warmup + steps, warmup + steps) == pytest.approx(0, abs=1e-12)


def test_warmup_may_be_a_percentage_of_the_steps():
    recipe = parsed("--warmup_steps", "10%")
    assert recipe.warmup(59) == 5
    assert [recipe.factor(step, 59) for step in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    for percentage in ("100%", "-1%", "%"):
        with pytest.raises(SystemExit):
            parsed("--warmup_steps", percentage)


def test_check_warmup_rejects_a_warmup_longer_than_the_training():
    recipe = replace(PAPER, warmup_steps=10)
    check_warmup(recipe, 11)
    with pytest.raises(UserError, match=r"--warmup_steps 10 is longer than the training, .* 10"):
        check_warmup(recipe, 10)
