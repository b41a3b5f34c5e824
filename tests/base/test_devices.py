import warnings

import pytest
import torch

from m2bert.base import devices
from m2bert.base.devices import (
    bf16_gain,
    check_device,
    choose_device,
    choose_precision,
    enough_memory,
)
from m2bert.base.errors import UserError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("wanted", "gain", "chosen", "said"),
    [
        (None, 9.0, "fp32", None),
        ("fp32", 9.0, "fp32", None),
        ("auto", 1.5, "bf16", "precision: bf16 (a matrix product in bf16 is 1.5 times quicker"),
        ("auto", 1.1, "fp32", "precision: fp32 (a matrix product in bf16 is 1.1 times quicker"),
        ("auto", 0.1, "fp32", "precision: fp32 (a matrix product in bf16 is 10.0 times slower"),
        ("bf16", 1.5, "bf16", None),
        ("bf16", 0.02, "bf16", "warning: on this CPU bf16 is 50.0 times slower than fp32"),
    ],
)
def test_precision_on_a_cpu(monkeypatch, wanted, gain, chosen, said):
    monkeypatch.setattr(devices, "bf16_gain", lambda: gain)
    lines: list[str] = []
    assert choose_precision(wanted, CPU, lines.append) == chosen
    assert [line.startswith(said or "") for line in lines] == [True] * (said is not None)


def test_the_gain_is_a_ratio_of_least_seconds(monkeypatch):
    seconds = iter([[4, 6, 5], [2, 3, 3]])
    monkeypatch.setattr(devices.timeit, "repeat", lambda *_, **__: next(seconds))
    assert bf16_gain(size=2) == 4 / 2


@pytest.mark.parametrize(
    ("warning", "said"),
    [
        (None, []),
        ("The NVIDIA driver on your system is too old", ["its driver is too old for this torch"]),
        ("CUDA unknown error", ["its driver gives an error"]),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_spoken_of(monkeypatch, warning, said):
    def is_available() -> bool:
        if warning:
            warnings.warn(warning, stacklevel=1)
        return False

    monkeypatch.setattr("torch.cuda.is_available", is_available)
    lines: list[str] = []
    assert choose_device(cpu=False, say=lines.append) == CPU
    assert [why in line for why, line in zip(said, lines, strict=True)] == [True] * len(said)
    assert all(line.startswith("warning: the GPU cannot be used (") for line in lines)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("CUDA error: no kernel image is available"), "has no code for the old card"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory is taken by other programs"),
        (RuntimeError("CUDA-capable device(s) is/are busy"), "the GPU does not answer"),
    ],
)
def test_a_gpu_that_does_not_compute_is_refused(monkeypatch, error, sentence):
    def ones(*_, **__):
        raise error

    monkeypatch.setattr("torch.ones", ones)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "old card")
    with pytest.raises(UserError, match=sentence) as raised:
        check_device(torch.device("cuda"))
    assert "--cpu" in str(raised.value)
    assert "CUDA" not in str(raised.value)


def test_too_little_memory_is_one_sentence():
    sentence = "the GPU's memory is too small: take less"
    with pytest.raises(UserError, match=sentence), enough_memory("take less"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    ("wanted", "has_bf16", "chosen", "said"),
    [
        (None, True, "bf16", []),
        (None, False, "fp32", []),
        ("auto", False, "fp32", []),
        ("bf16", False, "bf16", ["warning: this GPU has no bf16"]),
        ("fp32", True, "fp32", []),
    ],
)
def test_precision_on_a_gpu(monkeypatch, wanted, has_bf16, chosen, said):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: has_bf16)
    lines: list[str] = []
    assert choose_precision(wanted, torch.device("cuda"), lines.append) == chosen
    assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said
