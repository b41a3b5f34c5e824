"""One part of a benchmark data set: its files read, checked and converted to arrays."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_creation.benchmark.items import cp_notes_of_piece, global_beats, order_as_published
from data_creation.benchmark.performed import performed_scores, tempo_curve
from data_creation.benchmark.sets import DataSet
from m2bert.base.errors import UserError
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.object_arrays import read_labels, read_note_lists
from m2bert.notes.windows import cut_labels, cut_notes
from m2bert.tasks import Task

ON_BEAT = 2
"""The label of notes on beats."""

LATEST_BEAT = 1e9  # later than in any piece; float64 still distinguishes all ticks


class CheckedItem(NamedTuple):
    """A piece, checked. where: for errors; notes: (notes, 3) float64, [onset, offset, pitch] rows
    with times in beats; labels: unsigned integers of each task, (notes,) or, of a piece, ()."""

    where: str
    notes: np.ndarray
    labels: list[np.ndarray]


@dataclass(frozen=True)
class Converted:
    """Items as arrays.

    Attributes:
        notes: CP notes, (segments, length, 4) uint8.
        labels: for each task, (segments, length), or (segments,) of a piece task.
        counts: "items", "notes", "segments".
        published: for note tasks, numbers of notes that the original's conversion of the same items
            loses, converts to other CP notes or gives the label of another note.
    """

    notes: np.ndarray
    labels: list[np.ndarray]
    counts: dict[str, int]
    published: dict[str, int]


def convert_part(
    data_set: DataSet,
    part: str,
    smc_dir: Path,
    as_published: bool,
    chosen: Sequence[int] | None = None,
    stretch: Sequence[float] = (),
    scores: Sequence[Path] = (),
) -> Converted:
    """Convert one part of a data set; its files lie in `data_set.folder` below `smc_dir`.

    as_published: whether note tasks are converted as by the original (docs/METHOD.md, "Benchmark
    data"); chosen: the items that are converted, counted from 0 and ascending, None for all;
    stretch: every item is followed by copies of it, whose times are multiplied by these factors;
    scores: folders of scores that are played with the tempo curves of the items (of beats and
    downbeats) and converted before them.

    Raises `UserError` for files that cannot be read, do not belong together, or have notes or
    labels out of range.
    """
    items: Iterable[CheckedItem] = _read_part(data_set, part, smc_dir, as_published)
    if chosen is not None:
        all_items = list(items)
        if chosen[-1] >= len(all_items):
            raise UserError(
                f"{data_set.name} {part} has {len(all_items)} items; --items names {chosen[-1]}"
            )
        items = [all_items[index] for index in chosen]
    if part in data_set.most_per_class:
        items = _first_of_each_class(items, data_set.most_per_class[part])
    items = list(items)
    played = _played(scores, items, (1, *stretch)) if scores else ()
    items = chain(played, _with_copies(items, stretch))
    convert = {"note": _convert_note_item, "piece": _convert_piece_item}[data_set.level]
    converted = [convert(data_set, item, as_published) for item in items]
    return Converted(
        np.concatenate([item.notes for item in converted]),
        [np.concatenate(a) for a in zip(*(item.labels for item in converted), strict=True)],
        _sum([item.counts for item in converted]),
        _sum([item.published for item in converted]),
    )


def missing_files(data_set: DataSet, smc_dir: Path) -> list[Path]:
    paths = data_set.paths(smc_dir / data_set.folder)
    return [path for path in paths if not path.is_file()]


# Converting


def _convert_note_item(data_set: DataSet, item: CheckedItem, as_published: bool) -> Converted:
    beats = global_beats(item.notes) if data_set.beats_in_bars else item.notes
    order, published_order = order_by_onset(beats), order_as_published(item.notes)
    before = int((item.notes[:, 0] < 0).sum())
    published = {
        "notes before beat 0 lost": before,
        "notes of the last bar lost": len(order) - before - len(published_order),
    }
    in_place = np.arange(len(published_order))  # how the original assigns labels
    for task, labels in zip(data_set.tasks, item.labels, strict=True):
        wrong = labels[in_place] != labels[published_order]
        published[f"{task.name} labels wrong"] = int(wrong.sum())
    if data_set.beats_in_bars:
        cp = np.empty((len(beats), 4), np.uint8)
        cp[order] = cp_notes_of_beats(beats[order])
        changed = cp[published_order] != cp_notes_of_beats(item.notes[published_order])
        published["notes changed"] = int(changed.any(1).sum())

    labelled = order
    if as_published:
        if not len(published_order):
            raise UserError(f"{item.where}: the original's way keeps no note; omit --as_published")
        beats, order, labelled = item.notes, published_order, in_place
    kept_labels = [labels[labelled] for labels in item.labels]
    return _segments(data_set, cp_notes_of_beats(beats[order]), kept_labels, published)


def _convert_piece_item(data_set: DataSet, item: CheckedItem, _as_published: bool) -> Converted:
    notes = cp_notes_of_piece(item.notes)
    if not len(notes):
        raise UserError(f"{item.where}: no note is as long as a 64th")
    return _segments(data_set, notes, item.labels, {})


def _segments(
    data_set: DataSet, notes: np.ndarray, labels: list[np.ndarray], published: dict[str, int]
) -> Converted:
    length = data_set.tasks[0].segment_length
    segments = cut_notes(notes, length)
    cut = [cut_labels(a, length) if a.ndim else np.full(len(segments), a) for a in labels]
    counts = {"items": 1, "notes": len(notes), "segments": len(segments)}
    return Converted(segments, cut, counts, published)


def _played(
    scores: Sequence[Path], items: Sequence[CheckedItem], speeds: Sequence[float]
) -> Iterator[CheckedItem]:
    curves = [tempo_curve(item.notes[:, 0], item.labels[0] == ON_BEAT) for item in items]
    if not any(map(len, curves)):
        raise UserError("no beats in the training part: --scores needs the tempo of performances")
    for item in performed_scores(scores, [curve for curve in curves if len(curve)], speeds):
        yield CheckedItem("a score", *item)


def _with_copies(items: Iterable[CheckedItem], stretch: Sequence[float]) -> Iterator[CheckedItem]:
    for item in items:
        yield item
        for factor in stretch:
            yield item._replace(notes=item.notes * [factor, factor, 1])


def _first_of_each_class(items: Iterable[CheckedItem], most: int) -> Iterator[CheckedItem]:
    seen: Counter[int] = Counter()
    for item in items:
        label = int(item.labels[0])
        seen[label] += 1
        if seen[label] <= most:
            yield item


def _sum(counts: list[dict[str, int]]) -> dict[str, int]:
    return {what: sum(count[what] for count in counts) for what in counts[0]}


# Reading


def _read_part(
    data_set: DataSet, part: str, smc_dir: Path, as_published: bool
) -> Iterator[CheckedItem]:
    paths = [smc_dir / data_set.folder / name for name in data_set.files(part)]
    columns = [read_note_lists(paths[0]), *map(read_labels, paths[1:])]
    sizes = [len(column) for column in columns]
    shortest = min(sizes)
    if max(sizes) > shortest:
        raise UserError(
            f"{paths[sizes.index(shortest)]} ends after {shortest} items, before the other files "
            f"of {data_set.name} {part}: they do not belong together"
        )
    if not shortest:
        raise UserError(f"{paths[0]} contains no items")
    for index, (notes, *labels) in enumerate(zip(*columns, strict=True)):
        where, *wheres = (f"item {index} (counted from 0) of {path}" for path in paths)
        _check_notes(notes, where)
        count = len(notes) if data_set.level == "note" else None
        sources = zip(labels, data_set.tasks, wheres, strict=True)
        yield CheckedItem(
            where, notes, [_check_labels(*each, count, as_published) for each in sources]
        )


def _check_notes(notes: np.ndarray, where: str) -> None:
    if not len(notes):
        raise UserError(f"{where} has no notes")
    onset, offset, pitch = notes.T
    is_time = (np.abs(onset) <= LATEST_BEAT) & (np.abs(offset) <= LATEST_BEAT)
    is_pitch = (pitch >= 0) & (pitch <= 127) & (pitch % 1 == 0)
    for message, wrong in {
        "has an onset or offset that is not a time in beats": ~is_time,
        "ends before it begins": offset < onset,
        "has a pitch that is not a whole number from 0 to 127": ~is_pitch,
    }.items():
        if wrong.any():
            note = int(wrong.argmax())
            raise UserError(f"{where}: note {note}, {notes[note].tolist()}, {message}")


def _check_labels(
    labels: np.ndarray, task: Task, where: str, notes: int | None, as_published: bool
) -> np.ndarray:
    """The labels of an item as unsigned integers, checked; `notes` is None for a piece task."""
    if notes is None and labels.shape:
        raise UserError(f"{where} is a list; labels of {task.name} are one number per piece")
    if notes is not None:
        if not labels.shape:
            raise UserError(f"{where} is a number; labels of {task.name} are lists, one per note")
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
