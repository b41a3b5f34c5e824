"""The device that models run on, a CUDA GPU or the CPU, and their precision there."""

import timeit
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from m2bert.base.errors import UserError

LEAST_GAIN = 1.2
"""On a CPU "auto" chooses bf16 only if it is at least this many times as fast as fp32, which is
more exact."""


def choose_device(cpu: bool, say: Callable[[str], object] = print) -> torch.device:
    """The GPU, if there is one and `cpu` is false; else the CPU. Apple's GPUs are not used.

    say: gets a warning if there is a GPU that torch cannot use.
    """
    if cpu:
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        has_gpu = torch.cuda.is_available()
    if caught and not has_gpu:
        is_old = any("too old" in str(warning.message) for warning in caught)
        why = "its driver is too old for this torch" if is_old else "its driver gives an error"
        say(
            f"warning: the GPU cannot be used ({why}), so the CPU computes: update the driver, or "
            "install a torch that fits it"
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
            why = f"torch {version} has no code for the {name}: install a release that has"
        elif isinstance(error, torch.OutOfMemoryError):
            why = "the GPU's memory is taken by other programs: end them"
        else:
            why = "the GPU does not answer, or belongs to another program: look at nvidia-smi"
        raise UserError(f"{why}, or compute on the CPU with --cpu") from error


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Raise `UserError` with advice to the user if the block needs more memory than the GPU has."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(f"the GPU's memory is too small: {advice}") from error


def choose_precision(
    wanted: str | None, device: torch.device, say: Callable[[str], object] = print
) -> str:
    """The precision to compute in, "fp32" or "bf16".

    wanted: "fp32" or "bf16" is returned as it is. None is the default: bf16 on a GPU that supports
        it in hardware, else fp32; on a CPU fp32, whose results are the same in every run. "auto"
        differs from None on a CPU only, where it chooses the faster one by a measurement.
    say: gets a line about the choice of "auto", or a warning if the wanted bf16 is slower here.
    """
    if device.type != "cpu":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if wanted == "bf16" and not has_bf16:
            say("warning: this GPU has no bf16 and emulates it slowly: leave out --precision bf16")
        return wanted if wanted in ("fp32", "bf16") else "bf16" if has_bf16 else "fp32"
    if wanted in (None, "fp32"):
        return "fp32"
    gain = bf16_gain()
    times = f"{gain:.1f} times quicker" if gain >= 1 else f"{1 / gain:.1f} times slower"
    if wanted == "bf16":
        if gain < 1:
            say(f"warning: on this CPU bf16 is {times} than fp32: leave out --precision bf16")
        return "bf16"
    chosen = "bf16" if gain >= LEAST_GAIN else "fp32"
    say(f"precision: {chosen} (a matrix product in bf16 is {times} on this CPU)")
    return chosen


def bf16_gain(size: int = 512, repeats: int = 3) -> float:
    """How many times faster the CPU multiplies matrices in bfloat16 than in float32."""
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(size, size, dtype=dtype)
        seconds.append(min(timeit.repeat("a @ a", globals={"a": a}, number=1, repeat=repeats)))
    return seconds[0] / seconds[1]


def usual_batch_size(device: torch.device) -> int:
    """How many windows of a song a model reads at a time outside of training.

    On a CPU a batch of 16 takes twice as long for each window as one of 2, which fits its caches.
    """
    return 2 if device.type == "cpu" else 32
