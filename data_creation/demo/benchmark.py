"""Labels of the demo music for the twelve tasks, in the layout in which SMCBenchmark is published.

Below the demo's folder, every part of every data set of `SONGS_OF` is a file of notes and a file of
labels for every task (`m2bert.tasks.Task.file_names`):

    smc/downstream_note/pop909_train.npy  pop909_train_melodyans.npy  pop909_train_velocityans.npy
    smc/downstream_note/bps_motif_fold_0.npy  bps_motif_fold_0_mnidans.npy
    smc/downstream_seq/pianist8_fold_0.npy  pianist8_fold_0_composerans.npy
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DATA_SETS, DataSet
from data_creation.benchmark.sources.midi import VELOCITY_EDGES
from data_creation.benchmark.sources.pieces import Item, write_part
from data_creation.demo.music import MELODY, STEPS_PER_BEAT
from data_creation.demo.styles import COMPOSERS, EMOTIONS, GENRES
from m2bert.notes.cp import BEATS_PER_BAR

FOLDER = "smc"
"""The benchmark's folder below the demo's."""

_OPEN_STRINGS = (55, 62, 69, 76)  # a violin's: G, D, A, E
_DIATONIC_STEP = np.array([0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6])  # of a semitone above the string


def _whole(notes: np.ndarray) -> list[np.ndarray]:
    """The song as one item, by onset and pitch."""
    return [notes[np.lexsort((notes["pitch"], notes["onset"]))]]


def _tracks(notes: np.ndarray) -> list[np.ndarray]:
    """Every track as an item of its own."""
    return [notes[notes["track"] == track] for track in np.unique(notes["track"])]


def _violin(notes: np.ndarray) -> list[np.ndarray]:
    """The melody as one item, in the order of the score, its onsets counted from their bar.

    A bar begins where an onset is smaller than the one before, so bars without a note leave no
    trace, as in the published data. Offset minus onset stays the note's length.
    """
    violin = notes[notes["part"] == MELODY]
    for column in ("onset", "offset"):
        violin[column] -= BEATS_PER_BAR * violin["bar"]
    return [violin]


SONGS_OF: dict[str, tuple[tuple[str, ...], Callable[[np.ndarray], list[np.ndarray]]]] = {
    "tagatraum": (("pop909", "pop1k7", "lmd"), _whole),
    "pm2s": (("pop1k7", "emopia"), _whole),
    "augnet": (("pop909", "ASAP", "lmd"), _whole),
    "pop909": (("pop909",), _whole),
    "orch": (("ASAP", "lmd"), _tracks),
    "pianist8": (("pianist8",), _whole),
    "emopia": (("emopia",), _whole),
    "tnua": (("pop909", "ASAP", "lmd"), _violin),
    "bps_motif": (("ASAP", "pop1k7"), _whole),
}
"""For each of the benchmark's data sets: the demo's corpora whose songs are in it, and a function
that gives the items of a song, arrays of `data_creation.demo.music.NOTE`."""


def _fingering(notes: np.ndarray) -> np.ndarray:
    """String, position and finger of a violinist as one number; 0 below the violin.

    The highest string, in first position while the four fingers reach.
    """
    string = np.searchsorted(_OPEN_STRINGS, notes["pitch"], side="right") - 1
    octave, semitone = np.divmod(notes["pitch"] - np.array(_OPEN_STRINGS)[string], 12)
    step = 7 * octave + _DIATONIC_STEP[semitone]
    shift = np.maximum(step - 4, 0)  # positions above the first
    return np.where(string < 0, 0, 60 * string + 5 * shift + (step - shift) + 2)


NOTE_LABELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "beat": lambda notes: 1 + (notes["step"] % STEPS_PER_BEAT == 0),
    "downbeat": lambda notes: 1 + (notes["step"] == 0),
    "chordroot": lambda notes: notes["chord_root"],
    "localkey": lambda notes: notes["local_key"],
    "melody": lambda notes: 1 + notes["part"],
    "velocity": lambda notes: np.digitize(notes["velocity"], VELOCITY_EDGES),
    "texture": lambda notes: notes["texture"],
    "violin_all": _fingering,
    "mnid": lambda notes: 1 + notes["is_motif"],
}
"""By task, a function that gives the labels of an item's notes; where 0 stands for padding, they
begin at 1."""

PIECE_CLASSES = {"genre": GENRES, "composer": COMPOSERS, "emotion": EMOTIONS}
"""The styles that are the classes of a piece task."""


def write_benchmark(output_dir: Path, songs: list[dict], notes: list[np.ndarray]) -> dict:
    """Write the data sets of the twelve tasks below the folder of a demo.

    Args:
        songs: the records of `demo.json`.
        notes: for each song its notes as played, (notes,) of dtype `data_creation.demo.music.NOTE`.

    Returns:
        For each data set, for each part: `files` below `output_dir` and `songs`, the path of each
        item's song, in the order of the items.
    """
    benchmark: dict[str, dict[str, dict]] = {}
    for name, (corpora, items_of) in SONGS_OF.items():
        benchmark[name] = {}
        for part in DATA_SETS[name].parts:
            items = [
                (song, item)
                for song, played in zip(songs, notes, strict=True)
                if song["corpus"] in corpora and part in (song["split"], song["fold"])
                for item in items_of(played)
            ]
            files = _write_part(output_dir, DATA_SETS[name], part, items)
            paths = [song["path"] for song, _ in items]
            benchmark[name][part] = {"files": files, "songs": paths}
    return benchmark


def _write_part(
    output_dir: Path, data_set: DataSet, part: str, items: list[tuple[dict, np.ndarray]]
) -> list[str]:
    """Write the notes of a part's items and their labels for every task; returns the files."""
    written = []
    for song, notes in items:
        labels = {}
        for task in data_set.tasks:
            if classes := PIECE_CLASSES.get(task.name):
                labels[task.name] = np.array(classes.index(song["style"]))
            elif of_notes := NOTE_LABELS.get(task.name):  # a task that a user has added has none
                labels[task.name] = of_notes(notes)
        columns = [notes[name] for name in ("onset", "offset", "pitch")]
        written.append(Item(np.stack(columns, axis=1), labels))
    folder = Path(FOLDER, data_set.folder)
    names, _ = write_part(data_set, part, written, output_dir / folder)
    return [(folder / name).as_posix() for name in names]
