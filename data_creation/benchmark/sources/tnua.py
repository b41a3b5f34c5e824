"""TNUA: violin music with the fingerings of ten violinists."""

from pathlib import Path

import numpy as np

from data_creation.benchmark.sources.pieces import Item, Piece, item_of, read_table
from m2bert.base.errors import UserError
from m2bert.tasks import TASKS

PIECES = (
    "bach1 bach2 beeth1 beeth2_1 beeth2_2 elgar flower mend1 mend2 mend3 mozart1 mozart2_1 "
    "mozart2_2 wind"
)
# part, its violinists, and which of the pieces they play
PARTS = (("train", "1234", (0, 9)), ("valid", "567", (9, 11)), ("test", ("8", "9", "10"), (11, 14)))
_COLUMNS = ("pitch", "start", "duration", "string", "position", "finger")


def pieces(_folder: Path) -> list[Piece]:
    """Each piece of a part as played by each violinist of the part, by file name."""
    played = ((part, v, PIECES.split()[slice(*which)]) for part, vs, which in PARTS for v in vs)
    names = sorted((part, f"vio{v}_{name}.csv") for part, v, names in played for name in names)
    return [Piece(part, file, (file,)) for part, file in names]


def read(folder: Path, piece: Piece) -> list[Item]:
    """A piece, onsets counted in beats of each bar as in the published arrays; the label is string,
    position and finger as one number, 0 for no fingering."""
    columns = np.array(read_table(folder / piece.files[0], _COLUMNS), float)
    pitch, onset, duration, string, position, finger = columns
    label = 60 * (string - 1) + 5 * (np.maximum(position, 1) - 1) + finger + 2
    if label.max() >= len(TASKS["violin_all"].classes):
        raise UserError(f"there is no class for the fingering of note {label.argmax()}")
    return [item_of(onset, onset + duration, pitch, violin_all=np.maximum(label, 0).astype(int))]
