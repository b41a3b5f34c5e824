"""BPS-motif: first movements of Beethoven's piano sonatas, with the notes of motifs marked."""

from pathlib import Path

import numpy as np

from data_creation.benchmark.sources.pieces import Item, Piece, item_in_bars, outer_bars, read_table
from m2bert.base.errors import UserError

_FIRST_OF_FOLD = (1, 8, 15, 21, 27)  # sonatas; there are 32


def pieces(_folder: Path) -> list[Piece]:
    folds = np.searchsorted(_FIRST_OF_FOLD, range(1, 33), side="right") - 1
    return [
        Piece(f"fold_{fold}", name, (f"notes/{name}.csv", f"downbeats/{number}/dBeats.xlsx"))
        for number, fold in enumerate(folds, 1)
        for name in [f"{number:02d}-1"]
    ]


def read(folder: Path, piece: Piece) -> list[Item]:
    """A movement; label 2 where a note belongs to a motif, else 1."""
    from openpyxl import load_workbook  # of the extra "score"

    table, downbeats = (folder / file for file in piece.files)
    *columns, motif = read_table(table, ("onset", "duration", "midi_number", "type"))
    sheets = load_workbook(downbeats, read_only=True, data_only=True).worksheets
    if not sheets:
        raise UserError(f"{downbeats.name} has no sheets")
    cells = [row[0] for row in sheets[0].iter_rows(values_only=True)]
    lines = outer_bars(np.array([cell for cell in cells if cell is not None], float), before=1)
    label = np.where(np.array(motif) != "", 2, 1)
    return [item_in_bars(np.array(columns, float), lines, mnid=label)]
