"""Where models are computed, and in which precision. Of accelerators only CUDA's are used."""

import torch


def choose_device(cpu: bool) -> torch.device:
    """The GPU if there is one and `cpu` does not forbid it."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


def choose_precision(wanted: str | None, device: torch.device) -> str:
    """What the user wants, else bf16 on a GPU that has it.

    Older GPUs can only imitate bfloat16, slowly.
    """
    if wanted is not None:
        return wanted
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if has_bf16 else "fp32"


def usual_batch_size(device: torch.device) -> int:
    """How many windows of a song are read at a time, where nothing is trained.

    A large batch leaves a CPU's caches: there 16 take twice as long as 2.
    """
    return 2 if device.type == "cpu" else 32
