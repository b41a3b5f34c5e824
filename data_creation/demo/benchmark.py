"""Labels of the demo music for the twelve tasks, in the published layout of SMCBenchmark."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DATA_SETS, DataSet
from data_creation.benchmark.sources.midi import VELOCITY_EDGES
from data_creation.benchmark.sources.pieces import Item, write_part
from data_creation.demo.music import MELODY, STEPS_PER_BEAT
from data_creation.demo.styles import CLASSES
from m2bert.notes.cp import BEATS_PER_BAR

FOLDER = "smc"
"""The benchmark's folder below the demo's."""

_OPEN_STRINGS = np.array([55, 62, 69, 76])  # a violin's: G, D, A, E
_DIATONIC_STEP = np.array([0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6])  # of a semitone above the string


def _whole(notes: np.ndarray) -> list[np.ndarray]:
    """The song as one item, by onset and pitch."""
    return [notes[np.lexsort((notes["pitch"], notes["onset"]))]]


def _tracks(notes: np.ndarray) -> list[np.ndarray]:
    return [notes[notes["track"] == track] for track in np.unique(notes["track"])]


def _violin(notes: np.ndarray) -> list[np.ndarray]:
    """The melody, its onsets counted in each bar, as in the published data."""
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
"""For each data set of the benchmark: the demo's corpora whose songs are in it, and a function that
gives the items of a song, arrays of `music.NOTE`."""


def _fingering(notes: np.ndarray) -> np.ndarray:
    """String, position and finger as one number, 0 below the violin: the highest string, in first
    position where the four fingers reach."""
    string = np.searchsorted(_OPEN_STRINGS, notes["pitch"], side="right") - 1
    octave, semitone = np.divmod(notes["pitch"] - _OPEN_STRINGS[string], 12)
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
"""By task, the labels of an item's notes."""


def write_benchmark(output_dir: Path, songs: list[dict], notes: list[np.ndarray]) -> dict:
    """Write the data sets of the twelve tasks below the folder of a demo.

    songs: the records of `demo.json`; notes: the played notes of each, (notes,) `music.NOTE`.

    Returns, by data set and part, the `files` below `output_dir` and the `songs`, the path of each
    item's song.
    """
    benchmark: dict[str, dict[str, dict]] = {}
    for name, (corpora, items_of) in SONGS_OF.items():
        data_set, benchmark[name] = DATA_SETS[name], {}
        folder = Path(FOLDER, data_set.folder)
        for part in data_set.parts:
            items = [
                (song, item)
                for song, played in zip(songs, notes, strict=True)
                if song["corpus"] in corpora and part in (song["split"], song["fold"])
                for item in items_of(played)
            ]
            labelled = [_item(data_set, song, item) for song, item in items]
            files, _ = write_part(data_set, part, labelled, output_dir / folder)
            paths = [(folder / file).as_posix() for file in files]
            benchmark[name][part] = {"files": paths, "songs": [song["path"] for song, _ in items]}
    return benchmark


def _item(data_set: DataSet, song: dict, notes: np.ndarray) -> Item:
    """An item with labels of the benchmark's own tasks."""
    labels = {}
    for task in (task.name for task in data_set.tasks):
        if task in CLASSES:
            labels[task] = np.array(CLASSES[task].index(song["style"]))
        elif task in NOTE_LABELS:
            labels[task] = NOTE_LABELS[task](notes)
    return Item(np.stack([notes[name] for name in ("onset", "offset", "pitch")], axis=1), labels)
