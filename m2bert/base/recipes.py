"""Recipes: named hyperparameters of a training. `paper` is the original's; `small` is for models
below the base preset (`benchmarks/LOG.md` has the experiments)."""

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from m2bert.base.arguments import fraction, non_negative_int, not_negative, positive_int
from m2bert.base.errors import UserError

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Recipe:
    """How a training learns.

    Attributes:
        epochs: most epochs.
        lr: the learning rate; with a schedule, the highest.
        schedule: "constant", or "cosine": half a cosine, which reaches 0 after the last epoch.
        warmup_steps: steps over which the rate first rises from 0; a string such as "2%" is that
            percentage of all steps.
        weight_decay: fraction of a weight that is taken off at each step, times the learning rate.
        dropout: of attention and MLPs; None leaves that of the preset.
    """

    epochs: int
    lr: float
    schedule: str = "constant"
    warmup_steps: int | str = 0
    weight_decay: float = 0.01
    dropout: float | None = None

    def summary(self) -> str:
        """The settings in one line, as commands print them."""
        return ", ".join(f"{n} {v}" for n, v in asdict(self).items() if v is not None)

    def changes(self) -> dict:
        """The settings that differ from the paper's, by name, except `lr` and the epochs, which
        runs record anyway; with a schedule, which ends with the last epoch, also the epochs."""
        usual = replace(PAPER, lr=self.lr, epochs=self.epochs)
        changed = {n: v for n, v in asdict(self).items() if v != getattr(usual, n)}
        return changed | ({"epochs": self.epochs} if self.schedule != "constant" else {})

    def warmup(self, steps: int) -> int:
        """How many of a training's steps are its warm-up."""
        given = self.warmup_steps
        return int(steps * float(given[:-1]) / 100) if isinstance(given, str) else given

    def factor(self, step: int, steps: int) -> float:
        """What `lr` is multiplied by at a step (counted from 0) of a training of `steps` steps."""
        warmup = self.warmup(steps)
        if step < warmup:
            return (step + 1) / warmup
        if self.schedule == "constant":
            return 1.0
        passed = (step - warmup) / max(steps - warmup, 1)
        return (1 + math.cos(math.pi * min(passed, 1.0))) / 2


def steps_or_percentage(text: str) -> int | str:
    """A number of steps as an int; a percentage, such as 2%, unchanged. For argparse's `type`."""
    if not text.endswith("%"):
        return non_negative_int(text)
    if not 0 <= float(text[:-1]) < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0% to below 100%")
    return text


PAPER = Recipe(epochs=150, lr=2e-5)

PRETRAINING = {
    "paper": PAPER,
    "small": Recipe(epochs=6, lr=4e-3, schedule="cosine", warmup_steps="2%"),
}
FINETUNING = {
    "paper": replace(PAPER, epochs=10),
    "small": Recipe(epochs=10, lr=2e-3, schedule="cosine", warmup_steps="2%"),
}

_FLAGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "epochs": (positive_int, "maximum number of epochs"),
    "lr": (not_negative, "learning rate"),
    "schedule": (
        str,
        f"learning rate schedule: {SCHEDULES[0]}, or {SCHEDULES[1]} to 0 after the last epoch",
    ),
    "warmup_steps": (
        steps_or_percentage,
        "steps of linear warm-up, or a percentage of all steps such as 2%%",
    ),
    "weight_decay": (not_negative, "weight decay"),
    "dropout": (fraction, "dropout of the encoder (default: that of the preset)"),
}


def add_flags(parser: argparse.ArgumentParser, recipes: dict[str, Recipe]) -> None:
    """Add `--recipe`, and a flag for each setting of a recipe."""
    group = parser.add_argument_group(
        "recipe", "training settings; the defaults are those of recipe paper"
    )
    group.add_argument(
        "--recipe", choices=recipes, default="paper", help="a named set of the settings below"
    )
    for name, (kind, what) in _FLAGS.items():
        value = getattr(recipes["paper"], name)
        usual = "" if value is None else f" (default: {value})"
        choices = SCHEDULES if name == "schedule" else None
        # no default: what is not given is the recipe's
        group.add_argument(f"--{name}", type=kind, choices=choices, help=what + usual)


def chosen(args: argparse.Namespace, recipes: dict[str, Recipe]) -> Recipe:
    """The recipe named by `--recipe`; settings given by their own flags replace the recipe's."""
    given = {f.name: getattr(args, f.name) for f in fields(Recipe)}
    return replace(recipes[args.recipe], **{n: v for n, v in given.items() if v is not None})


def check_warmup(recipe: Recipe, steps: int) -> None:
    """Raise `UserError` if a training of `steps` steps would end within its warm-up."""
    if recipe.warmup(steps) >= max(steps, 1):
        raise UserError(
            f"--warmup_steps {recipe.warmup_steps} is longer than the training, which has "
            f"{steps} steps: give fewer, or more --epochs"
        )
