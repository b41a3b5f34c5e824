"""Does data of LMD's size take more time and memory than a hundredth of it?

python -m benchmarks.lmd_size [--songs 100000] [--notes 300000000] [--output_dir FOLDER]

Makes a corpus of random notes of that size (1.2 GB) and one of 1,000 songs of the same lengths, and
sets what pre-training does with both side by side. In `--output_dir` they are kept and used again.
"""

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

from benchmarks.corpus_opening import timed
from benchmarks.made_up_corpus import song_lengths, write_corpus
from benchmarks.timing import RUNS
from m2bert.base.arguments import count
from m2bert.base.errors import UserError, run_command
from m2bert.pretraining.corpus import PARTS, open_corpus
from m2bert.pretraining.segments import Batches, Songs, draw_segments, load_batches, split_songs

FEW_SONGS = 1000
LENGTH = 1024
BATCH = 12
DRAWN_BATCHES = 500
LOADED_BATCHES = 5000
MORE_EPOCHS = 5
SECONDS_BETWEEN_LOOKS = 0.02


class Figures(NamedTuple):
    """What a step took: milliseconds, and the megabytes that its process then held.

    peak_mb: at most, with the pages of files, which the system takes back when it needs them;
    anonymous_mb: without those, at the step's end.
    """

    milliseconds: float
    peak_mb: float
    anonymous_mb: float


Rows = dict[str, Figures]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--songs", type=count, default=100_000)
    parser.add_argument("--notes", type=count, default=300_000_000)
    parser.add_argument("--output_dir", type=Path, help="keep the corpora here")
    args = parser.parse_args()
    if args.notes < args.songs:
        parser.error("--notes must be at least --songs")

    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output_dir or Path(temporary)
        few = song_lengths(FEW_SONGS, FEW_SONGS * args.notes // args.songs)
        many = song_lengths(args.songs, args.notes)
        print_tables(few, many, measure(folder, few), measure(folder, many))


def measure(folder: Path, lengths: np.ndarray) -> Rows:
    """Every step with a corpus of songs of these lengths, which is written if it is not there."""
    name = f"random_{len(lengths)}_{lengths.sum()}"
    rows = in_fresh_process(write, folder, name, lengths)
    for step in (open_and_draw, exclude, load):
        rows |= medians([in_fresh_process(step, folder, name) for _ in range(RUNS)])
    return rows | medians([pretrain(folder, name) for _ in range(RUNS)])


def in_fresh_process(step: Callable[..., Rows], *args: Any) -> Rows:
    # unlike those of multiprocessing's own pool, these processes may start others
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(step, *args).result()


def medians(runs: list[Rows]) -> Rows:
    columns = {title: zip(*(rows[title] for rows in runs), strict=True) for title in runs[0]}
    return {title: Figures(*map(median, figures)) for title, figures in columns.items()}


# Steps within a process: memory is what it holds beyond what it held before ------------------


class Watch:
    """Takes time and memory of one step of this process after another."""

    def __init__(self):
        self.before = memory("self")
        self.rows: Rows = {}

    def step(self, title: str, action: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
        result, seconds = timed(action)
        self.note(title, seconds, memory("self"))
        return result

    def note(self, title: str, seconds: float, now: dict[str, float]) -> None:
        peak = now["VmHWM"] - self.before["VmRSS"]
        self.rows[title] = Figures(1000 * seconds, peak, now["RssAnon"] - self.before["RssAnon"])


def write(folder: Path, name: str, lengths: np.ndarray) -> Rows:
    watch = Watch()
    if not all((folder / f"{name}{part}").exists() for part in PARTS):
        watch.step("writing it", lambda: write_corpus(folder, name, lengths))
    return watch.rows


def open_and_draw(folder: Path, name: str) -> Rows:
    watch = Watch()
    songs = watch.step("opening", lambda: Songs([open_corpus(folder, name)]))
    watch.step("checking all notes", songs.check)
    train, _ = watch.step("splitting", lambda: split_songs(np.arange(len(songs)), seed=0))
    batches = watch.step("shuffling an epoch", lambda: draw_epoch(songs, train, 1))
    steps = np.random.default_rng(0).integers(0, len(batches), DRAWN_BATCHES).tolist()
    title = f"{DRAWN_BATCHES} batches"
    seconds = watch.step(title, lambda: [timed(lambda s=step: batches[s])[1] for step in steps])
    drawn = watch.rows.pop(title)
    watch.rows["a batch, median"] = drawn._replace(milliseconds=1000 * median(seconds))
    watch.rows[f"a batch, slowest of {DRAWN_BATCHES}"] = drawn._replace(
        milliseconds=1000 * max(seconds)
    )
    epochs = range(2, 2 + MORE_EPOCHS)
    title = f"shuffling {MORE_EPOCHS} epochs more"
    watch.step(title, lambda: [len(draw_epoch(songs, train, epoch)) for epoch in epochs])
    return watch.rows


def draw_epoch(songs: Songs, chosen: np.ndarray, epoch: int) -> Batches:
    draws = draw_segments(chosen, songs.lengths[chosen], LENGTH, 0, epoch, shuffle=True)
    return Batches(songs, draws, BATCH, LENGTH, mask_percent=0.3)


def exclude(folder: Path, name: str) -> Rows:
    songs = Songs([open_corpus(folder, name)])
    watch = Watch()
    watch.step("excluding a song by name", lambda: songs.excluded({"000007.mid"}))
    return watch.rows


def load(folder: Path, name: str) -> Rows:
    """Read batches in a background process; the memory is that process's."""
    watch = Watch()
    songs = Songs([open_corpus(folder, name)])
    batches = draw_epoch(songs, np.arange(len(songs)), 1)
    loaded = load_batches(batches, 0, workers=1, pin_memory=False)
    steps = min(LOADED_BATCHES, len(batches) - 1)  # with the last one the process ends
    _, seconds = timed(lambda: [next(loaded)["real"] for _ in range(steps)])
    (reader,) = multiprocessing.active_children()
    watch.note("a batch read in the background", seconds / steps, memory(reader.pid))
    return watch.rows


# A whole command: memory is all that its processes hold ---------------------------------------


def pretrain(folder: Path, name: str) -> Rows:
    """Pre-train for three steps; the time is that until the first is done."""
    with tempfile.TemporaryDirectory() as run:
        command = [sys.executable, "-m", "m2bert.pretrain", "--cpu", "--preset", "tiny"]
        command += ["--save_dir", run, "--data_root", str(folder), "--datasets", name]
        command += ["--batch_size", "4", "--max_seq_len", "128", "--max_steps", "3"]
        command += ["--log_steps", "1"]
        begin = perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        first_step = None
        trainer, reader = [0.0, 0.0], [0.0, 0.0]
        while process.poll() is None:
            if first_step is None and has_content(Path(run) / "metrics.jsonl"):
                first_step = perf_counter() - begin
            raise_to(trainer, memory(process.pid))
            for child in children(process.pid):
                raise_to(reader, memory(child))
            sleep(SECONDS_BETWEEN_LOOKS)
    if process.returncode or first_step is None:
        raise UserError("pre-training did not come to its third step (see above)")
    return {
        "pre-training, to the first step": Figures(1000 * first_step, *trainer),
        "its background process": Figures(0.0, *reader),
    }


def has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def raise_to(peaks: list[float], now: dict[str, float]) -> None:
    """Raise [peak of all, greatest anonymous] memory to what a process, if it lives, holds now."""
    if now:
        peaks[:] = max(peaks[0], now["VmHWM"]), max(peaks[1], now["RssAnon"])


def memory(process: int | str) -> dict[str, float]:
    """Megabytes that a process holds, by the kernel's names; {} if it has ended."""
    fields = status(process)
    names = [name for name in ("VmRSS", "VmHWM", "RssAnon") if name in fields]
    return {name: 1024 * int(fields[name].split()[0]) / 1e6 for name in names}


def children(process: int) -> list[str]:
    numbers = [path.name for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if status(number).get("PPid") == str(process)]


def status(process: int | str) -> dict[str, str]:
    """What the kernel says about a process; {} if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def print_tables(few: np.ndarray, many: np.ndarray, small: Rows, large: Rows) -> None:
    print(f"medians of {RUNS} fresh processes; MB: peak, and of anonymous memory at the end;")
    print("the last two rows with libraries, model and optimiser, the others beyond the start")
    sizes = [f"{len(lengths):,} songs, {lengths.sum():,} notes" for lengths in (few, many)]
    print(f"{'':<34}{sizes[0]:>33}{sizes[1]:>37}")
    print(f"{'step':<34}" + 2 * f"{'ms':>13}{'MB':>10}{'anonymous':>12}")
    for title in large:
        print(f"{title:<34}{cells(small.get(title))}{cells(large[title])}".rstrip())


def cells(figures: Figures | None) -> str:
    if figures is None:  # the corpus was there
        return " " * 35
    milliseconds, peak, anonymous = figures
    shown = f"{milliseconds:13,.2f}" if milliseconds else " " * 13
    return f"{shown}{peak:10.1f}{anonymous:12.1f}"


if __name__ == "__main__":
    run_command(main)
