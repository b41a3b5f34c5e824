"""Measure the pre-training step in all its forms.

python -m benchmarks.gpu_step [--preset base] [--batch_sizes 12 24 48] [--steps 30]

Losses and gradients of each form are first compared with those of the plain form on the CPU; only
forms that agree are measured. Results are printed and, after every row, written as JSON.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.made_up_corpus import full_batch, made_up_songs
from benchmarks.original_step import original_step
from m2bert.base.devices import choose_device, choose_precision
from m2bert.base.errors import UserError, run_command, show_lines_at_once
from m2bert.base.files import write_text
from m2bert.base.processes import Processes
from m2bert.model import attention
from m2bert.model.config import PRESETS, M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining, training_flops_per_note
from m2bert.pretraining.metrics import measure_peak
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.segments import Batches, Songs, draw_segments
from m2bert.pretraining.step import Trainer

LENGTH, SONGS, WARM_UP = 1024, 200, 5
TOLERANCE = {"fp32": 1e-4, "bf16": 3e-2}
"""The greatest difference of losses and gradients, relative to their norm, that is rounding."""


class Form(NamedTuple):
    local: str = "blocks"  # local attention: "blocks", "flash" or "all pairs"
    compile_mode: str | None = None


FORMS = {
    "blocks": Form(),
    "all pairs": Form("all pairs"),
    "flash": Form("flash"),
    "compiled": Form(compile_mode="default"),
    "captured": Form(compile_mode="reduce-overhead"),  # in CUDA graphs
    "flash, compiled": Form("flash", "default"),
}

COMPARED_MODEL = replace(PRESETS["tiny"], num_hidden_layers=2, dropout=0.0)
"""With one global and one local layer."""

CASES = {
    "2 x 1024": (2, 1024, False),
    "2 x 1024, padded": (2, 1024, True),
    "2 x 960, padded": (2, 960, True),
    "2 x 100, padded": (2, 100, True),
    "1 x 1024": (1, 1024, False),
}
"""Segments, notes per segment, and whether the last segment is padded."""


def main() -> None:
    show_lines_at_once()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[12, 24, 48])
    parser.add_argument("--steps", type=int, default=30, help="measured steps")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("gpu_step.json"))
    args = parser.parse_args()

    device, config, songs = choose_device(args.cpu), PRESETS[args.preset], made_up_songs(SONGS)
    precision = choose_precision(args.precision, device)
    forms, cases = FORMS, CASES
    if device.type == "cpu":  # compiling would take minutes
        forms = {name: FORMS[name] for name in ("blocks", "all pairs")}
        cases = {name: CASES[name] for name in ("2 x 100, padded",)}
    record: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "preset": args.preset,
        "precision": precision,
        "peak_flops": measure_peak(device, precision),
        "differences": {},
        "rows": [],
        "failed": [],
    }
    batches = {name: batch_of(songs, *case) for name, case in cases.items()}
    plain = new_trainer(COMPARED_MODEL, torch.device("cpu"), "fp32", Form(), lr=0.0)
    expected = {name: outcome(plain, batch) for name, batch in batches.items()}
    steps: list[tuple[str, Form, Callable]] = []
    for name, form in forms.items():
        record["differences"][name] = found = compare(form, device, batches, expected)
        print(f"{name:<18}{verdict(found)}")
        if not wrong_cases(found):
            make = partial(new_trainer, config, device, precision, form)
            steps.append((name, form, lambda batch, make=make: partial(take_step, make(), batch)))
        write_record(args.out, record)
    steps.append(("the original's step", Form(), partial(original_step, config, device=device)))
    for size in args.batch_sizes:
        batch = full_batch(songs, size, LENGTH)
        for name, form, make_step in steps:
            try:
                with local_attention(form):
                    row = {"step": name, **measure(make_step(batch), size, args.steps, device)}
                record["rows"].append(row)
                print(line(row, config, record["peak_flops"]))
            except Exception as error:  # out of memory, for example; the other steps are measured
                record["failed"].append(f"{size} x {LENGTH}, {name}: {describe(error)}")
                print(record["failed"][-1])
            write_record(args.out, record)
    wrong = [name for name, found in record["differences"].items() if wrong_cases(found)]
    if wrong:
        raise UserError(f"not measured, as the results differ: {', '.join(wrong)}")
    if record["failed"]:
        raise UserError(f"{len(record['failed'])} steps could not be measured")


def write_record(path: Path, record: dict) -> None:
    write_text(path, json.dumps(record, indent=1) + "\n")


# Comparing -----------------------------------------------------------------------------------


def compare(
    form: Form, device: torch.device, batches: dict[str, dict], expected: dict[str, list[Tensor]]
) -> dict[str, float | str]:
    """The difference from `expected`, or the error, for each case and precision."""
    found: dict[str, float | str] = {}
    # training uses the compiled forms and FlashAttention in bf16 only
    precisions = ["fp32", "bf16"] if form in (FORMS["blocks"], FORMS["all pairs"]) else ["bf16"]
    for precision in precisions:
        trainer = new_trainer(COMPARED_MODEL, device, precision, form, lr=0.0)
        for name, batch in batches.items():
            try:
                with local_attention(form):
                    mine = outcome(trainer, batch)
                off = [difference(*pair) for pair in zip(mine, expected[name], strict=True)]
                # max() could lose a NaN
                found[f"{name}, {precision}"] = max(off) if np.isfinite(off).all() else np.nan
            except Exception as error:  # the other cases are compared
                found[f"{name}, {precision}"] = describe(error)
    return found


def describe(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def wrong_cases(found: dict[str, float | str]) -> list[str]:
    return [
        f"{case}: {value}"
        for case, value in found.items()
        # a NaN is not less
        if isinstance(value, str) or not value < TOLERANCE[case.split()[-1]]
    ]


def verdict(found: dict[str, float | str]) -> str:
    wrong = wrong_cases(found)
    if wrong:
        return f"differs from the plain form on the CPU: {'; '.join(wrong)}"
    return f"equals the plain form on the CPU (within {max(found.values()):.1e})"


def batch_of(songs: Songs, rows: int, length: int, padded: bool) -> dict:
    """A batch of the first notes of some songs; of a padded one the last segment has half the
    length."""
    draws = draw_segments(np.arange(rows), songs.lengths[:rows], length, 0, epoch=1, shuffle=False)
    draws = draws[np.unique(draws["song"], return_index=True)[1]]
    if padded:
        draws["length"][-1] //= 2
    return Batches(songs, draws, rows, length, mask_percent=0.3)[0]


def outcome(trainer: Trainer, batch: dict) -> list[Tensor]:
    """Metrics and gradients of a step with learning rate 0, on the CPU. Gradients of norms are
    excluded: they are sums of terms that cancel, and imprecise in bf16."""
    for _ in range(3 if trainer.is_compiled else 1):  # CUDA graphs: warm-up, capture, replay
        metrics = take_step(trainer, batch)
    return [metrics.cpu(), *(w.grad.cpu() for w in trainer.weights if w.ndim > 1)]


def difference(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm().clamp(min=1e-12)).item()


@contextmanager
def local_attention(form: Form) -> Iterator[None]:
    kept = attention.blocks_save_work
    if form.local == "all pairs":
        attention.blocks_save_work = lambda length, reach: False
    os.environ["M2BERT_LOCAL_ATTENTION"] = form.local
    try:
        yield
    finally:
        attention.blocks_save_work = kept
        del os.environ["M2BERT_LOCAL_ATTENTION"]


# Measuring -----------------------------------------------------------------------------------


def new_trainer(
    config: M2BertConfig, device: torch.device, precision: str, form: Form, lr: float = 2e-5
) -> Trainer:
    torch.manual_seed(0)
    torch.compiler.reset()  # else graphs of earlier shapes would be generalised to this one
    return Trainer(
        M2BertForPreTraining(config),
        Objective(),
        Processes(device),
        precision=precision,
        lr=lr,
        seed=0,
        compile_mode=form.compile_mode,
    )


def take_step(trainer: Trainer, batch: dict) -> Tensor:
    torch.compiler.cudagraph_mark_step_begin()
    return trainer.train_step(batch, step=0)


def measure(step: Callable, batch_size: int, repeats: int, device: torch.device) -> dict:
    """Seconds of a step, and the peak of the GPU's memory."""
    on_gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(min(WARM_UP, repeats - 1)):
        step()
    wait()
    begin = perf_counter()
    for _ in range(repeats):
        step()
    issued = perf_counter() - begin  # until the host has submitted all work
    wait()
    seconds = (perf_counter() - begin) / repeats
    return {
        "batch_size": batch_size,
        "seconds": seconds,
        "host_seconds": issued / repeats,
        "notes_per_second": batch_size * LENGTH / seconds,
        "device_gigabytes": torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0,
    }


def line(row: dict, config: M2BertConfig, peak: float | None) -> str:
    text = f"{row['batch_size']:>3} x {LENGTH}  {row['step']:<22}"
    text += f"{1000 * row['seconds']:9.1f} ms  host {1000 * row['host_seconds']:9.1f} ms"
    text += f"{row['notes_per_second']:12,.0f} notes/s"
    if peak:
        fraction = row["notes_per_second"] * training_flops_per_note(config, LENGTH) / peak
        text += f"  {fraction:6.1%} of peak  {row['device_gigabytes']:6.1f} GB"
    return text


if __name__ == "__main__":
    run_command(main)
