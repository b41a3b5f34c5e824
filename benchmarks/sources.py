"""Compare what was made of the sources with what others made of them.

    python -m benchmarks.sources built/SMC SMC --items smc_items.json
    python -m benchmarks.sources built/pop909_processed pop909_processed

Two folders of SMCBenchmark are compared item by item; `--items` is a JSON with the pieces of the
second one's items, by data set and part, needed where it has other items than the first. Two
folders of aligned POP909 are compared note by note.
"""

import argparse
import json
from collections import defaultdict
from itertools import chain
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DATA_SETS
from m2bert.base.errors import run_command
from m2bert.base.files import read_json
from m2bert.notes.object_arrays import read_labels, read_note_lists
from m2bert.notes.reader import read_song

TOLERANCE = 1e-9  # beats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("built", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--items", type=Path)
    arguments = parser.parse_args()
    if any(arguments.other.glob("*/*.mid")):
        compare_songs(arguments.built, arguments.other)
        return
    names = json.loads(arguments.items.read_text()) if arguments.items else {}
    print("data set    part     items  compared  equal      notes")
    for name in DATA_SETS:
        for part in DATA_SETS[name].parts:
            compare_part(name, part, arguments.built, arguments.other, names)


def compare_part(name: str, part: str, built: Path, other: Path, names: dict) -> None:
    data_set = DATA_SETS[name]
    record = built / data_set.folder / f"{name}.json"
    made = read_json(record)["made"].get(part) if record.exists() else None
    if made is None or not (other / data_set.folder / data_set.files(part)[0]).exists():
        return
    files, pieces = data_set.files(part), made["pieces"]
    ours = by_piece(pieces, items_of(built / data_set.folder, files))
    listed = names.get(f"{name}_{part}", pieces)
    theirs = by_piece(listed, items_of(other / data_set.folder, files))
    common = [piece for piece in ours if piece in theirs]
    assert common == [piece for piece in theirs if piece in ours], "in another order"
    pairs = [
        (piece, *pair) for piece in common for pair in zip(ours[piece], theirs[piece], strict=True)
    ]
    found: dict[str, list[str]] = defaultdict(list)
    for piece, our, their in pairs:
        for what, count in differences(our, their).items():
            found[what].append(f"{piece} ({count})")
    notes = sum(len(our[0]) for _, our, _ in pairs)
    unequal = len({piece.split(" (")[0] for its in found.values() for piece in its})
    print(
        f"{name:<12}{part:<8}{len(pieces):6,}{len(pairs):10,}{len(pairs) - unequal:7,}{notes:11,}"
    )
    for what, its in found.items():
        print(f"    {what} in {len(its)} items: {', '.join(its)}")


def differences(our: tuple, their: tuple) -> dict[str, int]:
    """In how many notes two items, each its notes and labels, differ, by what differs."""
    if len(our[0]) != len(their[0]):
        return {"number of notes": len(our[0]) - len(their[0])}
    other = np.abs(our[0] - their[0]) > TOLERANCE
    counts = {
        "onset or pitch": int((other[:, 0] | other[:, 2]).sum()),
        "offset alone": int((other[:, 1] & ~other[:, 0] & ~other[:, 2]).sum()),
        "label": sum(int((a != b).sum()) for a, b in zip(our[1:], their[1:], strict=True)),
    }
    return {what: count for what, count in counts.items() if count}


def items_of(folder: Path, files: list[str]) -> list[tuple]:
    """The items of a part, each its notes (notes, 3) and its labels for each task."""
    streams = (read_note_lists(folder / files[0]), *(read_labels(folder / f) for f in files[1:]))
    return list(zip(*streams, strict=True))


def by_piece(pieces: list, items: list[tuple]) -> dict[str, list[tuple]]:
    """The items of each piece; a piece's name is that of its file without folder and suffix."""
    result = defaultdict(list)
    for piece, item in zip(pieces, items, strict=True):
        name = piece if isinstance(piece, str) else piece["id"]
        result[Path(name.split("#")[0]).stem].append(item)
    return result


def compare_songs(built: Path, other: Path) -> None:
    equal, differing = 0, []
    for path in sorted(other.glob("*/*.mid")):
        ours = built / path.relative_to(other)
        if ours.exists() and song(ours) == song(path):
            equal += 1
        else:
            differing.append(path.relative_to(other).as_posix())
    print(f"{equal} of {equal + len(differing)} songs have equal notes")
    print(f"others: {', '.join(differing) or 'none'}")
    more = {p.relative_to(built) for p in built.glob("*/*.mid")} - {
        p.relative_to(other) for p in other.glob("*/*.mid")
    }
    print(f"songs that are not in {other}: {', '.join(map(str, sorted(more))) or 'none'}")


def song(path: Path) -> list:
    """Start, end, pitch, velocity and track of a file's notes."""
    notes = read_song(path).notes
    columns = (notes.start, notes.end, notes.pitch, notes.velocity, notes.track)
    return list(chain.from_iterable(column.tolist() for column in columns))


if __name__ == "__main__":
    run_command(main)
