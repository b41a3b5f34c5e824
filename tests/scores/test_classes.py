"""Confusion matrices over the runs of a task, and the scores of its classes."""

import numpy as np
import pytest

from m2bert.base.errors import UserError
from m2bert.scores.classes import class_table, confusions
from m2bert.scores.results import read_results
from tests.helpers.result_samples import write_result


def test_class_scores_are_those_of_all_runs_together(tmp_path):
    cells = {2021: [[1, 1, 5], [3, 1, 2]], 2022: [[1, 1, 1], [9, 9, 4], [1, 2, 7]]}
    names = {1: "melody", 2: "bridge", 3: "accompaniment", 9: "class 9"}  # 9 is not the task's own
    for seed, confusion in cells.items():
        used = {label for true, predicted, _ in confusion for label in (true, predicted)}
        per_class = [{"label": label, "name": names[label]} for label in used]
        write_result(tmp_path, "melody", seed, None, 0.5, confusion=confusion, per_class=per_class)
    results = read_results(tmp_path)
    found, counts = confusions(results)["melody"]
    assert found == list(names.values())
    expected = [[6, 7, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 4]]
    np.testing.assert_array_equal(counts, expected)

    scores = dict(class_table(results, tmp_path).cells())
    assert scores == {
        "": ["ME"] * 4,
        "task": ["melody"] * 4,
        "class": found,
        "precision": ["0.750", "0.000", "", "1.000"],
        "recall": ["0.462", "", "0.000", "1.000"],
        "F1": ["0.571", "0.000", "0.000", "1.000"],
        "support": ["13", "0", "2", "4"],
    }


@pytest.mark.parametrize("confusion", [[[1, 2]], [[1, 99, 4]], [["a", 1, 1]], [None]])
def test_a_malformed_matrix_is_named(tmp_path, confusion):
    write_result(tmp_path, "melody", 2021, None, 0.5, confusion=confusion)
    with pytest.raises(UserError, match="melody seed 2021 is malformed"):
        confusions(read_results(tmp_path))
