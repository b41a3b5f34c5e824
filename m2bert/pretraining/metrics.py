"""Metrics of steps and epochs: losses and accuracies by name, speed, fraction of the GPU's peak."""

import time

import torch
from torch import Tensor

from m2bert.model.config import M2BertConfig
from m2bert.model.encoder import training_flops_per_note
from m2bert.notes.cp import FIELDS, VOCABULARY_SIZES

DECIMALS = 3

_FIELDS = [field.lower() for field in FIELDS]


class Speedometer:
    """Adds up the metrics of steps, on the device, until `read` returns their means.

    length: notes of a segment; peak: FLOP/s of one of `processes` devices, if known.
    """

    def __init__(self, config: M2BertConfig, length: int, processes: int, peak: float | None):
        self.flops_per_note = training_flops_per_note(config, length)
        self.peak = peak * processes if peak else None
        self.restart()

    def restart(self) -> None:
        """Set all sums to zero and start the clock."""
        self._metrics: Tensor | float = 0.0
        self._notes, self._steps, self._begun = 0.0, 0, time.perf_counter()

    def add(self, metrics: Tensor, notes: float) -> None:
        """Add a step: its metrics (a tensor on the device) and the notes of the global batch."""
        self._metrics = self._metrics + metrics
        self._notes += notes
        self._steps += 1

    def read(self) -> tuple[dict[str, float], dict[str, float]]:
        """Mean metrics and speed since the last reading; waits for the device."""
        assert isinstance(self._metrics, Tensor)  # there was a step
        metrics = name_metrics(self._metrics / self._steps)
        seconds = time.perf_counter() - self._begun
        speed = {
            "notes_per_second": round(self._notes / seconds, 1),
            "seconds_per_step": round(seconds / self._steps, 4),
        }
        if self.peak:
            flops = self._notes / seconds * self.flops_per_note
            speed["share_of_peak"] = round(flops / self.peak, 4)
        self.restart()
        return metrics, speed


def measure_peak(device: torch.device, precision: str) -> float | None:
    """FLOP/s of large matrix products on a GPU, measured (a few ms); None on a CPU."""
    if device.type != "cuda":
        return None
    size, repeats = 8192, 10
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    a, b = torch.randn(2, size, size, device=device, dtype=dtype).unbind()
    torch.mm(a, b)
    begin.record()
    for _ in range(repeats):
        torch.mm(a, b)
    end.record()
    end.synchronize()
    del a, b
    torch.cuda.empty_cache()
    return repeats * 2 * size**3 / (begin.elapsed_time(end) / 1000)


def name_metrics(metrics: Tensor) -> dict[str, float]:
    """Give the entries of `Trainer`'s metrics their names; waits for the device."""
    terms = ["pianoroll_loss"] if len(metrics) > 1 + 2 * len(_FIELDS) else []
    names = ["loss", *(f"{f}_loss" for f in _FIELDS), *terms, *(f"{f}_acc" for f in _FIELDS)]
    return dict(zip(names, metrics.tolist(), strict=True))


def steps_line(record: dict) -> str:
    """An interval of steps in one line: losses, accuracies, speed."""
    losses = [f"{field} {record[f'{field}_loss']:.3f}" for field in _FIELDS]
    if "pianoroll_loss" in record:
        losses.append(f"pianoroll {record['pianoroll_loss']:.2f}")
    accuracies = " ".join(f"{record[f'{field}_acc']:.3f}" for field in _FIELDS)
    line = f"loss {record['loss']:.3f} ({', '.join(losses)}), acc [{accuracies}]"
    line += f", {record['notes_per_second']:,.0f} notes/s"
    peak = record.get("share_of_peak")
    return line if peak is None else f"{line}, {peak:.1%} of measured peak"


def epoch_record(train: Tensor, valid: Tensor) -> dict:
    """The record of an epoch, from the mean metrics of its batches (docs/METHOD.md, "Training")."""
    record: dict = {}
    named = {"train": name_metrics(train), "valid": name_metrics(valid)}
    for part, metrics in named.items():
        record[f"{part}_loss"] = round(metrics["loss"], DECIMALS)
        record[f"{part}_acc"] = [round(metrics[f"{f}_acc"], DECIMALS) for f in _FIELDS]
    weighted = zip(record["valid_acc"], VOCABULARY_SIZES, strict=True)
    score = sum(accuracy * size for accuracy, size in weighted) / sum(VOCABULARY_SIZES)
    return {**record, "score": score, **named}


def log_line(record: dict) -> str:
    """The record of an epoch in the original's format."""
    names = ("train_loss", "train_acc", "valid_loss", "valid_acc")
    return f"Epoch {record['epoch']}: " + ", ".join(f"{name}={record[name]}" for name in names)
