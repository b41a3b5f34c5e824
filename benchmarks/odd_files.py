"""Are damaged MIDI files read alike by every reader, in bounded time and memory?

python -m benchmarks.odd_files FOLDER [--mutants 20000]

Makes mutants of the small files below FOLDER (a byte flipped, a part cut out, inserted, repeated or
taken from another file, another header), always the same ones, and reads each by both readers in
both ways. The exit status is 1 if a worker failed, took too long, or two readers found other notes
in a file.
"""

import argparse
import os
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from benchmarks.midi_readers import difference, read_or_reason
from m2bert.base.errors import run_command
from m2bert.base.workers import WorkerFailure, map_in_processes
from m2bert.notes.file_search import MIDI_SUFFIXES, music_files_below
from m2bert.notes.midi_reader import READERS

LARGEST = 20_000  # bytes of a file; mido takes seconds for the largest ones
SECONDS_PER_MUTANT = 10
WAYS = {"as published": True, "made legal": False}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="every MIDI file below it counts")
    parser.add_argument("--mutants", type=int, default=20_000)
    arguments = parser.parse_args()

    paths = [arguments.folder / file for file in music_files_below(arguments.folder, MIDI_SUFFIXES)]
    files = [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST]
    outcomes: Counter[str] = Counter()
    bad, slowest, largest = 0, 0.0, 0
    results = map_in_processes(
        partial(read_mutant, files),
        range(arguments.mutants),
        os.cpu_count() or 1,
        SECONDS_PER_MUTANT,
    )
    for number, result in enumerate(tqdm(results, total=arguments.mutants, disable=None)):
        if isinstance(result, WorkerFailure):
            bad += 1
            print(f"mutant {number}: {result.reason} ({result.detail})")
            continue
        seconds, memory, found = result
        slowest, largest = max(slowest, seconds), max(largest, memory)
        outcomes.update(found)
        for what in found:
            if "other notes" in what or "alone" in what:
                print(f"mutant {number}: {what}")
                bad += "other notes" in what
    for what, count in sorted(outcomes.items()):
        print(f"{count:8,}  {what}")
    print(f"slowest {slowest:.1f} s, largest process {largest / 1024:.0f} MB")
    return 1 if bad else 0


def read_mutant(files: list[bytes], number: int) -> tuple[float, int, list[str]]:
    """Read one mutant: seconds, the memory of this process in KiB, what happened."""
    begin = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutant.mid")
        path.write_bytes(mutant(files, number))
        found = [what for way in WAYS for what in outcomes_of(path, way)]
    return perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, found


def outcomes_of(path: Path, way: str) -> Iterator[str]:
    """What the readers make of a file, in words."""
    expected, found = (read_or_reason(path, reader, WAYS[way]) for reader in READERS)
    refused = [isinstance(outcome, str) for outcome in (expected, found)]
    if refused == [False, False] and difference(expected, found):
        yield f"{way}: other notes by symusic ({difference(expected, found)})"
    elif refused == [True, False]:
        yield f"{way}: accepted by symusic alone"
    elif refused == [False, True]:
        yield f"{way}: accepted by mido alone"
    yield f"{way}: {f'refused, {expected}' if isinstance(expected, str) else 'accepted'}"


def mutant(files: list[bytes], number: int) -> bytes:
    """The `number`th mutant: one of the files, changed once to three times."""
    chance = random.Random(number)
    data = bytearray(chance.choice(files))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        end = min(at + chance.choice((1, 2, 3, 4, 8, 50)), len(data))
        match chance.choice(("flip", "flip", "set", "cut", "insert", "repeat", "splice", "header")):
            case "flip" if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case "set" if at < len(data):
                data[at] = chance.choice((0, 0x7F, 0x80, 0xF0, 0xF7, 0xFF, 0x90, 0x51, 0x58))
            case "cut":
                del data[at : chance.choice((end, len(data)))]
            case "insert":
                data[at:at] = chance.randbytes(end - at)
            case "repeat":
                data[at:at] = data[at:end]
            case "splice":
                other = chance.choice(files)
                begin = chance.randrange(len(other))
                data[at:] = other[begin:]
            case "header" if len(data) >= 24:
                place = chance.choice((4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 18, 19, 20, 21))
                data[place] = chance.choice((0, 1, 2, 3, 0x80, 0xFF))
    return bytes(data)


if __name__ == "__main__":
    run_command(main)
