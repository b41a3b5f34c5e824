"""How fast is the pre-training step on this GPU, and what does each part of it bring?

python -m benchmarks.gpu_step [--preset base] [--batch_sizes 12 24 48] [--steps 30]

First compares the losses and gradients of every form of the step with those of the plain form on
the CPU, then measures the forms that agree: a table is printed and, after every row, written as
JSON.
"""

import argparse
import json
import os
import tempfile
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
from tqdm import tqdm

from benchmarks import original_step
from benchmarks.made_up_corpus import write_corpus
from benchmarks.objectives import full_batch
from m2bert.base.arguments import count
from m2bert.base.devices import choose_device, choose_precision
from m2bert.base.errors import UserError, run_command, show_lines_at_once
from m2bert.base.files import write_text
from m2bert.base.processes import Processes
from m2bert.model import attention
from m2bert.model.config import PRESETS, M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining, training_flops_per_note
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.metrics import measure_peak
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.segments import Batches, Songs, draw_segments, load_batches
from m2bert.pretraining.step import Trainer

LENGTH, SONGS, SONG_NOTES = 1024, 200, 3000
WARM_UP = 5
LARGEST_DIFFERENCE = {"fp32": 1e-4, "bf16": 3e-2}
"""Of losses and gradients, relative to their norm: more is no rounding."""


class Form(NamedTuple):
    """How the step is computed: local attention in blocks, by FlashAttention, or over all pairs of
    notes; and the mode of torch.compile, None without."""

    local: str = "blocks"
    compile_mode: str | None = None


FORMS = {
    "blocks": Form(),
    "all pairs": Form("all pairs"),
    "flash": Form("flash"),
    "compiled": Form(compile_mode="default"),
    "captured": Form(compile_mode="reduce-overhead"),  # in CUDA graphs
    "flash, compiled": Form("flash", "default"),
}

SMALL = replace(PRESETS["tiny"], num_hidden_layers=2, dropout=0.0)
"""What is compared: one global and one local layer."""

CASES = {
    "2 x 1024": (2, 1024, False),
    "2 x 1024, padded": (2, 1024, True),
    "2 x 960, padded": (2, 960, True),
    "2 x 100, padded": (2, 100, True),
    "1 x 1024": (1, 1024, False),
}
"""Segments, notes of a segment, and whether the last one is padded."""


def main() -> None:
    show_lines_at_once()
    args = parse_arguments()
    device = choose_device(args.cpu)
    precision = choose_precision(args.precision, device)
    songs = made_up_songs()
    record: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "kernels": attention.kernels(device, precision),
        "preset": args.preset,
        "precision": precision,
        "differences": {},
        "rows": [],
        "failed": [],
    }
    on_cpu = {"blocks", "all pairs"}  # a check of this script; compiling would take minutes
    forms = {n: f for n, f in FORMS.items() if device.type == "cuda" or n in on_cpu}
    record["peak_flops"] = measure_peak(device, precision)
    write = partial(write_record, args.out, record)
    expected = {name: outcome(plain_trainer(), batch_of(songs, *of)) for name, of in CASES.items()}
    setting = Setting(PRESETS[args.preset], songs, device, precision)
    batches = [full_batch(songs, size) for size in args.batch_sizes]
    for name, form in forms.items():
        record["differences"][name] = found = compare(form, songs, device, expected)
        print(verdict(name, found))
        write()
        if all(map(is_rounding, found.items())):
            for batch in batches:
                add_rows(record, steps_of(name, form, setting, batch), setting, batch, args.steps)
                write()
    for batch in batches:
        add_rows(record, original_steps(setting, batch), setting, batch, args.steps)
        write()
    print(f"written to {args.out}")
    wrong = [n for n, of in record["differences"].items() if not all(map(is_rounding, of.items()))]
    if wrong:
        raise UserError(f"not measured, as they compute something else: {', '.join(wrong)}")
    if record["failed"]:
        raise UserError(f"{len(record['failed'])} steps could not be measured")


def write_record(path: Path, record: dict) -> None:
    write_text(path, json.dumps(record, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--batch_sizes", type=count, nargs="+", default=[12, 24, 48])
    parser.add_argument("--steps", type=count, default=30, help="steps that are timed")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("gpu_step.json"))
    return parser.parse_args()


def made_up_songs() -> Songs:
    """A corpus of random notes; its files are gone when they have been mapped."""
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), "made_up", np.full(SONGS, SONG_NOTES))
        return Songs([open_corpus(folder, "made_up")])


# Comparing -----------------------------------------------------------------------------------


def compare(
    form: Form, songs: Songs, device: torch.device, expected: dict[str, list[Tensor]]
) -> dict[str, float | str]:
    """The differences between a form and what is expected in every case, by case and precision, or
    the error that it ends with."""
    found: dict[str, float | str] = {}
    # compiling takes long, so compiled forms are compared in the precision that training has alone
    precisions = ["fp32", "bf16"] if form in (FORMS["blocks"], FORMS["all pairs"]) else ["bf16"]
    for precision in precisions:
        trainer = new_trainer(SMALL, device, precision, form, lr=0.0)
        for name, case in CASES.items():
            try:
                with local_attention(form):
                    mine = outcome(trainer, batch_of(songs, *case), bool(form.compile_mode))
                off = [difference(*pair) for pair in zip(mine, expected[name], strict=True)]
                # a NaN would get lost in the greatest
                found[f"{name}, {precision}"] = max(off) if np.isfinite(off).all() else np.nan
            except Exception as error:  # whatever it is, the other cases and forms go on
                found[f"{name}, {precision}"] = described(error)
    return found


def plain_trainer() -> Trainer:
    """What the forms are compared with; `outcome` does not change it."""
    return new_trainer(SMALL, torch.device("cpu"), "fp32", Form(), lr=0.0)


def described(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def verdict(name: str, found: dict[str, float | str]) -> str:
    wrong = [f"{case}: {value}" for case, value in found.items() if not is_rounding((case, value))]
    if wrong:
        return f"{name:<16} computes something else: {'; '.join(wrong)}"
    greatest = max(value for value in found.values() if isinstance(value, float))
    return f"{name:<16} equals the plain form on the CPU: within {greatest:.1e}"


def is_rounding(found: tuple[str, float | str]) -> bool:
    case, value = found
    # a NaN is not less
    return isinstance(value, float) and value < LARGEST_DIFFERENCE[case.split()[-1]]


def batch_of(songs: Songs, rows: int, length: int, padded: bool) -> dict:
    """A batch of the first notes of some songs; a padded one has a last segment of half the
    length."""
    draws = draw_segments(np.arange(rows), songs.lengths[:rows], length, 0, epoch=1, shuffle=False)
    draws = draws[np.unique(draws["song"], return_index=True)[1]]
    if padded:
        draws["length"][-1] //= 2
    return Batches(songs, draws, rows, length, mask_percent=0.3)[0]


def outcome(trainer: Trainer, batch: dict, is_compiled: bool = False) -> list[Tensor]:
    """Figures, and gradients of matrices, of a step that changes nothing, on the CPU. Of a graph
    the first step is a warm-up, the second is recorded, and the third replays it. (The gradients of
    norms are sums of what cancels out, and say little in bf16.)"""
    for _ in range(3 if is_compiled else 1):
        figures = take_step(trainer, batch)
    return [figures.cpu(), *(w.grad.cpu() for w in trainer.weights if w.ndim > 1)]


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


class Setting(NamedTuple):
    config: M2BertConfig
    songs: Songs
    device: torch.device
    precision: str


Step = Callable[[], object]
Steps = dict[str, tuple[Form, Callable[[], Step]]]
"""By the row's name: how local layers are computed, and a function that makes the step."""


def add_rows(record: dict, steps: Steps, setting: Setting, batch: dict, repeats: int) -> None:
    """Measure some steps; one that fails (it needs more memory, say) does not cost the others."""
    size = len(batch["notes"])
    for name, (form, prepare) in steps.items():
        try:
            with local_attention(form):
                row = measure(name, size, prepare(), repeats, setting.device)
            record["rows"].append(row)
            print(line(row, setting.config, record["peak_flops"]))
        except Exception as error:
            record["failed"].append(f"{size} x {LENGTH}, {name}: {described(error)}")
            print(record["failed"][-1])


def steps_of(name: str, form: Form, setting: Setting, batch: dict) -> Steps:
    make = partial(new_trainer, setting.config, setting.device, setting.precision, form)
    steps: Steps = {name: (form, lambda: partial(take_step, make(), batch))}
    if name == "compiled":
        prepare = partial(loading_step, make, setting.songs, batch)
        steps["compiled, with its loader"] = (form, prepare)
    return steps


def original_steps(setting: Setting, batch: dict) -> Steps:
    prepare = partial(original, setting.config, batch, setting.device)
    return {
        "the original's step": (Form(), partial(prepare, paced=False)),
        "the original's step, its loader": (Form(), partial(prepare, paced=True)),
    }


def loading_step(make: Callable[[], Trainer], songs: Songs, batch: dict) -> Callable[[], object]:
    trainer = make()
    loaded = endless(songs, len(batch["notes"]), trainer.device)
    return lambda: take_step(trainer, next(loaded))


def new_trainer(
    config: M2BertConfig, device: torch.device, precision: str, form: Form, lr: float = 2e-5
) -> Trainer:
    torch.manual_seed(0)
    torch.compiler.reset()  # else what was compiled for another batch would be made to fit this one
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


def original(config: M2BertConfig, batch: dict, device: torch.device, paced: bool) -> Callable:
    """The original computes in fp32, with tf32 products where a GPU has them."""
    torch.manual_seed(0)
    model = M2BertForPreTraining(config).to(device).train()
    optimisers = original_step.optimisers_of(model)
    prepared = original_step.prepare(batch)
    loader = original_step.PacedLoader(prepared)

    def step() -> None:
        torch.set_float32_matmul_precision("medium")
        original_step.train_step(model, optimisers, loader.next() if paced else prepared)
        torch.set_float32_matmul_precision("highest")

    return step


def endless(songs: Songs, batch_size: int, device: torch.device):
    """Batches through the real loader, epoch after epoch."""
    epoch = 0
    while True:
        epoch += 1
        draws = draw_segments(np.arange(SONGS), songs.lengths, LENGTH, 0, epoch, shuffle=True)
        batches = Batches(songs, draws, batch_size, LENGTH, mask_percent=0.3)
        yield from load_batches(batches, 0, workers=0, pin_memory=device.type == "cuda")


def measure(name: str, batch_size: int, step: Callable, repeats: int, device: torch.device) -> dict:
    """Seconds of a step, and the device's memory at its fullest."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(min(WARM_UP, repeats)):
        step()
    wait()
    begin = perf_counter()
    for _ in tqdm(range(repeats), name, leave=False, disable=None, ncols=80):
        step()
    issued = perf_counter() - begin  # until the host has nothing more to ask for
    wait()
    seconds = (perf_counter() - begin) / repeats
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return {
        "step": name,
        "batch_size": batch_size,
        "seconds": seconds,
        "host_seconds": issued / repeats,
        "notes_per_second": batch_size * LENGTH / seconds,
        "device_gigabytes": memory / 1e9,
    }


def line(row: dict, config: M2BertConfig, peak: float | None) -> str:
    text = f"{row['batch_size']:>3} x {LENGTH}  {row['step']:<32}"
    text += f"{1000 * row['seconds']:9.1f} ms  host {1000 * row['host_seconds']:9.1f} ms"
    text += f"{row['notes_per_second']:12,.0f} notes/s"
    if peak:
        share = row["notes_per_second"] * training_flops_per_note(config, LENGTH) / peak
        text += f"  {share:6.1%} of peak  {row['device_gigabytes']:6.1f} GB"
    return text


if __name__ == "__main__":
    run_command(main)
