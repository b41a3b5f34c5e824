"""Weights and the optimiser's averages as named tensors, from which training goes on."""

from pathlib import Path

from torch import Tensor, nn

from m2bert.errors import UserError
from m2bert.model_folder import load_strictly, with_prefix
from m2bert.optimiser import Adam

MOST_TIME_SAVING = 0.05
"""The state is saved at the end of an epoch, unless that would take a greater share of the time."""

WEIGHT, AVERAGE, SQUARE = "weight.", "exp_avg.", "exp_avg_sq."


def pack_state(model: nn.Module, optimiser: Adam) -> dict[str, Tensor]:
    """Everything that the next step depends on but the number of steps."""
    averages, squares = optimiser.averages(model)
    return (
        {WEIGHT + name: tensor for name, tensor in model.state_dict().items()}
        | {AVERAGE + name: tensor for name, tensor in averages.items()}
        | {SQUARE + name: tensor for name, tensor in squares.items()}
    )


def unpack_state(
    tensors: dict[str, Tensor], model: nn.Module, optimiser: Adam, steps: int, source: Path
) -> None:
    """Put what `pack_state` gave after `steps` steps into model and optimiser.

    Raises `UserError` if it is not the state of such a model; `source` is the file it is from.
    """
    advice = "restore it, or remove it to begin anew"
    load_strictly(model, with_prefix(tensors, WEIGHT), source, advice)
    try:
        averages, squares = (with_prefix(tensors, prefix) for prefix in (AVERAGE, SQUARE))
        optimiser.load(model, averages, squares, steps)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{source} is not the state of such a run ({error}): {advice}") from error
