"""How fast is the pre-training step on this GPU, and what does each part of it bring?

python -m benchmarks.gpu_step [--preset base] [--batch_sizes 12 24 48] [--steps 30]

First checks that every form of the step gives the losses and gradients that the plain form gives
on the CPU, then prints a table and writes it as JSON.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks import original_step
from benchmarks.made_up_corpus import write_corpus
from benchmarks.objectives import full_batch
from m2bert.base.arguments import count
from m2bert.base.devices import choose_device, choose_precision
from m2bert.base.errors import UserError, run_command
from m2bert.base.files import write_text
from m2bert.base.processes import Processes
from m2bert.model import attention
from m2bert.model.config import PRESETS, M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining, training_flops_per_note
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.figures import measure_peak
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.segments import Batches, Songs, draw_segments, load_batches
from m2bert.pretraining.step import Trainer

LENGTH, SONGS, SONG_NOTES = 1024, 200, 3000
WARM_UP = 5
SAME = 1e-4
"""The greatest relative difference of losses and gradients, fp32, that is rounding."""

FORMS = {
    "all pairs": {"blocks": False},
    "blocks": {},
    "compiled": {"compile_mode": "default"},
    "captured": {"compile_mode": "reduce-overhead"},
}
"""Forms of our step: local attention over all pairs of notes or in blocks, as it is, through
torch.compile, and through torch.compile with CUDA graphs."""


def main() -> None:
    args = parse_arguments()
    device = choose_device(args.cpu)
    precision = choose_precision(args.precision, device)
    songs = made_up_songs()
    check_forms(songs, device)
    peak = measure_peak(device, precision)
    config = PRESETS[args.preset]
    rows = []
    for size in args.batch_sizes:
        batch = full_batch(songs, size)
        for name, step in steps(config, songs, batch, device, precision):
            rows.append(measure(name, size, step, args.steps, device))
            print(line(rows[-1], config, peak))
    record = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "preset": args.preset,
        "precision": precision,
        "peak_flops": peak,
        "rows": rows,
    }
    write_text(args.out, json.dumps(record, indent=1) + "\n")
    print(f"written to {args.out}")


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


# Checking ------------------------------------------------------------------------------------


def check_forms(songs: Songs, device: torch.device) -> None:
    """Raise `UserError` if a form is not the same computation; fp32, small, without dropout."""
    config = replace(PRESETS["tiny"], dropout=0.0)
    batch = full_batch(songs, 2)
    expected = outcome(config, batch, torch.device("cpu"), blocks=False)
    for name, form in FORMS.items():
        found = outcome(config, batch, device, **form)
        off = [difference(*pair) for pair in zip(found, expected, strict=True)]
        if not all(relative < SAME for relative in off):  # a NaN is not less
            raise UserError(f"the form '{name}' computes something else: {off}")
        print(f"{name:<12} equals the plain form on the CPU: within {max(off):.1e}")


def outcome(
    config: M2BertConfig,
    batch: dict,
    device: torch.device,
    blocks: bool = True,
    compile_mode: str | None = None,
) -> list[torch.Tensor]:
    """Figures and gradients of the third of three steps that change nothing, on the CPU: of a graph
    the first is a warm-up, the second is recorded, and the third replays it."""
    with local_attention(blocks):
        trainer = new_trainer(config, device, "fp32", compile_mode, lr=0.0)
        for _ in range(3):
            figures = take_step(trainer, batch)
    return [figures.cpu(), *(w.grad.cpu() for w in trainer.weights)]


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative to the largest number of a tensor."""
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12)).item()


@contextmanager
def local_attention(blocks: bool):
    """Compute local layers in blocks, or over all pairs of notes."""
    kept = attention.blocks_save_work
    if not blocks:
        attention.blocks_save_work = lambda length, reach: False
    try:
        yield
    finally:
        attention.blocks_save_work = kept


# Measuring -----------------------------------------------------------------------------------


def steps(
    config: M2BertConfig, songs: Songs, batch: dict, device: torch.device, precision: str
) -> list[tuple[str, Callable[[], object]]]:
    """Names of rows and what one step of each is; a row's model is made when its turn comes."""
    new = partial(new_trainer, config, device, precision)
    yield "the original's step, its loader", original(config, batch, device, paced=True)
    yield "the original's step", original(config, batch, device, paced=False)
    for name, form in FORMS.items():
        trainer = new(form.get("compile_mode"))
        with local_attention(form.get("blocks", True)):
            yield name, partial(take_step, trainer, batch)
    trainer = new("default")
    loaded = endless(songs, len(batch["notes"]), device)
    yield "compiled, with its loader", lambda: take_step(trainer, next(loaded))


def new_trainer(
    config: M2BertConfig,
    device: torch.device,
    precision: str,
    compile_mode: str | None,
    lr: float = 2e-5,
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
        compile_mode=compile_mode,
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
        yield from load_batches(batches, 0, workers=1, pin_memory=device.type == "cuda")


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
