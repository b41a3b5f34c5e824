"""Splits of songs."""

import numpy as np
import pytest

from m2bert.base.errors import UserError
from m2bert.learning.splits import read_split, write_split

NAMES = ["-1.mid", "=2.mid", "a, b/3.mid"]
PARTS = np.array(["train", "valid", "test"])


def test_read_split_reads_what_write_split_and_spreadsheets_write(tmp_path):
    write_split(tmp_path / "ours.csv", NAMES, PARTS)
    assert (read_split(tmp_path / "ours.csv", NAMES[::-1]) == PARTS[::-1]).all()
    rows = [("part", "file"), *zip(PARTS.tolist(), NAMES, strict=True)]
    (tmp_path / "excel.csv").write_text("\n".join(map(";".join, rows)), encoding="utf-16")
    assert (read_split(tmp_path / "excel.csv", NAMES) == PARTS).all()


@pytest.mark.parametrize("text", ["part\ntrain", "file,part\n-1.mid,all", "file,part\nb,train"])
def test_read_split_needs_a_part_for_each_song(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(UserError, match=r"has the part .* for -1\.mid: it needs the columns"):
        read_split(tmp_path / "split.csv", NAMES[:1])
