"""Named tensors and a JSON record in one safetensors file: a model, or the state of a training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import ModernBertModel

from m2bert.base.errors import UserError
from m2bert.base.files import placeholder_at, replacing
from m2bert.model.optimisers import Adam

Model = TypeVar("Model", bound=nn.Module)


def save_tensors(path: Path | str, tensors: dict[str, Tensor], record: dict) -> None:
    """Write tensors and a JSON record as one file, which a reader finds complete or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(contiguous, temporary, metadata={"record": json.dumps(record)})
            temporary.chmod(mode)  # safetensors makes files that only their owner can read
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict]:
    """Read a file of `save_tensors`. The tensors are memory-mapped: their numbers are read when
    they are first used. Raises `UserError` if it is missing, damaged or of another kind."""
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get("record", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (OSError, SafetensorError, ValueError) as error:
        reason = placeholder_at(path) or "it is damaged, or not a safetensors file"
        raise UserError(f"{path} cannot be read ({reason}): restore it, or remove it") from error


# Tensors and models --------------------------------------------------------------------------


def without_weights(build: Callable[[], Model]) -> Model:
    """The model that `build` makes, on torch's "meta" device: its weights have shapes but no
    numbers yet, as drawing random ones takes seconds. The tables of rotary angles, which no file
    holds, are computed."""
    with torch.device("meta"):
        model = build()
    for module in model.modules():
        if isinstance(module, ModernBertModel):
            module.rotary_emb = type(module.rotary_emb)(config=module.config)
    return model


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def load_strictly(
    module: nn.Module,
    tensors: dict[str, Tensor],
    source: Path | str,
    advice: str = "choose the --preset and --pianoroll that it was trained with",
) -> None:
    """Copy `tensors` into `module`; one that was built `without_weights` takes them as they are.

    Raises `UserError`, with `advice` to the user, unless names and shapes are the module's.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [
        f"{name} is {found.get(name, 'missing')}, not {wanted.get(name, 'part of it')}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise UserError(
            f"{source} does not fit the model: {'; '.join(problems[:3])}{more}: {advice}"
        )
    without_numbers = any(weight.is_meta for weight in module.parameters())
    module.load_state_dict(tensors, assign=without_numbers)


def check_finite(tensors: dict[str, Tensor], source: Path | str) -> None:
    """Raise `UserError` if a tensor holds NaN or infinity."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(
                f"{source} cannot be used: {name} contains NaN or infinity; restore the file, or "
                "retrain the model"
            )


# The state of a training ---------------------------------------------------------------------

WEIGHT = "weight."


def pack_state(model: nn.Module, optimiser: Adam) -> dict[str, Tensor]:
    """The state of a training: weights, and the optimiser's averages. The next step depends on
    this and on the number of steps before it."""
    weights = {WEIGHT + name: tensor for name, tensor in model.state_dict().items()}
    return weights | _averages(model, optimiser)


def _averages(model: nn.Module, optimiser: Adam) -> dict[str, Tensor]:
    """The optimiser's own tensors, by `exp_avg.` or `exp_avg_sq.` and the name of the weight."""
    return {
        f"{kind}.{name}": average
        for name, weight in model.named_parameters()
        for kind, average in optimiser.state.get(weight, {}).items()
    }


def unpack_state(
    tensors: dict[str, Tensor], model: nn.Module, optimiser: Adam, steps: int, source: Path
) -> None:
    """Put the result of `pack_state` after `steps` steps, read from `source`, into model and
    optimiser. Raises `UserError` if it is not the state of such a model."""
    advice = "restore it, or remove it to start over"
    load_strictly(model, with_prefix(tensors, WEIGHT), source, advice)
    try:
        for name, average in _averages(model, optimiser).items():
            average.copy_(tensors[name])
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{source} is not a checkpoint of this model: {advice}") from error
    for group in optimiser.param_groups:
        group["step"] = steps
