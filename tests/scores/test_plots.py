"""Plots of results, read back from matplotlib's axes."""

import numpy as np
import pytest

from m2bert.scores.plots import confusion_figure, scores_figure
from m2bert.tasks import TASKS

NONE = dict.fromkeys(("mean", "sd", "majority", "published_proposed"))


def test_confusion_figure_shows_fractions_of_the_true_class():
    counts = np.array([[6, 7, 0], [0, 0, 0], [2, 0, 4]])
    names = ["melody", "$bridge$", "accompaniment"]
    axes = confusion_figure(TASKS["melody"], names, counts).axes[0]
    fractions = axes.images[0].get_array().filled(np.nan)
    np.testing.assert_allclose(fractions, [[6 / 13, 7 / 13, 0], [np.nan] * 3, [1 / 3, 0, 2 / 3]])
    assert [text.get_text() for text in axes.texts] == ["0.46", "0.54", "0.33", "0.67"]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["melody", r"\$bridge\$", "accompaniment"]
    assert axes.get_title() == "ME melody, 3 classes"


@pytest.mark.parametrize(
    ("classes", "has_values", "has_names"),
    [(12, True, True), (13, False, True), (46, False, False)],
)
def test_confusion_figure_of_many_classes_omits_values_and_names(classes, has_values, has_names):
    counts = np.eye(classes, dtype=np.int64)
    axes = confusion_figure(TASKS["violin_all"], ["x"] * classes, counts).axes[0]
    assert (len(axes.texts) > 0, len(axes.get_xticklabels()) > 0) == (has_values, has_names)


def test_scores_figure_has_gaps_where_scores_are_missing():
    rows = [NONE | {"acronym": "BP", "task": "beat"}]
    rows += [NONE | {"acronym": "ME", "task": "melody", "mean": 0.6, "sd": 0.1}]
    (axes,) = scores_figure(rows).axes
    heights = [bar.get_height() for bar in axes.containers[0]]
    np.testing.assert_array_equal(heights, [np.nan, 0.6])
    (spread,) = axes.collections[0].get_segments()[1:]
    np.testing.assert_allclose(spread, [[1, 0.5], [1, 0.7]])
