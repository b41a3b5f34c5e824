"""Speed and memory of annotating many songs.

OMP_NUM_THREADS=1 taskset -c 0 python -m benchmarks.annotate_folder FOLDER

annotates songs below FOLDER with the bundled models: each with a command of its own, and growing
numbers of them with one command. Time is CPU time, which depends little on other programs.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from m2bert.base.errors import run_command
from m2bert.notes.file_search import collect_music_files

FAST = ["--transpositions", "1", "--formats", "csv", "json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--alone", type=int, default=10, help="songs with a command of their own")
    parser.add_argument("--together", type=int, nargs="+", default=[10, 50, 100])
    parser.add_argument("--defaults", type=int, nargs="+", default=[10, 50])
    args = parser.parse_args()
    songs = collect_music_files([args.folder])
    alone = [measured([song], FAST) for song in songs[: args.alone]]
    seconds, memory = sum(s for s, _ in alone), max(m for _, m in alone)
    report(f"{len(alone)} commands, {' '.join(FAST)}", len(alone), seconds, memory)
    for flags, counts in ((FAST, args.together), ([], args.defaults)):
        for count in counts:
            name = f"one command, {count} songs, {' '.join(flags) or 'defaults'}"
            report(name, count, *measured(songs[:count], flags))


def measured(songs: list[Path], flags: list[str]) -> tuple[float, int]:
    """Seconds of CPU time and the peak memory in MB of a command."""
    with TemporaryDirectory() as out:
        words = ["-m", "m2bert.annotate", *map(str, songs), "--cpu", "--out", out, *flags]
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"m2bert.annotate exits with {status}"
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def report(name: str, songs: int, seconds: float, memory: int) -> None:
    print(f"{name}: {songs / seconds:.3f} files/s, {memory} MB", flush=True)


if __name__ == "__main__":
    run_command(main)
