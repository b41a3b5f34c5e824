"""Beats that are decoded from probabilities."""

import numpy as np
import pytest

from m2bert.annotation.beats import decode_beats


def performance(beats, numbers, rng, certainty=0.9):
    """Onsets on the beats and, for the most part, halfway between them, with probabilities."""
    between = (beats[:-1] + beats[1:]) / 2
    between = between[rng.random(len(between)) < 0.8]
    onsets = np.concatenate([beats, between])
    beat = np.concatenate([np.full(len(beats), certainty), np.full(len(between), 1 - certainty)])
    downbeat = np.full(len(onsets), 1 - certainty)
    downbeat[: len(beats)][numbers == 1] = certainty
    return onsets, beat, downbeat


@pytest.mark.parametrize("meter", [2, 3, 4])
@pytest.mark.parametrize("period", [0.45, 0.6, 0.8])
def test_decode_beats_finds_beats_and_meter(meter, period):
    rng = np.random.default_rng(meter)
    beats = 3.0 + period * np.arange(48)
    numbers = np.arange(48) % meter + 1
    onsets, *probabilities = performance(beats, numbers, rng)
    times, found = decode_beats(onsets, *probabilities)
    np.testing.assert_allclose(times, beats, atol=0.03)
    np.testing.assert_array_equal(found, numbers)


def test_decode_beats_follows_a_tempo_that_changes_slowly():
    rng = np.random.default_rng(0)
    beats = np.cumsum(0.6 + 0.15 * np.sin(np.arange(96) / 15))
    numbers = np.arange(96) % 4 + 1
    onsets, *probabilities = performance(beats, numbers, rng)
    times, found = decode_beats(onsets + rng.normal(0, 0.005, len(onsets)), *probabilities)
    np.testing.assert_allclose(times, beats, atol=0.04)
    np.testing.assert_array_equal(found, numbers)


def test_decode_beats_corrects_wrong_probabilities_and_fills_missing_beats():
    rng = np.random.default_rng(1)
    beats = 0.5 * np.arange(64)
    numbers = np.arange(64) % 4 + 1
    onsets, beat, downbeat = performance(beats, numbers, rng)
    beat[5:64:9], downbeat[4:64:16] = 0.2, 0.2
    kept = ~np.isin(np.arange(len(onsets)), [17, 18, 34])
    times, found = decode_beats(onsets[kept], beat[kept], downbeat[kept])
    np.testing.assert_allclose(times, beats, atol=0.03)
    np.testing.assert_array_equal(found, numbers)


def test_decode_beats_makes_one_decision_for_a_spread_chord():
    beats = 0.6 * np.arange(24)
    onsets = (beats[:, None] + [0, 0.01, 0.02]).ravel()
    beat = np.tile([0.9, 0.4, 0.8], 24)
    times, _ = decode_beats(onsets, beat, np.repeat(np.arange(24) % 4 == 0, 3) * 0.8 + 0.1)
    assert len(times) == 24
    np.testing.assert_allclose(times, beats + 0.01, atol=0.011)


def test_decode_beats_leaves_a_long_silence_without_beats():
    beats = np.concatenate([0.5 * np.arange(16), 1e6 + 0.5 * np.arange(16)])
    onsets, *probabilities = performance(beats, np.arange(32) % 4 + 1, np.random.default_rng(2))
    onsets, beat, downbeat = (
        of[onsets != (beats[15] + beats[16]) / 2] for of in (onsets, *probabilities)
    )
    times, _ = decode_beats(onsets, beat, downbeat)
    np.testing.assert_allclose(times, beats, atol=0.03)


@pytest.mark.parametrize("onsets", [[], [1.5], [0.0, 0.0, 0.1]])
def test_decode_beats_of_few_notes_stays_within_them(onsets):
    onsets = np.array(onsets)
    half = np.full(len(onsets), 0.5)
    times, numbers = decode_beats(onsets, half, half)
    assert len(times) == len(numbers) <= len(onsets)
    assert set(times) <= set(onsets.tolist()) | {onsets.mean() if len(onsets) else 0}
