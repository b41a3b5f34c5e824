"""One part of a benchmark data set: its files read, checked and converted to arrays."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from data_creation.benchmark.items import (
    cp_notes_of_piece,
    cut_labels,
    cut_notes,
    global_beats,
    order_as_published,
)
from data_creation.benchmark.sets import DataSet
from m2bert.base.errors import UserError
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.object_arrays import read_labels, read_note_lists
from m2bert.tasks import Task

LATEST_BEAT = 1e9  # far beyond any piece; up to here every tick is a number of its own


@dataclass(frozen=True)
class Item:
    """A piece and its labels, checked.

    where: the item in words; notes: (notes, 3) float64, [onset, offset, pitch] with times in beats;
    labels: one array a task, (notes,) of a note task, () of a piece task, unsigned integers.
    """

    where: str
    notes: np.ndarray
    labels: list[np.ndarray]


@dataclass(frozen=True)
class Converted:
    """Items as arrays.

    Attributes:
        notes: CP notes, (segments, length, 4) uint8.
        labels: one array a task, (segments, length) of a note task, (segments,) of a piece task.
        counts: "items", "notes", "segments".
        published: of note tasks, what the original's conversion does to the same notes:
            "notes before beat 0 lost"; "notes of the last bar lost"; "notes changed", that get
            other CP notes than by the default way; "LABELS labels wrong", where a note gets
            another note's label that differs from its own.
    """

    notes: np.ndarray
    labels: list[np.ndarray]
    counts: dict[str, int]
    published: dict[str, int]


def convert_part(data_set: DataSet, part: str, smc_dir: Path, as_published: bool) -> Converted:
    """Convert the part of a data set whose files lie below `smc_dir`.

    With `as_published` the notes and labels of note tasks become what the original makes of them
    (`docs/METHOD.md`, "Benchmark data"): notes outside of its bars are lost, and labels are given
    out by index after the notes were ordered.

    Raises:
        UserError: a file that cannot be read; numbers of items, notes or labels that differ; an
            item without a note; a note or a label that is none.
    """
    convert = {"note": _convert_note_item, "piece": _convert_piece_item}[data_set.level]
    items = _read_part(data_set, part, smc_dir, as_published)
    if part in data_set.most_per_class:
        items = _first_of_each_class(items, data_set.most_per_class[part])
    converted = [convert(data_set, item, as_published) for item in items]
    return Converted(
        np.concatenate([item.notes for item in converted]),
        [np.concatenate(a) for a in zip(*(item.labels for item in converted), strict=True)],
        _sum(item.counts for item in converted),
        _sum(item.published for item in converted),
    )


def missing_files(data_set: DataSet, smc_dir: Path) -> list[Path]:
    """The files of a data set that are not there."""
    paths = [path for part in data_set.parts for path in _paths(data_set, part, smc_dir)]
    return [path for path in paths if not path.is_file()]


def with_labels(data_set: DataSet, smc_dir: Path) -> DataSet:
    """The data set with those of its tasks whose files are all there."""
    alone = {task: replace(data_set, tasks=(task,)) for task in data_set.tasks}
    present = (task for task, one in alone.items() if not missing_files(one, smc_dir))
    return replace(data_set, tasks=tuple(present))


# Converting


def _convert_note_item(data_set: DataSet, item: Item, as_published: bool) -> Converted:
    beats = global_beats(item.notes) if data_set.beats_in_bars else item.notes
    order, published_order = order_by_onset(beats), order_as_published(item.notes)
    before = int((item.notes[:, 0] < 0).sum())
    published = {
        "notes before beat 0 lost": before,
        "notes of the last bar lost": len(order) - before - len(published_order),
    }
    in_place = slice(len(published_order))  # how the original gives out labels
    for task, labels in zip(data_set.tasks, item.labels, strict=True):
        wrong = labels[in_place] != labels[published_order]
        published[f"{task.name} labels wrong"] = int(wrong.sum())
    if data_set.beats_in_bars:
        published["notes changed"] = _changed(beats, order, item.notes, published_order)
    labelled: np.ndarray | slice = order
    if as_published:
        if not len(published_order):
            raise UserError(f"{item.where}: the original's way keeps no note; omit --as_published")
        beats, order, labelled = item.notes, published_order, in_place

    length = data_set.segment_length
    segments = cut_notes(cp_notes_of_beats(beats[order]), length)
    cut = [cut_labels(labels[labelled], length) for labels in item.labels]
    counts = {"items": 1, "notes": len(order), "segments": len(segments)}
    return Converted(segments, cut, counts, published)


def _changed(
    beats: np.ndarray, order: np.ndarray, other_beats: np.ndarray, other_order: np.ndarray
) -> int:
    """How many notes of `other_order` have other CP notes there than in `order`."""
    cp = np.empty((len(beats), 4), np.uint8)
    cp[order] = cp_notes_of_beats(beats[order])
    other_cp = cp_notes_of_beats(other_beats[other_order])
    return int((cp[other_order] != other_cp).any(1).sum())


def _convert_piece_item(data_set: DataSet, item: Item, _as_published: bool) -> Converted:
    notes = cp_notes_of_piece(item.notes)
    if not len(notes):
        raise UserError(f"{item.where}: no note lasts as long as a 64th")
    segments = cut_notes(notes, data_set.segment_length)
    counts = {"items": 1, "notes": len(notes), "segments": len(segments)}
    labels = [np.full(len(segments), label) for label in item.labels]
    return Converted(segments, labels, counts, {})


def _first_of_each_class(items: Iterable[Item], most: int) -> Iterator[Item]:
    seen: Counter[int] = Counter()
    for item in items:
        label = int(item.labels[0])
        seen[label] += 1
        if seen[label] <= most:
            yield item


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


# Reading


def _paths(data_set: DataSet, part: str, smc_dir: Path) -> list[Path]:
    """The file of a part's notes, then those of each task's labels."""
    folder = smc_dir / data_set.folder
    return [folder / name for name in data_set.files(part)]


def _read_part(data_set: DataSet, part: str, smc_dir: Path, as_published: bool) -> Iterator[Item]:
    paths = _paths(data_set, part, smc_dir)
    streams = [read_note_lists(paths[0]), *map(read_labels, paths[1:])]
    index = -1
    for index, values in enumerate(zip_longest(*streams, fillvalue=_END)):
        for path, value in zip(paths, values, strict=True):
            if value is _END:
                raise UserError(
                    f"{path} ends after {index} items, before the other files of "
                    f"{data_set.name} {part}: they do not belong together"
                )
        notes_where, *labels_where = (f"item {index} (counted from 0) of {path}" for path in paths)
        notes, *labels = values
        _check_notes(notes, notes_where)
        count = len(notes) if data_set.level == "note" else None
        sources = zip(labels, data_set.tasks, labels_where, strict=True)
        checked = [_check_labels(*source, count, as_published) for source in sources]
        yield Item(notes_where, notes, checked)
    if index < 0:
        raise UserError(f"{paths[0]} holds no items")


_END = object()


def _check_notes(notes: np.ndarray, where: str) -> None:
    if not len(notes):
        raise UserError(f"{where} has no notes")
    onset, offset, pitch = notes.T
    faults = {
        "has an onset or offset that is no time in beats": ~(
            (np.abs(onset) <= LATEST_BEAT) & (np.abs(offset) <= LATEST_BEAT)
        ),
        "ends before it begins": offset < onset,
        "has a pitch that is no whole number from 0 to 127": ~(
            (pitch >= 0) & (pitch <= 127) & (pitch % 1 == 0)
        ),
    }
    for fault, wrong in faults.items():
        if wrong.any():
            note = int(wrong.argmax())
            raise UserError(f"{where}: note {note}, {notes[note].tolist()}, {fault}")


def _check_labels(
    labels: np.ndarray, task: Task, where: str, notes: int | None, as_published: bool
) -> np.ndarray:
    """The labels of an item with so many notes, (notes,), or of a piece (None), (), unsigned."""
    if notes is None and labels.shape:
        raise UserError(f"{where} is a list; labels of {task.name} are one number a piece")
    if notes is not None:
        if not labels.shape:
            raise UserError(f"{where} is a number; labels of {task.name} are lists, one a note")
        if len(labels) < notes or (len(labels) > notes and not as_published):
            raise UserError(f"{where} has {len(labels)} labels for {notes} notes")
        labels = labels[:notes]
    classes = len(task.classes)
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise UserError(
            f"{where} has the label {labels[wrong][0]}; those of {task.name} are 0 to {classes - 1}"
        )
    return labels.astype(np.min_scalar_type(classes - 1))
