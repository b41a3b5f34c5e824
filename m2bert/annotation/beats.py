"""Beats and downbeats of a performance, decoded over the piece from the models' probabilities.

A state of the decoder is a beat at some frame, the period before it and its place in a bar. Scores
and costs are logarithms of probabilities, tuned on the validation pieces of `benchmarks.beats`.
"""

import numpy as np

METERS = (2, 3, 4)
"""The numbers of beats that a decoded bar can have."""

FRAME = 0.025
"""The resolution of the decoder, in seconds."""

PERIODS = np.arange(8, 53)
"""The times from one beat to the next, in frames: .2 to 1.3 seconds."""

NEIGHBOURS = 5
"""The most frames by which a period differs from the one before."""

CHORD, REACH, NEAR, SILENCE = 0.03, 1, 0.05, 10.0
"""Onsets less than `CHORD` seconds apart are one. A beat has the scores of an onset up to `REACH`
frames away, and is moved to one up to `NEAR` seconds away. After `SILENCE` seconds without an onset
the beats are decoded separately."""

BEAT_BIAS, BEAT_WEIGHT, DOWNBEAT_BIAS, DOWNBEAT_WEIGHT = 0.23, 0.65, 0.6, 1.15
"""A beat at an onset scores bias + weight x logit of the model's probability; a downbeat has both
scores."""

NO_ONSET = (-2.0, -3.3)
"""The scores of a beat and of a downbeat at which no note begins."""

USUAL_PERIOD, PERIOD_WIDTH = 0.61, 1.5
"""The prior of the period: the median in seconds, and the width as a logarithm."""

USUAL_BAR, BAR_WIDTH = 1.4, 0.7
"""The prior of the duration of a bar: the median in seconds, and the width as a logarithm."""

TRIPLET = 1.5
"""The cost of an onset at a third or two thirds of a beat: where there are many, the beats of a bar
of three are being taken for triplets."""

TEMPO_CHANGE, METER_CHANGE, CUT_BAR = 29.0, 11.0, 15.0
"""Costs: of a change of the period, times its logarithm; of another meter; of a bar cut short."""


def decode_beats(
    seconds: np.ndarray, beat: np.ndarray, downbeat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable beats of a performance: their times in seconds, float64 (beats,), and their
    numbers in the bar from 1, int64 (beats,).

    seconds: the onsets of the notes, (notes,), in any order; beat, downbeat: the probabilities
    that each is on a beat and on a downbeat.
    """
    if not len(seconds):
        return np.empty(0), np.empty(0, np.int64)
    onsets, scores = _onset_scores(seconds, beat, downbeat)
    after_silence = np.flatnonzero(np.diff(onsets) > SILENCE) + 1
    parts = zip(np.split(onsets, after_silence), np.split(scores, after_silence), strict=True)
    times, numbers = zip(*(_decode(*part) for part in parts), strict=True)
    return np.concatenate(times), np.concatenate(numbers)


def _onset_scores(
    seconds: np.ndarray, beat: np.ndarray, downbeat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The onsets, (onsets,), and the scores of a beat and of a downbeat there, (onsets, 2); of
    simultaneous notes the most probable beat counts."""
    order = np.argsort(seconds, kind="stable")
    times, probabilities = seconds[order], np.stack([beat, downbeat], 1)[order]
    first = np.flatnonzero(np.diff(times, prepend=-np.inf) > CHORD)
    highest = np.clip(np.maximum.reduceat(probabilities, first), 1e-3, 1 - 1e-3)
    on_beat, on_downbeat = np.log(highest / (1 - highest)).T
    scores = BEAT_BIAS + BEAT_WEIGHT * on_beat
    both = scores + DOWNBEAT_BIAS + DOWNBEAT_WEIGHT * on_downbeat
    sizes = np.diff(first, append=len(times))
    return np.add.reduceat(times, first) / sizes, np.stack([scores, both], axis=1)


def _decode(onsets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The beats from the first onset to the last, by Viterbi's algorithm over the frames; as many
    together as the shortest period has, since their beats do not depend on each other."""
    at = np.rint((onsets - onsets[0]) / FRAME).astype(int)
    observed, intervals = _frame_scores(at, scores), _interval_scores(at)
    number = np.concatenate([np.arange(meter) for meter in METERS]) + 1
    to_downbeat, (near, to_period) = _downbeat_costs(), _period_costs()
    downbeats, before = np.flatnonzero(number == 1), np.arange(len(number)) - 1
    observed = observed[:, (number == 1).astype(int)]
    together, longest, every = PERIODS[0], PERIODS[-1], np.arange(len(PERIODS))
    shape = len(observed), len(PERIODS), len(number)
    from_place, from_period = np.empty(shape, np.int8), np.empty(shape, np.int8)
    waiting = np.full((longest + together, *shape[1:]), -np.inf)  # beats of the latest frames
    best, last = -np.inf, (0, 0, 0)
    for begin in range(0, len(observed), together):
        now = slice(begin, begin + together)
        frames = np.arange(len(observed))[now]
        arrived = waiting[(frames[:, np.newaxis] - PERIODS) % len(waiting), every]
        score, from_place[now] = arrived[..., before], before
        arrived = arrived[..., np.newaxis, :] - to_downbeat
        score[..., downbeats] = arrived.max(-1)
        from_place[now][..., downbeats] = arrived.argmax(-1)
        score += intervals[now][..., np.newaxis]
        is_first = (score <= 0) & (frames <= longest)[:, np.newaxis, np.newaxis]
        from_place[now][is_first], score[is_first] = -1, 0
        score += observed[now][:, np.newaxis]
        moved = score[:, near] - to_period[:, :, np.newaxis]
        from_period[now] = moved.argmax(2)
        waiting[frames % len(waiting)] = moved.max(2)
        ends = score[frames >= len(observed) - longest]
        if len(ends) and ends.max() > best:
            end, *state = np.unravel_index(ends.argmax(), ends.shape)
            best, last = ends.max(), (frames[end - len(ends)], *state)
    frame, period, place = last
    beats = [(frame, place)]
    while (came := from_place[frame, period, place]) >= 0:
        frame, place = frame - PERIODS[period], came
        period = near[period, from_period[frame, period, place]]
        beats.append((frame, place))
    frames, places = np.array(beats[::-1]).T
    return _moved_to_onsets(onsets[0] + frames * FRAME, onsets), number[places]


def _frame_scores(at: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The scores of a beat and of a downbeat at each frame, (frames, 2). at: the onsets' frames."""
    found = np.full((at[-1] + 1 + 2 * REACH, 2), -np.inf)
    for shift in range(2 * REACH + 1):
        np.maximum.at(found, at + shift, scores)
    found = found[REACH : len(found) - REACH]
    return np.where(np.isinf(found), NO_ONSET, found)


def _interval_scores(at: np.ndarray) -> np.ndarray:
    """The scores of the interval of each period that ends at each frame, (frames, periods)."""
    has_onset = np.bincount(at, minlength=at[-1] + 1) > 0
    scores = np.empty((len(has_onset), len(PERIODS)))
    for place, period in enumerate(PERIODS):
        phase = np.arange(period) / period
        triplet = sum(np.maximum(1 - 12 * np.abs(phase - third / 3), 0) for third in (1, 2))
        scores[:, place] = -TRIPLET * np.convolve(has_onset, triplet)[: len(has_onset)]
    ratio = PERIODS * FRAME / USUAL_PERIOD
    return scores - ratio * (np.log(ratio) / PERIOD_WIDTH) ** 2 / 2


def _downbeat_costs() -> np.ndarray:
    """The costs from each place of a bar to the downbeat of each meter, (periods, meters, places);
    to other beats there is a way only from the one before."""
    last = np.cumsum(METERS) - 1
    costs = np.full((len(METERS), sum(METERS)), CUT_BAR)
    costs[:, last] = METER_CHANGE
    costs[np.arange(len(METERS)), last] = 0
    bars = np.outer(PERIODS * FRAME, METERS)
    of_bars = np.zeros((len(PERIODS), sum(METERS)))
    of_bars[:, last] = (np.log(bars / USUAL_BAR) / BAR_WIDTH) ** 2 / 2
    return costs + of_bars[:, np.newaxis]


def _period_costs() -> tuple[np.ndarray, np.ndarray]:
    """The periods before each period, as places in `PERIODS`, and their costs, (periods, n)."""
    near = np.arange(len(PERIODS))[:, np.newaxis] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    outside = (near < 0) | (near >= len(PERIODS))
    near = near.clip(0, len(PERIODS) - 1)
    costs = TEMPO_CHANGE * np.abs(np.log(PERIODS[near] / PERIODS[:, np.newaxis]))
    return near, np.where(outside, np.inf, costs)


def _moved_to_onsets(times: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """The times of beats, at the nearest onset if one is near."""
    after = np.searchsorted(onsets, times).clip(max=len(onsets) - 1)
    around = onsets[np.stack([np.maximum(after - 1, 0), after])]
    nearest = np.take_along_axis(around, np.abs(around - times).argmin(0)[np.newaxis], 0)[0]
    return np.where(np.abs(nearest - times) <= NEAR, nearest, times)
