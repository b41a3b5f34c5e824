"""The device that models run on, a CUDA GPU or the CPU, and their precision there."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from m2bert.base.errors import UserError


def choose_device(cpu: bool, warn: bool = True) -> torch.device:
    """The CUDA GPU, if there is one and `cpu` is false; else the CPU. warn: whether to print a
    warning if there is a GPU that torch cannot use."""
    if cpu:
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        has_gpu = torch.cuda.is_available()
    if caught and not has_gpu and warn:
        is_old = any("too old" in str(warning.message) for warning in caught)
        why = "its driver is too old for torch" if is_old else "its driver gives an error"
        print(
            f"warning: the GPU cannot be used ({why}), so the CPU is used: update the driver, or "
            "install a release of torch that supports it"
        )
    return torch.device("cuda" if has_gpu else "cpu")


def check_device(device: torch.device) -> None:
    """Raise `UserError` if a GPU does not compute."""
    if device.type == "cpu":
        return
    try:
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as error:
        if "no kernel image" in str(error):
            name, version = torch.cuda.get_device_name(device), torch.__version__
            why = f"torch {version} does not support the {name}: install a release that does"
        elif isinstance(error, torch.OutOfMemoryError):
            why = "the GPU's memory is used by other programs: end them"
        else:
            why = "the GPU does not respond, or another program uses it: check nvidia-smi"
        raise UserError(f"{why}, or use the CPU with --cpu") from error


def device_and_precision(cpu: bool, precision: str | None) -> tuple[torch.device, str]:
    """The device, which computes, and the precision on it (`choose_precision`)."""
    device = choose_device(cpu)
    check_device(device)
    return device, choose_precision(precision, device)


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Raise `UserError` with advice to the user if the block needs more memory than the GPU has."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(f"the GPU's memory is too small: {advice}") from error


def choose_precision(wanted: str | None, device: torch.device) -> str:
    """`wanted`, or by default bf16 on a GPU that supports it in hardware, else fp32."""
    if wanted:
        return wanted
    is_gpu = device.type != "cpu"
    has_bf16 = is_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if has_bf16 else "fp32"


def usual_batch_size(device: torch.device) -> int:
    """How many windows of a song a model reads at a time outside of training. On a CPU, a batch of
    16 takes twice as long for each window as one of 2, which fits its caches."""
    return 2 if device.type == "cpu" else 32
