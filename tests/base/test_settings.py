"""Folders that hold results of one set of settings."""

import json
import multiprocessing
from pathlib import Path

import pytest

from m2bert.base.errors import UserError
from m2bert.base.settings import check_settings, claim_folder, differences


def test_claimed_folder_rejects_other_settings(tmp_path):
    folder, settings = tmp_path / "new", {"lr": 0.1, "model": {"layers": 2, "range": (1, 2)}}
    check_settings(folder, settings, "--save_dir")
    claim_folder(folder, settings, "--save_dir")
    claim_folder(folder, settings, "--save_dir")
    other = settings | {"model": {"layers": 3, "range": (1, 2)}}
    for check in (check_settings, claim_folder):
        with pytest.raises(UserError, match=r"model\.layers was 2 and is now 3.*--save_dir"):
            check(folder, other, "--save_dir")
    assert json.loads((folder / "settings.json").read_text())["model"]["layers"] == 2

    with pytest.raises(UserError, match="contains a run of another kind: use another --save_dir"):
        check_settings(folder, {"datasets": ["mine"], "songs": 3, "lr": 0.1}, "--save_dir")


def test_differences_have_dotted_names_and_both_values():
    before = {"same": 1, "gone": 2, "inner": {"a": 3, "b": {"c": 4}}}
    now = {"same": 1, "inner": {"a": 3, "b": {"c": 5}}, "come": 6}
    assert differences(before, now) == [("come", None, 6), ("gone", 2, None), ("inner.b.c", 4, 5)]


def _claim(folder: Path, number: int) -> bool:
    try:
        claim_folder(folder, {"lr": number}, "--save_root")
    except UserError:
        return False
    return True


def test_claim_folder_has_one_winner_among_simultaneous_commands(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        won = pool.starmap(_claim, [(tmp_path, number) for number in range(12)])
    assert sum(won) == 1
    assert json.loads((tmp_path / "settings.json").read_text()) == {"lr": won.index(True)}
