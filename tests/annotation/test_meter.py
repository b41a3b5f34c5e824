"""The beats and bars that a file writes."""

import numpy as np
import pytest

from m2bert.annotation.meter import Beats, bar_starts, beat_lines, written_beats


def numbers_of(signatures, end, ticks_per_beat=480):
    bars = bar_starts(signatures, ticks_per_beat, end)
    ticks, numbers = written_beats(bars, end, signatures, ticks_per_beat)
    return ticks.tolist(), numbers.tolist()


@pytest.mark.parametrize(
    ("signatures", "end", "ticks", "numbers"),
    [
        ([], 1000, [0, 480, 960], [1, 2, 3]),
        ([(3, 4, 0)], 2400, [0, 480, 960, 1440, 1920], [1, 2, 3, 1, 2]),
        ([(6, 8, 0)], 2880, [0, 720, 1440, 2160], [1, 2, 1, 2]),
        ([(3, 8, 0)], 1200, [0, 240, 480, 720, 960], [1, 2, 3, 1, 2]),
        ([(2, 2, 0)], 1920, [0, 960], [1, 2]),
        ([(5, 8, 0)], 1440, [0, 240, 480, 720, 960, 1200], [1, 2, 3, 4, 5, 1]),
        (
            [(3, 4, 0), (2, 4, 1440)],
            3000,
            [0, 480, 960, 1440, 1920, 2400, 2880],
            [1, 2, 3, 1, 2, 1, 2],
        ),
        ([(3, 4, 960)], 3000, [0, 480, 960, 1440, 1920, 2400, 2880], [2, 3, 1, 2, 3, 1, 2]),
        ([(1, 4, 0), (3, 4, 480)], 1920, [0, 480, 960, 1440], [3, 1, 2, 3]),  # an upbeat
        ([(3, 4, 0), (3, 4, 9000)], 480, [0], [1]),
    ],
)
def test_written_beats_follow_the_time_signatures(signatures, end, ticks, numbers):
    assert numbers_of(signatures, end) == (ticks, numbers)


def test_written_beats_of_a_score_follow_its_measures():
    bars = np.array([720, 960, 2400, 3000])  # an upbeat of an eighth, a bar of 3/4, one cut short
    ticks, numbers = written_beats(bars, 3480, [(3, 4, 720)], 480)
    assert ticks.tolist() == [960, 1440, 1920, 2400, 2880, 3000]
    assert numbers.tolist() == [1, 2, 3, 1, 2, 1]


def test_onto_beats_moves_notes_that_begin_just_before_a_beat():
    tick = np.array([0, 100, 300, 400])
    beats = Beats(tick, tick / 100, np.array([1, 2, 3, 1]), is_decoded=True)
    found = beats.onto_beats(np.array([0, 94, 95, 99, 105, 291, 290, 289, 399, 420]))
    assert found.tolist() == [0, 94, 100, 100, 105, 300, 300, 289, 400, 420]
    assert beats.places(found).tolist()[-2:] == [1, 1.2]


def test_beat_lines_have_a_time_and_a_number():
    assert beat_lines([0.5, 1.25], [4, 1]) == "0.500\t4\n1.250\t1\n"
