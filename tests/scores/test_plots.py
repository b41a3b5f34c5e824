"""Pictures: the matrices that are drawn, and that every picture is drawn."""

import sys

import numpy as np
import pytest

from m2bert.base.errors import UserError
from m2bert.scores.plots import plot_comparison, plot_confusions, plot_scores, sum_confusions
from m2bert.scores.results import read_results
from m2bert.scores.table import score_rows
from m2bert.tasks import TASKS
from tests.helpers.result_samples import write_result


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 2000


def test_confusions_are_added_up_over_runs(tmp_path):
    classes = TASKS["melody"].classes
    present = [{"label": label, "name": classes[label]} for label in (1, 2, 3)]
    cells = {2021: [[1, 1, 5], [3, 1, 2]], 2022: [[1, 1, 1], [3, 3, 4], [1, 2, 7]]}
    for seed, confusion in cells.items():
        used = present[:1] + present[2:] if seed == 2021 else present
        write_result(tmp_path, "melody", seed, None, 0.5, confusion=confusion, per_class=used)
    names, counts = sum_confusions(read_results(tmp_path))
    assert names == ["melody", "bridge", "accompaniment"]
    np.testing.assert_array_equal(counts, [[6, 7, 0], [0, 0, 0], [2, 0, 4]])
    assert counts.dtype == np.int64


def test_classes_beyond_the_tasks_own_have_the_names_in_the_result(tmp_path):
    present = [{"label": 9, "name": "class 9"}]
    write_result(tmp_path, "melody", 2021, None, 0.5, confusion=[[9, 9, 3]], per_class=present)
    names, counts = sum_confusions(read_results(tmp_path))
    assert names == ["class 9"]
    assert counts.tolist() == [[3]]


@pytest.mark.parametrize("confusion", [[[1, 2]], [[1, 99, 4]], [["a", 1, 1]], [None]])
def test_a_damaged_matrix_is_named(tmp_path, confusion):
    write_result(tmp_path, "melody", 2021, None, 0.5, confusion=confusion)
    with pytest.raises(UserError, match="melody seed 2021 is damaged"):
        plot_confusions(read_results(tmp_path), tmp_path)


def test_every_kind_of_task_is_drawn(tmp_path):
    for task in ("melody", "localkey", "violin_all"):
        write_result(tmp_path, task, 2021, None, 0.5)
    write_result(tmp_path, "composer", 2021, 1, 0.5)
    plot_confusions(read_results(tmp_path), tmp_path / "plots")
    drawn = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in drawn] == [
        "confusion_composer.png",
        "confusion_localkey.png",
        "confusion_melody.png",
        "confusion_violin_all.png",
    ]
    assert all(map(is_picture, drawn))


def test_scores_and_differences_are_drawn_with_gaps(tmp_path):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    plot_scores(score_rows(read_results(tmp_path)), tmp_path / "scores.png")
    row = {"acronym": "ME", "task": "melody", "difference": 0.1, "pairs": 1}
    rows = [
        row | {"interval_low": low, "interval_high": high} for low, high in [(None, None), (0, 1)]
    ]
    plot_comparison(rows, "A: x, B: y", tmp_path / "comparison.png")
    assert is_picture(tmp_path / "scores.png")
    assert is_picture(tmp_path / "comparison.png")


def test_matplotlib_is_asked_for_if_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write_result(tmp_path, "melody", 2021, None, 0.5)
    with pytest.raises(UserError, match="needs matplotlib"):
        plot_confusions(read_results(tmp_path), tmp_path)
