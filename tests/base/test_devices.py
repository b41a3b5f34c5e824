import warnings

import pytest
import torch

from m2bert.base.devices import check_device, choose_device, choose_precision
from m2bert.base.errors import UserError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("wanted", "device", "has_bf16", "chosen"),
    [
        (None, CPU, False, "fp32"),
        ("bf16", CPU, False, "bf16"),
        (None, GPU, True, "bf16"),
        (None, GPU, False, "fp32"),
        ("fp32", GPU, True, "fp32"),
    ],
)
def test_choose_precision_uses_bf16_on_gpus_that_have_it(
    monkeypatch, wanted, device, has_bf16, chosen
):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: has_bf16)
    assert choose_precision(wanted, device) == chosen


@pytest.mark.parametrize(
    ("warning", "reason"),
    [
        (None, None),
        ("The NVIDIA driver on your system is too old", "its driver is too old for torch"),
        ("CUDA unknown error", "its driver gives an error"),
    ],
)
def test_choose_device_warns_of_a_gpu_that_torch_cannot_use(monkeypatch, capsys, warning, reason):
    def is_available() -> bool:
        if warning:
            warnings.warn(warning, stacklevel=1)
        return False

    monkeypatch.setattr("torch.cuda.is_available", is_available)
    assert choose_device(cpu=False, warn=False) == CPU
    assert capsys.readouterr().out == ""
    assert choose_device(cpu=False) == CPU
    printed = capsys.readouterr().out
    expected = f"warning: the GPU cannot be used ({reason})" if reason else ""
    assert printed[: len(expected) or None] == expected


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("CUDA error: no kernel image is available"), "does not support the old card"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory is used by other programs"),
        (RuntimeError("CUDA-capable device(s) is/are busy"), "the GPU does not respond"),
    ],
)
def test_check_device_rejects_a_gpu_that_does_not_compute(monkeypatch, error, sentence):
    def ones(*_, **__):
        raise error

    monkeypatch.setattr("torch.ones", ones)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "old card")
    with pytest.raises(UserError, match=sentence) as raised:
        check_device(GPU)
    assert "--cpu" in str(raised.value)
    assert "CUDA" not in str(raised.value)
