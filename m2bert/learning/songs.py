"""Labelled songs: what a task of one's own is made of."""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from m2bert.annotation.names import class_in_table
from m2bert.base.errors import UserError
from m2bert.base.files import path_text
from m2bert.learning.folders import FEWEST_SONGS, pieces_in, read_labelled_pieces
from m2bert.learning.matching import labels_of_notes, labels_of_tracks
from m2bert.learning.names import check_class_names
from m2bert.learning.pairs import songs_with_tables
from m2bert.learning.splits import groups_of, source_of
from m2bert.learning.tables import LabelTable, check_labels
from m2bert.model.predictions import voices
from m2bert.model.task_entries import task_entries, task_from
from m2bert.notes.file_reading import read_files
from m2bert.notes.file_search import SUFFIXES, files_in
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import Entry, print_skipped
from m2bert.notes.song import Song
from m2bert.tasks import PADDING, Task

TRACK_NAME = "track_name"
"""The `--label` that takes the names of tracks as labels."""

ACCURACY = {"note": "labelled_accuracy", "piece": "piece_accuracy"}
"""The metrics of `--metric accuracy`, by the level of the task."""


@dataclass(frozen=True, eq=False)
class LabelledSong:
    """A song and its labels.

    Attributes:
        name: its path within the given folders, by which reports and splits name it.
        notes: CP notes, (notes, 4) uint8, as models of the level of its task read them.
        labels: classes: of a piece () int64; of its notes (notes,) int64, 0 for no label.
        group: songs of one group are in one part of a split.
    """

    name: str
    notes: np.ndarray
    labels: np.ndarray
    group: int


def read_pieces(args: argparse.Namespace) -> tuple[Task, list[LabelledSong]]:
    """The songs in folders of classes, and their task."""
    pieces = read_labelled_pieces(pieces_in(args.folders[0]), args.num_workers)
    classes = sorted({label for _, _, label in pieces})
    found = [(path, notes, np.array(label, object)) for path, notes, label in pieces]
    task = own_task(args, "piece", classes, str(args.folders[0]))
    return task, _songs(args, found, classes)


def read_notes(args: argparse.Namespace) -> tuple[Task, list[LabelledSong]]:
    """The songs with labels of notes, and their task."""
    found = _songs_with_labels(args)
    classes = sorted({label for _, _, labels in found for label in labels.tolist() if label})
    if len(found) < FEWEST_SONGS or len(classes) < 2:
        raise UserError(
            f"{args.folders[0]} has {len(found)} songs with {len(classes)} different labels: at "
            f"least {FEWEST_SONGS} songs and two labels are needed"
        )
    classes = [PADDING, *classes]
    return own_task(args, "note", classes, str(args.folders[0])), _songs(args, found, classes)


def read_corrections(args: argparse.Namespace, task: Task) -> list[LabelledSong]:
    """The songs with labels of a task that has a model; of tables from the page of an annotation
    only the labels that were chosen by hand."""
    found = _songs_with_labels(args)
    songs = _songs(args, found, tuple(class_in_table(name, task) for name in task.classes))
    if not songs:
        raise UserError(
            f"{args.folders[0]} has no label of {args.label} that was chosen by hand: correct some "
            "on the page of an annotation and save them"
        )
    return songs


def _songs_with_labels(args: argparse.Namespace) -> list[tuple[Path, np.ndarray, np.ndarray]]:
    """The path of each song, its CP notes and their labels; prints the songs that are skipped."""
    found, skipped = [], list[Entry]()
    for path, song, labels in _labelled_notes(args, skipped):
        if labels.astype(bool).any():
            found += [(path, cp, labels[index]) for cp, index in voices(song, by_track=False)]
        else:
            detail = "none of its notes has one, or all are drums"
            skipped.append({"file": str(path), "reason": "no labels", "detail": detail})
    print(f"{len(found):,} songs, {sum(len(notes) for _, notes, _ in found):,} notes")
    print_skipped(skipped)
    return found


def _labelled_notes(
    args: argparse.Namespace, skipped: list[Entry]
) -> Iterator[tuple[Path, Song, np.ndarray]]:
    """Yield each song with the label of each of its notes, (notes,) object: a str or None."""
    if args.label == TRACK_NAME:
        files = files_in(args.folders, SUFFIXES)
        if not files:
            raise UserError(f"no MIDI files or scores in {args.folders[0]}")
        for path, song in read_files(read_song, files, args.num_workers, skipped):
            labels = labels_of_tracks(song, args.allow_missing)
            check_class_names((name, path) for name in set(labels.tolist()) - {None})
            yield path, song, labels
        return
    pairs, without = songs_with_tables(args.folders, args.label)
    skipped += without
    tables = dict(pairs)
    check_labels(tables.values())
    for path, song in read_files(read_song, list(tables), args.num_workers, skipped):
        table = tables[path]
        if args.start_from:
            table = only_by_hand(table)
        yield path, song, labels_of_notes(song, table, args.allow_missing or args.start_from)


def only_by_hand(table: LabelTable) -> LabelTable:
    """The table without the labels that a model gave."""
    label = table.label.copy()
    label[~table.by_hand] = None
    return replace(table, label=label)


def _songs(
    args: argparse.Namespace,
    found: Sequence[tuple[Path, np.ndarray, np.ndarray]],
    classes: Sequence[str],
) -> list[LabelledSong]:
    """Labelled songs from their paths, CP notes, and names of classes."""
    number = {name: place for place, name in enumerate(classes)} | {None: 0}
    for path, _, labels in found:
        if unknown := set(labels.ravel().tolist()) - number.keys():
            raise UserError(
                f"{path}: the model has no class {min(unknown)!r}; its classes are "
                f"{', '.join(classes[1:])}"
            )
    names = _names([path for path, _, _ in found], args.folders)
    groups = _groups(names, [notes for _, notes, _ in found], args.group_by)
    return [
        LabelledSong(name, notes, np.vectorize(number.__getitem__, [int])(labels), group)
        for name, (_, notes, labels), group in zip(names, found, groups, strict=True)
    ]


def _groups(
    names: list[str], notes: list[np.ndarray], pattern: re.Pattern[str] | None
) -> list[int]:
    """The group of each song: those with equal notes, and by --group_by."""
    features: list[list[object]] = [[song.tobytes()] for song in notes]
    if pattern:
        for of_song, name in zip(features, names, strict=True):
            of_song.append(source_of(name, pattern))
    return groups_of(features).tolist()


def _names(paths: Sequence[Path], folders: Sequence[Path]) -> list[str]:
    """Paths within the folder that they are in; with several folders, from the working folder."""
    if len(folders) > 1 or not folders[0].is_dir():
        return list(map(path_text, paths))
    return [path_text(path.relative_to(folders[0])) for path in paths]


def own_task(args: argparse.Namespace, level: str, classes: Sequence[str], where: str) -> Task:
    """The task of the command. Raises `UserError` if its name or a class is not valid; where: what
    the error names."""
    name = args.name or args.out.resolve().name
    metric = args.metric if args.metric == "macro_f1" else ACCURACY[level]
    loss_on = "labelled" if level == "note" else "notes"
    task = Task(
        name=name,
        title=name,
        level=level,
        classes=tuple(classes),
        metric=metric,
        seeds=tuple(args.seed),
        folds=args.folds,
        loss_on=loss_on,
    )
    return task_from(task_entries(task), where)
