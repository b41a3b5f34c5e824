"""Check torch's attention kernels on this GPU: which are chosen, their correctness and speed.

python -m benchmarks.gpu_kernels [--out gpu_kernels.json]

The questions are independent; an error in one does not affect the others.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.gpu_step import difference
from m2bert.base.devices import choose_precision
from m2bert.base.errors import run_command, show_lines_at_once
from m2bert.base.files import write_text
from m2bert.model import attention
from m2bert.pretraining.metrics import measure_peak

HEADS, WIDTH, REACH = 12, 64, 64
CUDNN, FLASH, EFFICIENT = (
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
)
Answer = tuple[bool | None, str]
"""Whether the check passed (None: a measurement without a verdict), and the result."""


def main() -> None:
    show_lines_at_once()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu_kernels.json"))
    args = parser.parse_args()
    device = torch.device("cuda")
    answers = []
    for ask in QUESTIONS:
        try:
            passed, text = ask(device)
        except Exception as error:  # the other questions are asked
            passed, text = False, f"{type(error).__name__}: {str(error)[:300]}"
        answers.append({"question": ask.__doc__, "passed": passed, "answer": text})
        print(f"{ {True: 'ok', False: 'BAD', None: 'fact'}[passed]:<5} {ask.__doc__} {text}")
        write_text(args.out, json.dumps(answers, indent=1) + "\n")


def kernels(device: torch.device, precision: str) -> dict[str, str]:
    """The names of the kernels that compute attention on a device in a `precision` ("fp32" or
    "bf16")."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    notes, reach = 256, 64
    like = torch.zeros(2, notes, attention.HEAD_WIDTH, device=device, dtype=dtype)
    masks = attention.attention_masks(
        like, torch.ones(2, notes, dtype=torch.bool, device=device), reach
    )

    def chosen(query: Tensor, key: Tensor, mask: Tensor | None) -> str:
        if attention.uses_products(device, dtype):
            return "products of few rows"
        number = torch._fused_sdp_choice(query, key, key, mask, 0.0, False)
        return SDPBackend(number).name.lower()

    query, local = like[:, None], masks["sliding_attention"]
    if local.ndim == 1:
        of_local = "flash_attention with windows"
    else:
        of_blocks = query.repeat(notes // reach, 1, 1, 1)
        block, blocks = of_blocks[:, :, :reach], of_blocks[:, :, : 3 * reach]
        of_local = chosen(block, blocks, local.flatten(0, 1))
    return {
        "global": chosen(query, query, None),
        "global, padded": chosen(query, query, masks["full_attention"]),
        "local": of_local,
    }


def which_kernels(device: torch.device) -> Answer:
    """Which kernels compute attention?"""
    found = kernels(device, choose_precision(None, device))
    with cudnn_allowed():
        otherwise = kernels(device, choose_precision(None, device))
    passed = not any("cudnn" in kernel for kernel in found.values())
    return passed, f"{found}; with cuDNN {torch.backends.cudnn.version()} allowed: {otherwise}"


def dropout_of_kernels(device: torch.device) -> Answer:
    """Does dropout of 0.1 drop 10 % in every kernel?"""
    found, passed = [], True
    for kernel in (FLASH, EFFICIENT, CUDNN):
        q = torch.zeros(16, HEADS, 256, WIDTH, device=device, dtype=torch.bfloat16)
        v = torch.eye(256, WIDTH, device=device, dtype=q.dtype).expand_as(q)
        with cudnn_allowed(), sdpa_kernel(kernel):
            out = F.scaled_dot_product_attention(q, q, v, dropout_p=0.1)
        # each key has weight 1/256 for every query, and 0 where it was dropped
        fraction, mean = (out == 0).float().mean().item(), 256 * out.float().mean().item()
        right = abs(fraction - 0.1) < 0.003 and abs(mean - 1) < 0.02
        passed &= right or kernel is CUDNN  # which is not used
        found.append(f"{kernel.name.lower()} drops {fraction:.4f}, mean {mean:.4f}")
    return passed, "; ".join(found)


def gradient_of_masked_blocks(device: torch.device) -> Answer:
    """Are gradients of masked blocks finite where scores are far below 0 (pytorch issue 196678)?"""
    found = {}
    for name, kernel in (("efficient", EFFICIENT), ("cuDNN", CUDNN)):
        q, k, v = (blocks(device, n, 192) for n in (REACH, 3 * REACH, 3 * REACH))
        with torch.no_grad():
            q[..., 0], k[..., 0] = 1, -120 * WIDTH**0.5
        mask = torch.zeros(192, 1, REACH, 3 * REACH, device=device, dtype=q.dtype)
        with cudnn_allowed(), sdpa_kernel(kernel):
            F.scaled_dot_product_attention(q, k, v, mask).sum().backward()
        found[name] = bool(q.grad.isfinite().all())
    return found["efficient"], f"finite: {found}"


def flash_windows(device: torch.device) -> Answer:
    """Does FlashAttention with windows equal blocks (M2BERT_LOCAL_ATTENTION=flash)?"""
    off: list[float] = []
    for rows, notes, shortest in ((2, 1024, 1024), (3, 1024, 300), (2, 960, 17), (1, 100, 100)):
        real = None
        if shortest < notes:
            lengths = torch.linspace(notes, shortest, rows, device=device).long()
            real = torch.arange(notes, device=device) < lengths[:, None]
        found = [local_attention(device, rows, notes, real, way) for way in ("blocks", "flash")]
        off += [difference(a.float(), b.float()) for a, b in zip(*found, strict=True)]
    is_right = all(relative < 2e-2 for relative in off)  # a NaN is not less
    seconds = {}
    for way in ("blocks", "flash"):
        seconds[way] = timed(lambda way=way: local_attention(device, 12, 1024, None, way))
    text = f"values and gradients within {max(off):.1e}; forward and backward of 12 x 1024 in "
    text += ", ".join(f"{1000 * s:.2f} ms ({way})" for way, s in seconds.items())
    if is_right and seconds["flash"] < seconds["blocks"]:
        text += "; to use it: export M2BERT_LOCAL_ATTENTION=flash"
    return is_right, text


def new_shapes(device: torch.device) -> Answer:
    """How long does the first call with a new length take?"""
    found = {}
    for name, kernel in (("efficient", EFFICIENT), ("cuDNN", CUDNN)):
        first = []
        for notes in (200, 264, 328, 392, 456):
            q = torch.zeros(6, HEADS, notes, WIDTH, device=device, dtype=torch.bfloat16)
            q.requires_grad_()
            mask = torch.zeros(6, 1, 1, notes, device=device, dtype=q.dtype)
            with cudnn_allowed(), sdpa_kernel(kernel):
                begin = perf_counter()
                F.scaled_dot_product_attention(q, q, q, mask).sum().backward()
                torch.cuda.synchronize()
                first.append(perf_counter() - begin)
        found[name] = [round(1000 * seconds, 1) for seconds in first]
    return None, f"milliseconds, forward and backward: {found}"


def global_layers(device: torch.device) -> Answer:
    """How fast are the kernels of global layers?"""
    q = torch.randn(12, HEADS, 1024, WIDTH, device=device, dtype=torch.bfloat16).requires_grad_()
    mask = torch.zeros(12, 1, 1, 1024, device=device, dtype=q.dtype)
    found = {}
    for name, kernel, of in (
        ("flash", FLASH, None),
        ("efficient, padded", EFFICIENT, mask),
        ("cuDNN", CUDNN, None),
        ("cuDNN, padded", CUDNN, mask),
    ):
        with cudnn_allowed(), sdpa_kernel(kernel):
            seconds = timed(
                lambda of=of: F.scaled_dot_product_attention(q, q, q, of).sum().backward()
            )
        found[name] = round(1000 * seconds, 2)
    return None, f"milliseconds for 12 x 1024, forward and backward: {found}"


def peak(device: torch.device) -> Answer:
    """How fast are large matrix products, at first and after warming up?"""
    found = [measure_peak(device, choose_precision(None, device)) for _ in range(3)]
    if None in found:
        return None, "not enough memory"
    return found[0] > 0.9 * found[-1], ", ".join(f"{f / 1e12:.0f} TFLOP/s" for f in found)


QUESTIONS: list[Callable[[torch.device], Answer]] = [
    which_kernels,
    peak,
    dropout_of_kernels,
    gradient_of_masked_blocks,
    flash_windows,
    new_shapes,
    global_layers,
]


@contextmanager
def cudnn_allowed() -> Iterator[None]:
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(False)


def blocks(device: torch.device, notes: int, rows: int) -> Tensor:
    shape = (rows, HEADS, notes, WIDTH)
    return torch.randn(shape, device=device, dtype=torch.bfloat16).requires_grad_()


def local_attention(
    device: torch.device, rows: int, notes: int, real: Tensor | None, way: str
) -> list[Tensor]:
    """Values and gradients of a local layer, (rows, notes, heads, width) each; 0 at padding."""
    torch.manual_seed(0)
    q, k, v = (blocks(device, notes, rows) for _ in range(3))
    like = torch.empty(rows, notes, 1, device=device, dtype=q.dtype)
    os.environ["M2BERT_LOCAL_ATTENTION"] = way
    mask = attention.attention_masks(like, real, REACH)["sliding_attention"]
    del os.environ["M2BERT_LOCAL_ATTENTION"]
    out, _ = attention.attend(
        torch.nn.Identity(), q, k, v, mask, scaling=WIDTH**-0.5, sliding_window=REACH + 1
    )
    if real is not None:
        out = out * real[..., None, None]
    out.float().square().sum().backward()
    return [out.detach(), q.grad, k.grad, v.grad]


def timed(step: Callable[[], object], repeats: int = 20) -> float:
    """Seconds of a step on the device."""
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    begin = perf_counter()
    for _ in range(repeats):
        step()
    torch.cuda.synchronize()
    return (perf_counter() - begin) / repeats


if __name__ == "__main__":
    run_command(main)
