"""How many beats and downbeats are found in performances, and how fast?

python -m benchmarks.beats --pm2s PM2S --pop909 POP909   (needs mir_eval)

Performances are PM2S's (its feature files of the validation and test part below PM2S, as for
`data_creation`) and those of POP909 (its folder with 001 to 909; every ninth song of its validation
part, every eighth of its test part, and three songs in three of each). Beats of POP909 are those of
`beat_midi.txt`, downbeats those next to the ones of `beat_audio.txt`. Scores are mir_eval's
F-measure at +-70 ms, of the onsets of the notes that the bundled models label as beats and
downbeats, and of the decoded ones.
"""

import argparse
import json
import time
from pathlib import Path

import mir_eval
import numpy as np

import data_creation.benchmark.sources
from data_creation.benchmark.sources import pm2s
from m2bert.annotation.beats import decode_beats
from m2bert.annotation.models import BEAT_TASKS, find_models
from m2bert.base.errors import run_command
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import BUNDLED_MODELS
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.object_arrays import read_pickle
from m2bert.notes.reader import read_song

SPLIT = Path(data_creation.benchmark.sources.__file__).parent / "pop909_split.json"
THREE_BEATS = {"valid": ("034", "062", "102"), "test": ("107", "152", "173")}
EVERY = {"valid": 9, "test": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pm2s", type=Path, required=True)
    parser.add_argument("--pop909", type=Path, required=True)
    args = parser.parse_args()
    found = find_models([BUNDLED_MODELS], BEAT_TASKS)
    models = [list(map(load_classifier, found[task])) for task in BEAT_TASKS]
    split = json.loads(SPLIT.read_text())
    print(
        "notes' beats, decoded beats, notes' downbeats, decoded downbeats, ms per second of music"
    )
    for part in ("valid", "test"):
        pieces = [p for p in pm2s.pieces(args.pm2s) if p.part == part]
        files = [path for p in pieces if (path := args.pm2s / p.files[0]).exists()]
        songs = [*split[part][:: EVERY[part]], *THREE_BEATS[part]]
        rows = [score(*performance_of_pm2s(path), models) for path in files]
        print(f"PM2S {part}, {len(rows)} performances:", *np.mean(rows, axis=0).round(3))
        rows = [score(*performance_of_pop909(args.pop909 / name), models) for name in songs]
        print(f"POP909 {part}, {len(rows)} songs:", *np.mean(rows, axis=0).round(3))


def performance_of_pm2s(path: Path) -> tuple[np.ndarray, ...]:
    """Notes in beats and their onsets in seconds, the true beats and downbeats."""
    rows, annotations = read_pickle(path)
    onsets = np.sort(np.array(rows, float).reshape(-1, 4)[:, 1])
    (item,) = pm2s.read(path.parent, pm2s.Piece("", path.stem, (path.name,)))
    return item.notes, onsets, *(np.sort(annotations[of]) for of in ("beats", "downbeats"))


def performance_of_pop909(folder: Path) -> tuple[np.ndarray, ...]:
    song = read_song(folder / f"{folder.name}.mid")
    start, end, pitch = song.notes.start, song.notes.end, song.notes.pitch
    beats = np.loadtxt(folder / "beat_midi.txt")[:, 0]
    audio, number, *_ = np.loadtxt(folder / "beat_audio.txt").T  # some 50 ms late
    downbeats = beats[np.abs(beats[:, None] - audio[number == 1] + 0.05).argmin(0)]
    notes = np.stack([song.beats(start), song.beats(end), pitch], 1)
    return notes, song.seconds(start), beats, np.unique(downbeats)


def score(notes, seconds, beats, downbeats, models) -> list[float]:
    order = order_by_onset(notes)
    cp, seconds = cp_notes_of_beats(notes[order]), seconds[order]
    of_notes = [
        np.mean([model.probabilities([cp], precision="fp32")[0] for model in of_task], axis=0)
        for of_task in models
    ]
    begin = time.process_time()
    times, numbers = decode_beats(seconds, *(its[:, 2] for its in of_notes))
    pace = 1000 * (time.process_time() - begin) / (seconds[-1] - seconds[0])
    raw = [np.unique(seconds[its.argmax(1) == 2]) for its in of_notes]
    pairs = ((beats, raw[0]), (beats, times), (downbeats, raw[1]), (downbeats, times[numbers == 1]))
    return [*(mir_eval.beat.f_measure(true, found) for true, found in pairs), pace]


if __name__ == "__main__":
    run_command(main)
