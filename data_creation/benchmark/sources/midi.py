"""MIDI files as items: melody and velocity of POP909, and the pieces of the piece tasks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DATA_SETS
from data_creation.benchmark.sources.pieces import Item, Piece, item_of
from m2bert.notes.cp import reading_order
from m2bert.notes.file_search import MIDI_SUFFIXES, files_below
from m2bert.notes.reader import read_song
from m2bert.tasks import SPLITS, TASKS

VELOCITY_EDGES = (0, 32, 48, 64, 80, 96, 128)
"""Where the classes of the velocity task begin; the last class ends before the last edge."""


def split_pieces(folder: Path) -> list[Piece]:
    files = ((file.split("/")[0], file) for file in files_below(folder, MIDI_SUFFIXES))
    return [Piece(top, file, (file,)) for top, file in files if top in SPLITS]


def folded_pieces(task: str, class_of: Callable[[str], str], folder: Path) -> list[Piece]:
    """The files of train, valid and test together, sorted, those of a class in equal folds."""
    classes, folds = TASKS[task].classes, TASKS[task].folds
    files = [piece.name for piece in split_pieces(folder)]
    found = [
        Piece(f"fold_{index * folds // len(its)}", file, (file,), label)
        for label, name in enumerate(classes)
        for its in [[file for file in files if class_of(file) == name]]
        for index, file in enumerate(its)
    ]
    return sorted(found, key=lambda piece: piece.name)


def genre_pieces(folder: Path) -> list[Piece]:
    """The files of the folders train_clean/0 to test_clean/4; as many a class as are used."""
    labels, most = range(len(TASKS["genre"].classes)), DATA_SETS["tagatraum"].most_per_class
    tops = [(part, label, f"{part}_clean/{label}") for part in SPLITS for label in labels]
    return [
        Piece(part, f"{top}/{file}", (f"{top}/{file}",), label)
        for part, label, top in tops
        for file in files_below(folder / top, MIDI_SUFFIXES)[: most.get(part)]
    ]


def pop909(folder: Path, piece: Piece) -> list[Item]:
    """A song with each note's track (melody, bridge, piano) and velocity as labels."""
    *columns, track, velocity = _read(folder / piece.files[0])
    labels = {"melody": track + 1, "velocity": np.digitize(velocity, VELOCITY_EDGES)}
    return [item_of(*columns, **labels)]


def classed_piece(task: str, folder: Path, piece: Piece) -> list[Item]:
    return [item_of(*_read(folder / piece.files[0])[:3], **{task: np.array(piece.label)})]


def _read(path: Path) -> list[np.ndarray]:
    """Onset, offset (beats), pitch, track and velocity of the notes as long as a 64th, by onset and
    pitch, equal ones in the file's order."""
    notes = read_song(path).notes
    start, end, scale = notes.start, notes.end, notes.ticks_per_beat
    order = reading_order(start, end, notes.pitch, np.zeros_like(start), scale)
    columns = (start / scale, end / scale, notes.pitch, notes.track, notes.velocity)
    return [column[order] for column in columns]
