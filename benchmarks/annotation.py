"""How long does it take to annotate a song by all tasks?

python -m benchmarks.annotation [--preset base] [--notes 2000]

Writes models of random weights (3 GB with the base preset) and a made-up song to a temporary
folder, and runs the command on them.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from miditoolkit import Instrument, MidiFile, Note
from tqdm import tqdm

from benchmarks.timing import RUNS, median_seconds
from m2bert.base.arguments import count
from m2bert.base.errors import run_command
from m2bert.model.classifiers import CLASSIFIERS
from m2bert.model.config import PRESETS
from m2bert.tasks import TASKS

TICKS = 120
"""Ticks from one chord of three notes to the next, a 16th."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--notes", type=count, default=2000)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        song, models, out = (Path(folder) / name for name in ("song.mid", "models", "out"))
        write_song(song, args.notes)
        write_models(models, args.preset)
        command = [sys.executable, "-m", "m2bert.annotate", song, "--model", models, "--out", out]
        seconds, _ = median_seconds(
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        )
        sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    print(
        f"{args.notes:,} notes, {len(TASKS)} tasks, {args.preset}: {seconds:.1f} s, with start-up"
    )
    print(f"median of {RUNS} runs; bytes written: {sizes}")


def write_song(path: Path, notes: int) -> None:
    midi, piano = MidiFile(ticks_per_beat=480), Instrument(program=0)
    for place in range(notes):
        start = place // 3 * TICKS
        pitch = 36 + place * 7 % 61
        piano.notes.append(Note(64, pitch, start, start + 2 * TICKS))
    midi.instruments.append(piano)
    midi.dump(str(path))


def write_models(folder: Path, preset: str) -> None:
    for task in tqdm(TASKS.values(), "models", leave=False, disable=None):
        torch.manual_seed(0)
        model = CLASSIFIERS[task.level](PRESETS[preset], task.classes, task=task.name)
        model.save_pretrained(folder / task.name)


if __name__ == "__main__":
    run_command(main)
