"""The fraction of onsets on a beat grid."""

import numpy as np
import pytest

from m2bert.notes.grid import fraction_on_grid

SIXTEENTHS = np.arange(400) / 4


@pytest.mark.parametrize("phase", [0, 0.02, 0.1, 0.125, 0.249])
def test_fraction_on_grid_ignores_a_phase(phase):
    assert fraction_on_grid(SIXTEENTHS + phase) == 1


def test_fraction_on_grid_accepts_a_fiftieth_of_a_beat():
    for away, fraction in ((0.019, 1), (0.021, 1 / 2)):
        moved = SIXTEENTHS + np.where(np.arange(400) % 2, away, -away)
        assert fraction_on_grid(moved[::-1]) == pytest.approx(fraction)


def test_fraction_on_grid_counts_simultaneous_onsets_once():
    onsets = [0.0] * 98 + [1.1, 2.3]
    assert fraction_on_grid(np.array(onsets)) == pytest.approx(1 / 3)
