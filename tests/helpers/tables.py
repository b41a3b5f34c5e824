"""CSV files, such as tables of the labels of songs."""

import csv
from collections.abc import Iterable
from pathlib import Path

HEADER = ("onset_beats", "pitch", "voice")


def read_csv(path: Path) -> list[dict]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_csv(
    path: Path,
    rows: Iterable[Iterable],
    header: Iterable[str] = HEADER,
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path
