"""Many small MIDI files become a corpus: how fast, and in how much memory?

python -m benchmarks.many_files [--files 20000] [--num_workers 2] [--midi_reader symusic]

Makes a folder of files from the demo's music and tokenises it through the command line.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

from tqdm import tqdm

from data_creation.demo.write import write_demo
from m2bert.base.arguments import count
from m2bert.base.errors import UserError, run_command
from m2bert.notes.midi_reader import READERS, check_reader
from m2bert.notes.reader import read_song
from m2bert.notes.song import Notes
from m2bert.pretraining.corpus import open_corpus
from tests.helpers.midi_files import END, FOUR_FOUR, midi_bytes, off, on

NAME = "many"
BARS_OF_A_FILE = 8
SECONDS_BETWEEN_SAMPLES = 0.5
REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=count, default=20_000)
    parser.add_argument("--num_workers", type=count, default=2)
    parser.add_argument("--midi_reader", choices=READERS, default="mido")
    args = parser.parse_args()

    check_reader(args.midi_reader)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, args.files)
        begin = monotonic()
        process = start_command(folder, args.num_workers, args.midi_reader)
        samples = sample_memory(process)
        seconds = monotonic() - begin
        notes = len(open_corpus(folder / "corpora", NAME).notes)
        print(f"{args.files:,} files, {notes:,} notes, {args.midi_reader}, ", end="")
        print(f"{args.num_workers} workers: {seconds:.1f} s, {args.files / seconds:,.0f} files/s")
        print_memory(samples)


def write_files(folder: Path, files: int) -> None:
    """Write excerpts of the demo's songs to `folder/midi`, each file with other notes."""
    songs = write_demo(folder / "demo")["songs"]
    notes = [read_song(folder / "demo" / song["path"]).notes for song in songs]
    (folder / "midi").mkdir()
    for index in tqdm(range(files), "writing", unit=" files", disable=None):
        variant, song = divmod(index, len(songs))
        bar, transposition = divmod(variant, 12)
        first_bar = bar % (songs[song]["bars"] - BARS_OF_A_FILE)
        content = excerpt(notes[song], first_bar, transposition - 6)
        (folder / "midi" / f"{index:06}.mid").write_bytes(content)


def excerpt(notes: Notes, first_bar: int, transposition: int) -> bytes:
    """Some bars of a song as a MIDI file of one track."""
    ticks_per_bar = 4 * notes.ticks_per_beat
    begin = first_bar * ticks_per_bar
    inside = (notes.start >= begin) & (notes.start < begin + BARS_OF_A_FILE * ticks_per_bar)
    pitch = (notes.pitch[inside] + transposition).tolist()
    starts = zip((notes.start[inside] - begin).tolist(), [on] * len(pitch), pitch, strict=True)
    ends = zip((notes.end[inside] - begin).tolist(), [off] * len(pitch), pitch, strict=True)
    events, now = [], 0
    for tick, event, key in sorted([*ends, *starts], key=lambda entry: entry[0]):
        events.append(event(tick - now, key))
        now = tick
    return midi_bytes(FOUR_FOUR + b"".join(events) + END, division=notes.ticks_per_beat)


def start_command(folder: Path, workers: int, reader: str) -> subprocess.Popen:
    places = ["--dataset_dir", folder / "midi", "--output_dir", folder / "corpora"]
    flags = ["--dataset", NAME, *places]
    flags += ["--num_workers", workers, "--midi_reader", reader]
    command = [sys.executable, "-m", "data_creation.prepare_pretrain", *map(str, flags)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def sample_memory(process: subprocess.Popen) -> list[tuple[float, float]]:
    """Wait for a process; returns megabytes of it and of its largest child.

    They are taken at equal intervals from when it has children on.
    """
    samples = []
    while process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        sizes = [resident_megabytes(child) for child in children]
        if sizes:
            samples.append((resident_megabytes(process.pid), max(sizes)))
        sleep(SECONDS_BETWEEN_SAMPLES)
    if process.returncode:
        raise UserError(f"the command failed with exit status {process.returncode}")
    return samples


def resident_megabytes(process: int | str) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:  # it has just ended
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def print_memory(samples: list[tuple[float, float]]) -> None:
    print(f"{'MB in memory':<16}{'parent':>10}{'largest worker':>18}")
    for share in (0.1, 0.5, 0.9):
        parent, worker = samples[int(share * len(samples))]
        print(f"{f'after {share:.0%}':<16}{parent:10.0f}{worker:18.0f}")
    parent, worker = (max(column) for column in zip(*samples, strict=True))
    print(f"{'at most':<16}{parent:10.0f}{worker:18.0f}")


if __name__ == "__main__":
    run_command(main)
