"""The rules of `benchmarks.rules`."""

import json

import numpy as np
import pytest
from partitura.musicanalysis import estimate_key

from benchmarks import rules
from m2bert.base.tables import markdown_text
from m2bert.model.folder import BUNDLED_MODELS, read_record
from m2bert.notes.cp import LOWEST_PITCH
from m2bert.tasks import TASKS
from tests.helpers.shared import REPOSITORY
from tests.helpers.synthetic import random_song
from tests.helpers.task_files import write_task


def cp(*rows: tuple[int, int, int, int]) -> np.ndarray:
    """CP notes from rows of bar number, position, MIDI pitch and length in 16ths."""
    bar, position, pitch, length = np.array(rows).T
    new = np.diff(bar, prepend=-1) == 0
    return np.stack([new, position, pitch - LOWEST_PITCH, 2 * length - 1], 1).astype(np.uint8)


def names(task: str, labels: np.ndarray) -> list[str]:
    return [TASKS[task].classes[label] for label in labels]


@pytest.mark.parametrize("rule", [rules.KRUMHANSL, rules.KOSTKA])
def test_keys_follow_a_modulation(rule):
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72])
    bars = [scale] * 8 + [scale + 6] * 8
    song = cp(*((bar, 2 * k, p, 2) for bar, of in enumerate(bars) for k, p in enumerate(of)))
    found = names("localkey", rule(song, 4))
    assert set(found[:48]) == {"C major"}
    assert set(found[-48:]) == {"F# major"}


def test_keys_in_a_long_window_are_those_of_partitura():
    for seed in range(20):
        song = random_song(np.random.default_rng(seed), 30)
        onset, end = rules.times(song)
        fields = [("onset_beat", float), ("duration_beat", float), ("pitch", int)]
        values = zip(onset / 4, (end - onset) / 4, song[:, 2] + LOWEST_PITCH, strict=True)
        key = estimate_key(np.array(list(values), fields)).replace("b", "-")
        name = f"{key.removesuffix('m')} {'minor' if key.endswith('m') else 'major'}"
        assert names("localkey", rules.KRUMHANSL(song, 100)) == [name] * len(song)


def test_roots_change_at_half_bars():
    chords = {0: (59, 62, 65, 67), 8: (60, 64, 69), 16: (58, 61, 65)}
    song = cp(*((t // 16, t % 16, pitch, 8) for t, of in chords.items() for pitch in of))
    found = names("chordroot", rules.roots(song, 2))
    assert found == ["G"] * 4 + ["A"] * 3 + ["B-"] * 3


def test_skyline_of_two_voices():
    song = cp((0, 0, 48, 16), (0, 0, 76, 8), (0, 4, 60, 2), (0, 8, 55, 4), (0, 8, 74, 8))
    first, second = ("accompaniment", "melody"), ("accompaniment", "melody")
    assert names("melody", rules.skyline(song, True)) == [*first, "accompaniment", *second]
    assert names("melody", rules.skyline(song, False)) == [*first, "melody", *second]


def test_rule_is_scored_with_the_parameter_of_the_best_validation_score(tmp_path):
    write_task(tmp_path, "beat")
    for part in TASKS["beat"].parts:
        notes_file, labels_file = TASKS["beat"].file_names(part)
        notes = np.load(tmp_path / notes_file)
        beats = np.where(notes[..., 1] % 4 == 0, 2, 1)
        np.save(tmp_path / labels_file, np.where(notes[..., 0] == 2, 0, beats))
    rule = rules.Rule("beat", "multiples of {}", rules.on_grid, (1, 4, 16))
    record = rules.score_rule(rule, tmp_path)
    assert (record["rule"], record["test_score"]) == ("multiples of 4", 1)
    assert record["model"] is None  # the bundled model was tested on other data


def test_results_page_has_the_recorded_scores():
    records = json.loads((REPOSITORY / "docs/results/rules.json").read_text())
    page = (REPOSITORY / "docs/RESULTS.md").read_text()
    rows = [row for row in markdown_text(rules.table(records)).splitlines() if "|" in row]
    assert len(rows) == 2 + len(rules.RULES)
    assert "\n".join(rows) in page
    models = {name: read_record(BUNDLED_MODELS / name) for name in {r["task"] for r in records}}
    assert all(models[r["task"]]["test_score"] == r["model"] for r in records)
