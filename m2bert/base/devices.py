"""The device that models run on, a CUDA GPU or the CPU, and their precision there."""

import timeit
from collections.abc import Callable

import torch

LEAST_GAIN = 1.2
"""On a CPU "auto" chooses bf16 only if it is at least this many times as fast as fp32, which is
more exact."""


def choose_device(cpu: bool) -> torch.device:
    """The GPU, if there is one and `cpu` is false; else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


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
        if wanted in ("fp32", "bf16"):
            return wanted
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
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
