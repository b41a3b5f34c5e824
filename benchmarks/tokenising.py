"""Measure how fast MIDI files become CP notes on one core.

python -m benchmarks.tokenising FOLDER [--files 60]
"""

import argparse
from pathlib import Path

from benchmarks.timing import RUNS, median_seconds
from data_creation.corpora import find_files
from m2bert.base.errors import run_command
from m2bert.notes.cp import cp_notes
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import RejectedSong
from m2bert.notes.song import Notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="is searched for MIDI files")
    parser.add_argument("--files", type=int, default=60, help="read this many, evenly spaced")
    arguments = parser.parse_args()

    folder, names = find_files("benchmark", arguments.folder)
    step = max(1, len(names) // arguments.files)
    paths = [folder / name for name in names[::step]]
    read_s, songs = median_seconds(lambda: [song for path in paths for song in read(path)])
    tokens_s, tokens = median_seconds(
        lambda: [cp_notes(s.start, s.end, s.pitch, s.track, s.ticks_per_beat) for s in songs]
    )
    notes = sum(len(song.start) for song in songs)
    kept = sum(map(len, tokens))
    print(f"{len(songs)} files, {notes:,} notes, {kept:,} of them kept; medians of {RUNS} runs")
    print(f"{'step':<34}{'s':>8}{'files/s':>11}{'notes/s':>13}")
    rows = [
        ("file -> arrays", read_s),
        ("arrays -> CP notes", tokens_s),
        ("all", read_s + tokens_s),
    ]
    for name, seconds in rows:
        print(f"{name:<34}{seconds:8.4f}{len(songs) / seconds:11.0f}{notes / seconds:13,.0f}")


def read(path: Path) -> list[Notes]:
    """The notes of a file; empty if it is rejected."""
    try:
        return [read_song(path).notes]
    except RejectedSong:
        return []


if __name__ == "__main__":
    run_command(main)
