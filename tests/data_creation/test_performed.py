"""Scores that are played with the tempo curves of performances."""

import json

import numpy as np

from data_creation import prepare_smc
from data_creation.benchmark.performed import performed_scores, tempo_curve
from data_creation.benchmark.sets import DATA_SETS
from tests.helpers.benchmark_files import write_data_set
from tests.helpers.commands import run_here
from tests.helpers.midi_files import write_midi


def write_scores(folder):
    """A waltz of 40 bars in eighths over a bass, a short piece, and a file that cannot be read."""
    eighths = [(240 * k, 240 * k + 240, 60 + k % 12) for k in range(240)]
    bass = [(1440 * k, 1440 * k + 1440, 36) for k in range(40)]
    write_midi(folder / "waltz.mid", [*eighths, *bass], signatures=[(3, 4)])
    write_midi(folder / "short.mid", eighths[:20])
    (folder / "bad.mid").write_text("x")
    return folder


def test_tempo_curve_is_relative_to_the_median_and_omits_beats_without_notes():
    beats = np.array([0, 1, 2, 3, 5, 6.2, 7.2, 8.2])  # a beat at 4 has no note
    onset = np.concatenate([beats, beats + 0.05, beats + 0.5])  # chords, and notes between beats
    curve = tempo_curve(onset, np.repeat([True, True, False], len(beats)))
    np.testing.assert_allclose(curve, [0, 0, 0, np.log(1.2), 0, 0], atol=1e-12)
    assert len(tempo_curve(onset, np.zeros(len(onset), bool))) == 0


def test_performed_scores_label_the_notes_on_beats_and_downbeats(tmp_path):
    steady, rubato = np.zeros(30), np.tile([0.3, -0.3], 15)
    for curve in (steady, rubato):
        ((notes, beat, downbeat),) = (
            (notes, *labels)
            for notes, labels in performed_scores([write_scores(tmp_path)], [curve], [1])
        )
        assert notes.shape == (280, 3)
        assert (np.diff(notes[:, 0]) >= 0).all()
        assert (notes[:, 1] > notes[:, 0]).all()
        assert (beat == 2).sum() == 120 + 40
        assert (downbeat == 2).sum() == 80
        assert (beat[downbeat == 2] == 2).all()
        onsets = notes[(beat == 2) & (notes[:, 2] > 36), 0]
        deviation = np.std(np.diff(onsets)) / np.diff(onsets).mean()
        assert (deviation > 0.2) == (curve is rubato)


def test_performed_scores_are_the_same_each_time_and_of_several_speeds(tmp_path):
    def played(speeds):
        ((notes, _),) = performed_scores([write_scores(tmp_path)], [np.zeros(9)], speeds)
        return notes

    np.testing.assert_array_equal(played([1]), played([1]))
    np.testing.assert_allclose(played([1])[:, :2] * 2, played([2])[:, :2])


def test_prepare_smc_adds_scores_before_the_training_items(tmp_path):
    write_data_set(tmp_path / "smc", DATA_SETS["pm2s"])
    scores = write_scores(tmp_path / "scores")

    def prepare(name, *words):
        place = ("--smc_dir", tmp_path / "smc", "--output_dir", tmp_path / name)
        return run_here(prepare_smc.main, *place, "--dataset", *words).stderr

    prepare("without", "pm2s")
    prepare("with", "pm2s", "--scores", scores)
    without, found = (np.load(tmp_path / name / "pm2s_train.npy") for name in ("without", "with"))
    np.testing.assert_array_equal(found[1:], without)
    assert json.loads((tmp_path / "with/pm2s.json").read_text())["scores"] == [str(scores)]
    assert "made with another --scores" in prepare("with", "pm2s")
    assert "give --dataset pm2s" in prepare("other", "pm2s", "tnua", "--scores", scores)
    assert "there is no file or folder" in prepare("other", "pm2s", "--scores", tmp_path / "none")
    labels = tmp_path / "smc" / DATA_SETS["pm2s"].folder / "pm2s_train_beatans.npy"
    no_beats = np.load(labels, allow_pickle=True)
    for of_item in no_beats:
        of_item[:] = np.ones_like(of_item)
    np.save(labels, no_beats)
    assert "no beats in the training part" in prepare("no_beats", "pm2s", "--scores", scores)
