"""Tables of labels of made-up songs."""

import csv
from pathlib import Path

HEADER = ("onset_beats", "pitch", "voice")


def write_table(path: Path, rows, header=HEADER, encoding="utf-8", delimiter=",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path
