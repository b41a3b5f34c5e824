"""Do the readers of MIDI files agree on every file of a folder, and how fast is each?

python -m benchmarks.midi_readers FOLDER

Each file on which they disagree is named with what differs, and the exit status is then 1.
"""

import argparse
from dataclasses import fields
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from data_creation.corpora import find_files
from m2bert.base.errors import run_command
from m2bert.notes.midi_reader import READERS, check_reader
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import RejectedSong
from m2bert.notes.song import Notes

RULE = "mido"  # the reader that the others must agree with


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="every MIDI file below it counts")
    arguments = parser.parse_args()

    for reader in READERS:
        check_reader(reader)
    folder, names = find_files("benchmark", arguments.folder)
    seconds = dict.fromkeys(READERS, 0.0)
    notes = rejected = 0
    differing = []
    for name in tqdm(names, "reading", unit=" files", disable=None):
        results = {}
        for reader in READERS:
            begin = perf_counter()
            results[reader] = read_or_reason(folder / name, reader)
            seconds[reader] += perf_counter() - begin
        expected = results[RULE]
        rejected += isinstance(expected, str)
        notes += 0 if isinstance(expected, str) else len(expected.start)
        for reader, found in results.items():
            what = difference(expected, found)
            if what:
                differing.append(name)
                print(f"{reader} differs from {RULE} on {name}: {what}")

    print(f"{len(names):,} files, {notes:,} notes; {rejected:,} files cannot be read")
    print(f"{'reader':<14}{'files/s':>10}{'notes/s':>14}")
    for reader, taken in seconds.items():
        print(f"{reader:<14}{len(names) / taken:10,.0f}{notes / taken:14,.0f}")
    print(f"the readers disagree on {len(differing):,} files")
    return 1 if differing else 0


def read_or_reason(path: Path, reader: str, as_published: bool = False) -> Notes | str:
    """The notes of a file, or why it is rejected."""
    try:
        return read_song(path, reader, as_published).notes
    except RejectedSong as rejection:
        return rejection.reason


def difference(expected: Notes | str, found: Notes | str) -> str:
    """What differs between two readings of a file in words; empty if nothing does."""
    if isinstance(expected, str) or isinstance(found, str):
        outcomes = [x if isinstance(x, str) else f"{len(x.start)} notes" for x in (found, expected)]
        return "" if expected == found else f"{outcomes[0]} instead of {outcomes[1]}"
    if len(expected.start) != len(found.start):
        return f"{len(found.start)} notes instead of {len(expected.start)}"
    names = [field.name for field in fields(Notes)]
    differing = [n for n in names if not np.array_equal(getattr(expected, n), getattr(found, n))]
    return ", ".join(differing)


if __name__ == "__main__":
    run_command(main)
