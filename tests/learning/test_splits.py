"""Splits of songs."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.learning.splits import groups_of, parts_of, read_split, write_split

NAMES = ["-1.mid", "=2.mid", "a, b/3.mid"]
PARTS = np.array(["train", "valid", "test"])


def test_read_split_reads_what_write_split_and_spreadsheets_write(tmp_path):
    write_split(tmp_path / "ours.csv", NAMES, PARTS)
    assert (read_split(tmp_path / "ours.csv", NAMES[::-1]) == PARTS[::-1]).all()
    rows = [("part", "file"), *zip(PARTS.tolist(), NAMES, strict=True)]
    (tmp_path / "excel.csv").write_text("\n".join(map(";".join, rows)), encoding="utf-16")
    assert (read_split(tmp_path / "excel.csv", NAMES) == PARTS).all()


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, st.integers(0, 2)), max_size=60).filter(bool))
def test_parts_of_keeps_songs_with_something_in_common_together(songs):
    features = [(("notes", notes), ("source", source)) for notes, source, _ in songs]
    labels = np.array([label for *_, label in songs])
    parts = parts_of(groups_of(features), labels, seed=0)
    for feature in set(chain.from_iterable(features)):
        assert len({part for part, of in zip(parts, features, strict=True) if feature in of}) == 1


def test_parts_of_gives_a_tenth_of_each_class_to_validation_and_test():
    labels = np.repeat([0, 1, 2], [60, 40, 5])
    parts = parts_of(np.arange(len(labels)), labels, seed=0)
    counts = {part: np.bincount(labels[parts == part]).tolist() for part in np.unique(parts)}
    assert counts == {"test": [6, 4, 1], "train": [48, 32, 3], "valid": [6, 4, 1]}


@pytest.mark.parametrize("text", ["part\ntrain", "file,part\n-1.mid,all", "file,part\nb,train"])
def test_read_split_needs_a_part_for_each_song(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(UserError, match=r"has the part .* for -1\.mid: it needs the columns"):
        read_split(tmp_path / "split.csv", NAMES[:1])
