"""Where models are computed, and in which precision. Of accelerators only CUDA's are used."""

import time
from collections.abc import Callable

import torch

LEAST_GAIN = 1.2
"""By so much bf16 must be quicker on a CPU to be chosen: it is less exact."""


def choose_device(cpu: bool) -> torch.device:
    """The GPU if there is one and `cpu` does not forbid it."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


def choose_precision(
    wanted: str | None, device: torch.device, say: Callable[[str], object] = print
) -> str:
    """The precision that `wanted` means, "fp32" or "bf16".

    By default bf16 on a GPU that has it (older ones can only imitate it, slowly), fp32 on a CPU,
    where its bits repeat. "auto" asks a CPU as well, by timing; what it chose, and that bf16 is
    slow where it was asked for, is said.
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
            say(f"warning: on this CPU bf16 is {times} than fp32: leave --precision bf16 away")
        return "bf16"
    chosen = "bf16" if gain >= LEAST_GAIN else "fp32"
    say(f"precision: {chosen} (a matrix product in bf16 is {times} on this CPU)")
    return chosen


def bf16_gain(size: int = 512, repeats: int = 3) -> float:
    """How many times as quick a matrix product is in bfloat16 as in float32 on the CPU."""
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.ones(2, size, size, dtype=dtype).unbind()
        took = []
        for _ in range(repeats):
            begun = time.perf_counter()
            a @ b
            took.append(time.perf_counter() - begun)
        seconds.append(min(took))
    return seconds[0] / seconds[1]


def usual_batch_size(device: torch.device) -> int:
    """How many windows of a song are read at a time, where nothing is trained.

    A large batch leaves a CPU's caches: there 16 take twice as long as 2.
    """
    return 2 if device.type == "cpu" else 32
