"""Comparisons: pairs, intervals, and results that cannot be compared."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from m2bert.base.errors import UserError
from m2bert.scores.comparison import compare_scores, comparison_rows, comparison_table
from m2bert.scores.results import read_results
from tests.helpers.result_samples import SETTINGS, write_policy, write_result


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("a", "b", "difference", "low", "high"),
    [
        ([0.0, 0.0], [1.0, 3.0], 2.0, -10.706205, 14.706205),  # t is 12.706205 at 1 degree
        ([0.1, 0.2, 0.3], [0.3, 0.4, 0.5], 0.2, 0.2, 0.2),
        ([0.5], [0.75], 0.25, None, None),
    ],
)
def test_compare_scores(a, b, difference, low, high):
    assert compare_scores(a, b) == {
        "mean_a": round(np.mean(a), 6),
        "mean_b": round(np.mean(b), 6),
        "difference": difference,
        "interval_low": low,
        "interval_high": high,
        "pairs": len(a),
    }


@pytest.fixture
def folders(tmp_path):
    scores = {"melody": 0.5, "composer": 0.6, "violin_all": 0.4}
    a, b = tmp_path / "scratch", tmp_path / "pretrained"
    settings = SETTINGS | {"pretrained": False, "checkpoint_sha256": None}
    write_policy(a, scores, np.random.default_rng(0), settings=settings, checkpoint=None)
    write_policy(b, scores, np.random.default_rng(1))
    return a, b


def table_of(a, b):
    return comparison_table(read_results(a), read_results(b), a, b)


def pairs(rows):
    return {row["task"]: row["pairs"] for row in rows}


def test_comparison_pairs_runs_by_seed_and_fold(folders):
    a, b = map(read_results, folders)
    rows = comparison_rows(a, b)
    assert pairs(rows) == {"melody": 2, "composer": 10, "violin_all": 4}
    for row in rows:
        runs = [run for run in a if run.task == row["task"]]
        gains = [b[run]["test_score"] - a[run]["test_score"] for run in runs]
        assert row["difference"] == pytest.approx(np.mean(gains), abs=1e-6)
        assert row["interval_low"] < row["difference"] < row["interval_high"]


def test_interval_over_pieces_equals_that_of_scipy(tmp_path):
    generator = np.random.default_rng(0)
    notes = generator.integers(50, 2000, 80)
    right = [generator.binomial(notes, generator.beta(8, 2, 80)) for _ in "ab"]
    for name, its in zip("ab", right, strict=True):
        pieces = np.stack([its, notes], 1).tolist()
        write_result(tmp_path / name, "melody", 2021, None, 0.5, test_pieces=pieces)
    (row,) = table_of(tmp_path / "a", tmp_path / "b").records

    def difference(a, b, notes, axis):
        return (b.sum(axis) - a.sum(axis)) / notes.sum(axis)

    options = {"paired": True, "method": "percentile", "rng": 1, "n_resamples": 10_000}
    expected = bootstrap((*right, notes), difference, **options).confidence_interval
    assert (row["pieces_low"], row["pieces_high"]) == pytest.approx(expected, abs=0.003)
    assert row["interval_low"] is None  # of a single pair


def test_interval_over_pieces_draws_seeds_together_and_folds_apart(tmp_path):
    """Two seeds with the same predictions are no more certain than one; five folds are."""
    right, width = np.arange(200) % 2, {}
    for task, folds in (("melody", [None]), ("composer", range(5))):
        for seed in (2021, 2022):
            for fold in folds:
                for name, its in (("a", right), ("b", np.ones(200, int))):
                    pieces = [[int(value), 1] for value in its]
                    write_result(tmp_path / name, task, seed, fold, 0.5, test_pieces=pieces)
    for row in table_of(tmp_path / "a", tmp_path / "b").records:
        width[row["task"]] = row["pieces_high"] - row["pieces_low"]
    assert width["melody"] == pytest.approx(3.92 * (0.25 / 200) ** 0.5, rel=0.1)
    assert width["composer"] == pytest.approx(width["melody"] / 5**0.5, rel=0.1)


def test_comparison_omits_runs_without_a_pair(folders):
    a, b = folders
    (a / "seed_2022" / "composer_fold_3" / "result.json").unlink()
    (b / "seed_2021" / "melody" / "result.json").unlink()
    (b / "seed_2021" / "violin_all" / "result.json").unlink()
    write_result(b, "velocity", 2021, None, 0.5)
    table = table_of(a, b)
    assert pairs(table.records) == {"melody": 1, "composer": 9, "violin_all": 3}
    assert dict(table.cells())["over runs"][0] == "-"
    assert "only in A, omitted: melody seed 2021; violin_all seed 2021" in table.notes
    assert "only in B, omitted: composer seed 2022 fold 3; velocity seed 2021" in table.notes


def test_comparison_names_folders_and_settings(folders):
    table = table_of(*folders)
    assert [title for title, _ in table.columns[3:5]] == ["A: scratch", "B: pretrained"]
    assert str(folders[0]) in table.heading
    assert table.notes[-2] == "checkpoints: A none (random weights); B runs/base/model_best"
    assert table.notes[-1] == (
        "settings of A and B: checkpoint_sha256 None and 5d41402abc4b2a76; "
        "pretrained False and True"
    )
    same = table_of(folders[0], folders[0])
    assert same.notes[-1] == "settings of A and B: the same"


def test_comparison_rejects_other_test_data_and_no_pairs(folders):
    a, b = folders
    test = {"segments": 9, "notes": 9000, "crc32": "00000000"}
    write_result(b, "melody", 2021, None, 0.5, data={"test": test})
    write_result(b, "melody", 2022, None, 0.5, data={"test": test})
    with pytest.raises(UserError, match=r"tested melody seed 2021 on different data .*crc32"):
        table_of(a, b)
    write_result(b / "c", "melody", 7, None, 0.5)
    with pytest.raises(UserError, match=r"the runs are composer seed .* in one, melody seed 7 in"):
        table_of(a, b / "c")
