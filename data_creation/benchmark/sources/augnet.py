"""AugmentedNet: scores with chord roots and local keys."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_creation.benchmark.sources.pieces import Item, Piece, item_in_bars, outer_bars, read_table
from m2bert.base.errors import UserError
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS

SUMMARY = "dataset/dataset_summary.tsv"
_PART = {"training": "train", "validation": "valid", "test": "test"}
_COLUMNS = ("j_offset", "s_measure", "a_root", "a_localKey")


def pieces(folder: Path) -> list[Piece]:
    """The rows of the data set's summary, by name."""
    rows = zip(*read_table(folder / SUMMARY, ("file", "score", "split"), "\t"), strict=True)
    return [
        Piece(_PART[split], name, (f"dataset/{split}/{name}.tsv", f"scores/{score}"))
        for name, score, split in sorted(rows)
        if split in _PART
    ]


def read(folder: Path, piece: Piece) -> list[Item]:
    """A score; each note has the labels of the last row that does not begin after it."""
    annotation, score = (folder / file for file in piece.files)
    *columns, roots, keys = read_table(annotation, _COLUMNS, "\t")
    time, measure = np.array(columns, float)
    root, key = _class_ids(roots, CHORD_ROOTS), _class_ids(keys, LOCAL_KEYS)
    notes = score_notes(score)
    notes = notes[:, np.lexsort(notes[[1, 2, 0]])]  # by onset, pitch and duration
    row = np.maximum(np.searchsorted(time, notes[0], side="right") - 1, 0)
    labels = {"chordroot": root[row], "localkey": key[row]}
    return [item_in_bars(notes, bar_lines(time, measure), **labels)]


def bar_lines(time: np.ndarray, measure: np.ndarray) -> np.ndarray:
    """A bar line at each row whose measure has a greater number than all before it, from 1 on (0 is
    a pickup), and one more at either end."""
    lines = time[np.diff(np.maximum.accumulate(np.maximum(measure, 0)), prepend=0) > 0]
    if len(lines) == 1:
        return lines + BEATS_PER_BAR * np.arange(-1, 2)
    return outer_bars(lines, before=1)


def score_notes(path: Path) -> np.ndarray:
    """Onset, duration (in quarters from the beginning) and MIDI pitch of a score, (3, notes): tied
    notes are several notes, as in the published arrays; grace notes are omitted."""
    import partitura  # of the extra "score"

    with warnings.catch_warnings(action="ignore"):
        parts = partitura.load_score(str(path)).parts
    columns = [np.empty((3, 0))]
    for part in parts:
        its = list(part.iter_all(partitura.score.Note, include_subclasses=False))
        table = np.array([(n.start.t, n.end.t, n.midi_pitch) for n in its], float).reshape(-1, 3)
        start, end = part.quarter_map(table[:, :2]).T
        columns.append(np.stack([start - part.quarter_map(0), end - start, table[:, 2]]))
    return np.concatenate(columns, axis=1)


def _class_ids(names: Sequence[str], classes: tuple[str, ...]) -> np.ndarray:
    """Names -> their places among `classes`, from 1."""
    if unknown := set(names) - set(classes):
        raise UserError(f"there is no class for the label {min(unknown)[:20]!r}")
    return np.array([classes.index(name) + 1 for name in names])
