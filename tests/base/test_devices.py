import pytest
import torch

from m2bert.base import devices
from m2bert.base.devices import bf16_gain, choose_precision

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
