"""How fast are songs embedded, in batches of windows of like lengths and one by one?

python -m benchmarks.embedding FOLDER [--files 100] [--preset tiny] [--batch_size 2]
"""

import argparse
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import RUNS, median_seconds
from m2bert.base.arguments import count
from m2bert.base.devices import choose_device, choose_precision, usual_batch_size
from m2bert.base.errors import run_command
from m2bert.embedding.pipeline import tokenise_file
from m2bert.model.config import PRESETS
from m2bert.model.encoder import M2BertModel
from m2bert.model.vectors import embed_songs
from m2bert.notes.file_search import collect_music_files
from m2bert.notes.tokens import TokenisedSong
from m2bert.notes.windows import STRIDE, WINDOW, window_starts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="every MIDI file below it counts")
    parser.add_argument("--files", type=count, default=100, help="take this many, evenly spaced")
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--batch_size", type=count, help="(that of m2bert.embed)")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()

    device = choose_device(args.cpu)
    precision = choose_precision(args.precision, device)
    files = collect_music_files([args.folder])
    step = max(1, len(files) // args.files)
    read_s, songs = median_seconds(lambda: read(files[::step][: args.files]))
    torch.manual_seed(0)
    model = M2BertModel(PRESETS[args.preset]).to(device)
    size = args.batch_size or usual_batch_size(device)

    def embed(batches: list[list[np.ndarray]], batch_size: int) -> np.ndarray:
        found = (
            embed_songs(model, songs, batch_size=batch_size, precision=precision)
            for songs in batches
        )
        return np.concatenate(list(chain.from_iterable(found)))

    one_by_one_s, alone = median_seconds(lambda: embed([[song] for song in songs], 1))
    as_read_s, _ = median_seconds(lambda: embed(in_turn(songs, size), size))
    by_length_s, together = median_seconds(lambda: embed([songs], size))

    notes = sum(map(len, songs))
    windows = sum(len(window_starts(len(song), WINDOW, STRIDE)) for song in songs)
    print(
        f"{len(songs)} songs, {notes:,} notes, {windows} windows; {args.preset}, {device.type}, "
        f"{precision}; medians of {RUNS} runs; vectors differ by {abs(alone - together).max():.1e}"
    )
    print(f"{'step':<44}{'s':>8}{'notes/s':>12}")
    for name, seconds in [
        ("reading the files in one process", read_s),
        ("embedding, one window at a time", one_by_one_s),
        (f"embedding, {size} songs at a time as they come", as_read_s),
        (f"embedding, {size} windows at a time by length", by_length_s),
    ]:
        print(f"{name:<44}{seconds:8.2f}{notes / seconds:12,.0f}")


def read(files: list[Path]) -> list[np.ndarray]:
    read = map(tokenise_file, files)
    return [song.notes for song in read if isinstance(song, TokenisedSong)]


def in_turn(songs: list[np.ndarray], size: int) -> list[list[np.ndarray]]:
    return [songs[i : i + size] for i in range(0, len(songs), size)]


if __name__ == "__main__":
    run_command(main)
