import argparse
import sys

import pytest

from m2bert.base.arguments import (
    command_line,
    fraction,
    non_negative_int,
    not_negative,
    positive,
    positive_int,
    seed,
)


@pytest.mark.parametrize(
    ("convert", "good", "bad"),
    [
        (non_negative_int, {"0": 0, "12": 12}, ["-1", "1.5", "", "9" * 5000, "\u0661"]),
        (positive_int, {"1": 1}, ["0", "2000000000"]),
        (seed, {"0": 0, str(2**63 - 1): 2**63 - 1}, [str(2**63), "18446744073709551616"]),
        (fraction, {"0": 0, "0.99": 0.99}, ["1", "1.5", "-0.1", "nan", "x"]),
        (not_negative, {"0": 0, "2.5": 2.5}, ["-1", "inf", "nan"]),
        (positive, {"1e-3": 1e-3}, ["0", "inf", "nan"]),
    ],
)
def test_converters_of_numbers_have_limits(convert, good, bad):
    assert {text: convert(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            convert(text)


def test_command_line_has_files_whose_names_begin_with_a_dash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-song.mid").touch()
    monkeypatch.setattr(sys, "argv", ["annotate", "-song.mid", "--cpu", "-h"])
    assert command_line() == ["./-song.mid", "--cpu", "-h"]
