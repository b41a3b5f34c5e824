"""Orchestral texture: first movements of symphonies, an item for each instrument."""

from pathlib import Path

import numpy as np

from data_creation.benchmark.sources.pieces import Item, Piece, item_in_bars, outer_bars, read_table
from m2bert.base.errors import UserError
from m2bert.notes.reader import read_song

METADATA = "new_metadata.csv"
_PART_OF_ROW = {1: "valid", 5: "valid", 10: "valid", 0: "test", 4: "test", 9: "test"}
_ROLES = np.array([4, 2, 1])  # melody, rhythm, harmony


def pieces(folder: Path) -> list[Piece]:
    paths = zip(*read_table(folder / METADATA, ("midi", "annot_npy")), strict=True)
    return [
        Piece(_PART_OF_ROW.get(row, "train"), name, (midi, labels, f"dbeats/{name}.csv"))
        for row, (midi, labels) in enumerate(paths)
        for name in [Path(midi).stem]
    ]


def read(folder: Path, piece: Piece) -> list[Item]:
    """The instruments of a movement; each note has the texture of its instrument in its bar."""
    midi, labels, dbeats = (folder / file for file in piece.files)
    notes, roles = read_song(midi).notes, np.load(labels, allow_pickle=False).astype(int)
    begins = np.array(read_table(dbeats, ("onset",))[0], float)
    instruments = int(notes.track.max(initial=-1)) + 1
    if roles.shape != (len(begins), instruments, len(_ROLES)) or not np.isin(roles, (0, 1)).all():
        needed = f"{len(begins)} bars, {instruments} instruments and {len(_ROLES)} roles"
        raise UserError(f"{labels.name} does not have 0 or 1 for each of {needed}")
    texture = roles @ _ROLES
    lines, items = outer_bars(begins, before=0), []
    for track in range(instruments):
        its = notes.track == track
        ticks = np.stack([notes.start[its], (notes.end - notes.start)[its]])
        columns = np.vstack([ticks / notes.ticks_per_beat, notes.pitch[its]])
        columns = columns[:, np.lexsort(columns[1::-1])]
        bar = np.searchsorted(begins, columns[0], side="right") - 1
        items.append(item_in_bars(columns, lines, texture=texture[bar, track]))
    return items
