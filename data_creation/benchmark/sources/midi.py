"""MIDI files as items: melody and velocity of POP909, and the pieces of the piece tasks."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_creation.benchmark.published import Item
from data_creation.benchmark.sets import DATA_SETS
from data_creation.benchmark.sources.pieces import Piece, item_of
from m2bert.notes.cp import SHORTEST_NOTE_BEATS
from m2bert.notes.midi import Notes
from m2bert.notes.midi_files import midi_files_below
from m2bert.notes.midi_readers import read_midi
from m2bert.tasks import SPLITS, TASKS

VELOCITY_EDGES = (0, 32, 48, 64, 80, 96, 128)
"""Where the classes of the velocity task begin; the last class ends before the last edge."""

FOLDS = 5


def split_pieces(folder: Path) -> list[Piece]:
    """The files in the folders train, valid and test."""
    files = ((file.split("/")[0], file) for file in midi_files_below(folder))
    return [Piece(top, file, (file,)) for top, file in files if top in SPLITS]


def folded_pieces(classes: tuple, class_of: Callable[[str], str], folder: Path) -> list[Piece]:
    """The files of train, valid and test together, sorted, those of a class in five equal folds.

    class_of: a file's path -> the name of its class. A file of none of `classes` is no piece.
    """
    files = [piece.name for piece in split_pieces(folder) if class_of(piece.name) in classes]
    sizes, seen, pieces = Counter(map(class_of, files)), Counter[str](), []
    for file in files:
        name = class_of(file)
        part = f"fold_{seen[name] * FOLDS // sizes[name]}"
        pieces.append(Piece(part, file, (file,), classes.index(name)))
        seen[name] += 1
    return pieces


def genre_pieces(folder: Path) -> list[Piece]:
    """The files of the folders train_clean/0 to test_clean/4; as many a class as are used."""
    return [
        Piece(part, name, (name,), label)
        for part in SPLITS
        for label in range(len(TASKS["genre"].classes))
        for top in [f"{part}_clean/{label}"]
        for file in midi_files_below(folder / top)[
            : DATA_SETS["tagatraum"].most_per_class.get(part)
        ]
        for name in [f"{top}/{file}"]
    ]


def pop909(folder: Path, piece: Piece) -> list[Item]:
    """A song with each note's track (melody, bridge, piano) and velocity as labels."""
    notes, order, columns = _read(folder / piece.files[0])
    velocity = np.digitize(notes.velocity[order], VELOCITY_EDGES)
    return [item_of(*columns, melody=notes.track[order] + 1, velocity=velocity)]


def classed_piece(task: str, folder: Path, piece: Piece) -> list[Item]:
    """A piece of a piece task."""
    _, _, columns = _read(folder / piece.files[0])
    return [item_of(*columns, **{task: np.array(piece.label)})]


def _read(path: Path) -> tuple[Notes, np.ndarray, list[np.ndarray]]:
    """The notes of a file; the indices of those at least as long as a 64th, ordered by onset, pitch
    and their order in the file; and the onsets, offsets (in beats) and pitches of these."""
    notes = read_midi(path)
    kept = (notes.end - notes.start) / notes.ticks_per_beat >= SHORTEST_NOTE_BEATS
    order = np.lexsort((notes.pitch, notes.start))
    order = order[kept[order]]
    beats = (ticks[order] / notes.ticks_per_beat for ticks in (notes.start, notes.end))
    return notes, order, [*beats, notes.pitch[order]]
