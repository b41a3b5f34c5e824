"""Score simple rules on the test sets of the benchmark.

python -m benchmarks.rules DATA_ROOT [--out docs/results/rules.json]   (needs partitura)

DATA_ROOT has fine-tuning data (`data_creation.prepare_smc`); tasks without data there are skipped.
A rule labels each segment on its own. Where it has a parameter, the value with the best validation
score is used on the test set. Metrics are those of fine-tuning. "Majority class" is the score of
always predicting the majority class of the training set; "bundled model" is the score in the
model's record, if it was measured on the same test set.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from partitura.musicanalysis import key_identification

from benchmarks.bundled_models import published_and_clean, score_column
from m2bert.annotation.chord_names import root_name
from m2bert.annotation.chords import QUALITIES, semitones, sounding_time
from m2bert.base.errors import UserError, run_command
from m2bert.base.tables import Table, terminal_text
from m2bert.finetuning.data import LabelledSegments, has_data, read_parts, split
from m2bert.finetuning.run import majority_label
from m2bert.model.folder import BUNDLED_MODELS, read_record
from m2bert.notes.cp import BAR_NEW, LOWEST_PITCH, POSITIONS_PER_BAR
from m2bert.tasks import METRIC_TITLES, TASKS

KEYS = np.array(
    [
        TASKS["localkey"].classes.index(f"{root[0]}{root[1:].replace('b', '-')} {mode}")
        for root, mode, _ in key_identification.KEYS
    ]
)
"""The label of each key of partitura, which has one name for enharmonically equivalent keys."""

ROOTS = np.array(
    [TASKS["chordroot"].classes.index(root_name(pitch_class, None)) for pitch_class in range(12)]
)
"""The label of each pitch class, named from A flat to C sharp on the line of fifths."""

CHORDS = np.array(
    [
        np.roll(np.isin(range(12), list(map(semitones, QUALITIES[quality]))), root)
        for quality in ("maj", "min", "7")
        for root in range(12)
    ],
    float,
)
"""The templates, (qualities x 12, 12)."""

MELODY, ACCOMPANIMENT = map(TASKS["melody"].classes.index, ("melody", "accompaniment"))


def times(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and ends of CP notes in 16ths from the segment's first bar line, both (notes,)."""
    bar = np.cumsum(notes[:, 0] == BAR_NEW)
    onset = POSITIONS_PER_BAR * (bar - bar[0]) + notes[:, 1]
    return onset, onset + (notes[:, 3] + 1.0) / 2


def best_matches(
    notes: np.ndarray, first: np.ndarray, stop: np.ndarray, profiles: np.ndarray
) -> np.ndarray:
    """For each note the profile, (profiles, 12), that correlates best with how long each pitch
    class sounds between the 16ths `first` and `stop`, both (notes,); of several the first."""
    onset, end = times(notes)
    edges = np.arange(int(np.ceil(end.max())) + 1)
    sounding, _ = sounding_time(onset, end, notes[:, 2].astype(int) + LOWEST_PITCH, edges)
    until = np.concatenate([np.zeros((1, 12)), sounding.cumsum(0)])
    window = until[stop.clip(max=len(sounding))] - until[first.clip(0)]
    deviations = profiles - profiles.mean(1, keepdims=True)
    deviations /= np.linalg.norm(deviations, axis=1, keepdims=True)
    return (window @ deviations.T).round(6).argmax(1)  # rounding errors must not decide ties


def keys(notes: np.ndarray, bars: int, profiles: np.ndarray) -> np.ndarray:
    """Krumhansl and Schmuckler's algorithm in a window of some bars around each onset."""
    onset, half = times(notes)[0], bars * POSITIONS_PER_BAR // 2
    return KEYS[best_matches(notes, onset - half, onset + half, profiles)]


def roots(notes: np.ndarray, quarters: int) -> np.ndarray:
    """The root of the best template in each span of some quarter notes, counted from bar lines."""
    span = 4 * quarters
    first = times(notes)[0] // span * span
    return ROOTS[best_matches(notes, first, first + span, CHORDS) % 12]


def skyline(notes: np.ndarray, held: bool) -> np.ndarray:
    """The melody is the highest note of each onset; if `held`, the highest sounding note."""
    (onset, end), pitch = times(notes), notes[:, 2]
    now = onset[:, np.newaxis]
    sounds = (onset <= now) & (end > now) if held else onset == now
    return np.where((sounds & (pitch > pitch[:, np.newaxis])).any(1), ACCOMPANIMENT, MELODY)


def on_grid(notes: np.ndarray, sixteenths: int) -> np.ndarray:
    """Beats or downbeats are the notes at multiples of some 16ths of the bar."""
    return np.where(notes[:, 1] % sixteenths == 0, 2, 1)


class Rule(NamedTuple):
    """A rule: its task, its title, the function from notes, (notes, 4), and a parameter to labels,
    (notes,), and the parameters to choose from."""

    task: str
    title: str
    labels: Callable[[np.ndarray, int], np.ndarray]
    parameters: tuple[int, ...]


BARS, EVERY_NOTE, QUARTER, BAR = (2, 4, 8, 16, 32, 64), 1, 4, POSITIONS_PER_BAR
KRUMHANSL = partial(keys, profiles=key_identification.KRUMHANSL_KESSLER)
KOSTKA = partial(keys, profiles=key_identification.KOSTKA_PAYNE)
RULES = (
    Rule("beat", "every note", on_grid, (EVERY_NOTE,)),
    Rule("beat", "notes on quarters of the file", on_grid, (QUARTER,)),
    Rule("downbeat", "every note", on_grid, (EVERY_NOTE,)),
    Rule("downbeat", "notes on bar lines of the file", on_grid, (BAR,)),
    Rule("chordroot", "chord templates, every {} quarters", roots, (1, 2, 4)),
    Rule("localkey", "Krumhansl-Kessler profiles, {} bars", KRUMHANSL, BARS),
    Rule("localkey", "Kostka-Payne profiles, {} bars", KOSTKA, BARS),
    Rule("melody", "highest note of the onset", skyline, (False,)),
    Rule("melody", "highest sounding note", skyline, (True,)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, metavar="DATA_ROOT")
    parser.add_argument("--out", type=Path, help="JSON file of the scores")
    args = parser.parse_args()
    rules = [rule for rule in RULES if has_data(TASKS[rule.task], [args.data_root])]
    if not rules:
        raise UserError(f"{args.data_root} has no data of {', '.join({r.task: 0 for r in RULES})}")
    records = [score_rule(rule, args.data_root) for rule in rules]
    print(terminal_text(table(records)))
    if args.out:
        args.out.write_text(json.dumps(records, indent=1) + "\n")


def score_rule(rule: Rule, data_root: Path) -> dict:
    """The scores of a rule, of the majority class and of the bundled model."""
    task, model = TASKS[rule.task], read_record(BUNDLED_MODELS / rule.task)
    sets = split(task, read_parts(task, [data_root]), None)
    valid, test = sets["valid"], sets["test"]
    valid_scores = {
        parameter: published_and_clean(task, valid, predictions(rule, valid, parameter))[0]
        for parameter in rule.parameters
    }
    best = max(valid_scores, key=valid_scores.get)
    score, clean_score = published_and_clean(task, test, predictions(rule, test, best))
    majority = torch.full_like(test.labels, majority_label(task, sets["train"]))
    if model["data"]["test"] != test.summary():
        model = {}
    return {
        "task": task.name,
        "rule": rule.title.format(best),
        "metric": METRIC_TITLES[task.metric],
        "valid_score": valid_scores[best],
        "test_score": score,
        "clean_test_score": clean_score,
        "majority_class": published_and_clean(task, test, majority)[0],
        "model": model.get("test_score"),
        "clean_model": model.get("clean_test_score"),
    }


def predictions(rule: Rule, data: LabelledSegments, parameter: int) -> torch.Tensor:
    labels = np.zeros(data.labels.shape, np.int64)
    for row, notes, length in zip(labels, data.notes.numpy(), data.lengths, strict=True):
        row[:length] = rule.labels(notes[:length], parameter)
    return torch.from_numpy(labels)


def table(records: list[dict]) -> Table:
    columns = (
        *((name, itemgetter(name)) for name in ("task", "rule", "metric")),
        score_column("score", "test_score"),
        score_column("on the clean grid", "clean_test_score"),
        score_column("majority class", "majority_class"),
        score_column("bundled model", "model"),
        score_column("bundled model on the clean grid", "clean_model"),
    )
    return Table("Rules without a model, test sets", columns, records)


if __name__ == "__main__":
    run_command(main)
