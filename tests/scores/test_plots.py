"""Pictures of results, as they are read back from matplotlib's axes."""

import numpy as np
import pytest

from m2bert.base.errors import UserError
from m2bert.scores import plots
from m2bert.scores.plots import plot_comparison, plot_confusions, plot_scores, sum_confusions
from m2bert.scores.results import read_results
from m2bert.scores.table import score_rows
from m2bert.tasks import TASKS
from tests.helpers.result_samples import write_result


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, by the names of their files."""
    drawn = {}
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.update({path.name: figure}))
    return drawn


def test_confusions_are_added_up_over_runs_and_drawn_as_shares(tmp_path, figures):
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

    plot_confusions(read_results(tmp_path), tmp_path)
    axes = figures["confusion_melody.png"].axes[0]
    shares = axes.images[0].get_array().filled(np.nan)
    expected = [[6 / 13, 7 / 13, 0], [np.nan] * 3, [1 / 3, 0, 2 / 3]]
    np.testing.assert_allclose(shares, expected)
    assert [text.get_text() for text in axes.texts] == ["0.46", "0.54", "0.33", "0.67"]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert axes.get_ylabel() == "true (grey: only predicted)"
    assert axes.get_title() == "ME melody, 2 runs"


def test_classes_beyond_the_tasks_own_have_the_names_in_the_result(tmp_path):
    present = [{"label": 9, "name": "class 9"}]
    write_result(tmp_path, "melody", 2021, None, 0.5, confusion=[[9, 9, 3]], per_class=present)
    assert sum_confusions(read_results(tmp_path)) == (["class 9"], [[3]])


@pytest.mark.parametrize("confusion", [[[1, 2]], [[1, 99, 4]], [["a", 1, 1]], [None]])
def test_a_damaged_matrix_is_named(tmp_path, confusion):
    write_result(tmp_path, "melody", 2021, None, 0.5, confusion=confusion)
    with pytest.raises(UserError, match="melody seed 2021 is damaged"):
        plot_confusions(read_results(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("task", "fold", "has_shares", "has_names"),
    [
        ("melody", None, True, True),
        ("composer", 1, True, True),
        ("localkey", None, False, True),
        ("violin_all", None, False, False),
    ],
)
def test_names_and_shares_of_many_classes_are_left_out(
    tmp_path, figures, task, fold, has_shares, has_names
):
    write_result(tmp_path, task, 2021, fold, 0.5)
    plot_confusions(read_results(tmp_path), tmp_path)
    axes = figures[f"confusion_{task}.png"].axes[0]
    assert (len(axes.texts) > 0, len(axes.get_xticklabels()) > 0) == (has_shares, has_names)


def test_scores_and_differences_are_drawn_with_gaps(tmp_path, figures):
    write_result(tmp_path, "melody", 2021, None, 0.5)
    write_result(tmp_path, "melody", 2022, None, 0.7)
    plot_scores(score_rows(read_results(tmp_path)), tmp_path / "scores.png")
    (axes,) = figures["scores.png"].axes
    place = list(TASKS).index("melody")
    heights = np.array([bar.get_height() for bar in axes.containers[0]])
    assert np.flatnonzero(~np.isnan(heights)).tolist() == [place]
    assert heights[place] == 0.6
    spread = axes.collections[0].get_segments()[place]
    np.testing.assert_allclose(spread, [[place, 0.6 - 0.02**0.5], [place, 0.6 + 0.02**0.5]], 1e-5)

    row = {"acronym": "ME", "task": "melody", "difference": 0.1, "pairs": 1}
    rows = [
        row | {"interval_low": low, "interval_high": high} for low, high in [(None, None), (0, 1)]
    ]
    plot_comparison(rows, "A: x, B: y", tmp_path / "comparison.png")
    (axes,) = figures["comparison.png"].axes
    assert axes.get_title() == "A: x, B: y"
    assert axes.collections[0].get_segments()[-1].tolist() == [[0, 1], [1, 1]]
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[0.1, 0], [0.1, 1]])
