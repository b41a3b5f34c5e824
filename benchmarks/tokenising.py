"""How fast do MIDI files become CP notes on one core, and where does the time go?

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="every MIDI file below it counts")
    parser.add_argument("--files", type=int, default=60, help="take this many, evenly spaced")
    arguments = parser.parse_args()

    folder, names = find_files("benchmark", arguments.folder)
    step = max(1, len(names) // arguments.files)
    paths = [folder / name for name in names[::step] if is_readable(folder / name)]
    read_s, read = median_seconds(lambda: [read_song(path) for path in paths])
    songs = [song.notes for song in read]
    tokens_s, tokens = median_seconds(
        lambda: [
            cp_notes(song.start, song.end, song.pitch, song.track, song.ticks_per_beat)
            for song in songs
        ]
    )

    notes = sum(len(song.start) for song in songs)
    kept = sum(map(len, tokens))
    print(f"{len(paths)} files, {notes:,} notes, {kept:,} of them kept; medians of {RUNS} runs")
    print(f"{'step':<34}{'s':>8}{'files/s':>11}{'notes/s':>13}")
    for step_name, seconds in [
        ("file -> arrays", read_s),
        ("arrays -> CP notes", tokens_s),
        ("all", read_s + tokens_s),
    ]:
        print(f"{step_name:<34}{seconds:8.4f}{len(paths) / seconds:11.0f}{notes / seconds:13,.0f}")


def is_readable(path: Path) -> bool:
    try:
        read_song(path)
    except RejectedSong:
        return False
    return True


if __name__ == "__main__":
    run_command(main)
