"""Labels of the demo music for the twelve tasks, in the layout in which SMCBenchmark is published.

Below the demo's folder, every part of every data set of `SOURCES` is a file of notes and a file of
labels for every task (`m2bert.tasks.Task.file_names`):

    smc/downstream_note/pop909_train.npy  pop909_train_melodyans.npy  pop909_train_velocityans.npy
    smc/downstream_note/bps_motif_fold_0.npy  bps_motif_fold_0_mnidans.npy
    smc/downstream_seq/pianist8_fold_0.npy  pianist8_fold_0_composerans.npy

A file of notes is an object array (pickled) of items, each a list of [onset, offset, pitch]: floats
in beats, and an int. The labels of a note task are an object array of lists of ints, one a note;
those of a piece task a plain int64 array, one an item.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_creation.benchmark.sets import DATA_SETS, DataSet
from data_creation.demo.music import COLUMNS, MELODY, NOTE
from m2bert.base.files import replacing
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.tasks import TASKS

FEWEST_LABELLED_SONGS = 100
"""Songs of a demo from which on every composer has five, one for each fold."""

SPLITS_IN_TURN = ("train", "test", "valid", "train", "train")
"""Splits of the songs of a style. Of the four that a style has as POP909, two are for training."""

FOLDER = "smc"
"""The benchmark's folder below the demo's."""

VELOCITY_EDGES = (0, 32, 48, 64, 80, 96, 128)


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


@dataclass(frozen=True)
class Source:
    """Where a data set's items come from.

    Attributes:
        corpora: the demo's corpora whose songs it takes.
        items: makes the items of one song from its notes of dtype `NOTE`, `(notes,)`, sorted by
            (track, onset, pitch).
        alike: "style" or "corpus": songs that have this in common are dealt out over the parts.
    """

    corpora: tuple[str, ...]
    items: Callable[[np.ndarray], list[np.ndarray]] = _whole
    alike: str = "style"


SOURCES = {
    "tagatraum": Source(("pop909", "pop1k7", "lmd")),
    "pm2s": Source(("pop1k7", "emopia")),
    "augnet": Source(("pop909", "ASAP", "lmd")),
    "pop909": Source(("pop909",)),
    "orch": Source(("ASAP", "lmd"), items=_tracks, alike="corpus"),
    "pianist8": Source(("pianist8",)),
    "emopia": Source(("emopia",)),
    # In their melodies an onset always decreases over a bar line. Not so in every style: of two
    # bars with a whole note each, the second could not be told from the first.
    "tnua": Source(("pop909", "ASAP", "lmd"), items=_violin),
    "bps_motif": Source(("ASAP", "pop1k7"), alike="corpus"),
}
"""The benchmark's data sets and the demo music that takes their place."""


def _velocity(notes: np.ndarray) -> np.ndarray:
    return np.digitize(notes["velocity"], VELOCITY_EDGES)


def _fingering(notes: np.ndarray) -> np.ndarray:
    """String, position and finger as one number; 0 where there is no fingering."""
    string, position, finger = (
        notes[f"violin_{name}"] for name in ("string", "position", "finger")
    )
    return np.maximum(60 * (string - 1) + 5 * (np.maximum(position, 1) - 1) + finger + 2, 0)


NOTE_LABELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "beat": lambda notes: notes["is_beat"] + 1,
    "downbeat": lambda notes: notes["is_downbeat"] + 1,
    "chordroot": lambda notes: notes["chord_root"],
    "localkey": lambda notes: notes["local_key"],
    "melody": lambda notes: notes["part"] + 1,
    "velocity": _velocity,
    "texture": lambda notes: notes["texture"],
    "violin_all": _fingering,
    "mnid": lambda notes: notes["is_motif"] + 1,
}
"""The labels of an item's notes, by task."""

PIECE_LABELS: dict[str, Callable[[dict], int]] = {
    "genre": lambda song: song["genre"],
    "composer": lambda song: TASKS["composer"].classes.index(song["composer"]),
    "emotion": lambda song: TASKS["emotion"].classes.index(song["emotion"]),
}
"""The label of a song, by task."""


def write_benchmark(output_dir: Path, songs: list[dict]) -> dict[str, dict[str, dict]]:
    """Write the data sets of the twelve tasks below the folder of a demo.

    Args:
        songs: the records of `demo.json`; their annotations have been written.

    Returns:
        For each data set, for each part: `files` below `output_dir`, `songs` (the path of each
        item's song, in the order of the items) and `notes` (their number). Empty for fewer songs
        than `FEWEST_LABELLED_SONGS`: nothing is written.
    """
    if len(songs) < FEWEST_LABELLED_SONGS:
        return {}
    notes = {song["path"]: _read_notes(output_dir / song["annotations"]) for song in songs}
    benchmark: dict[str, dict[str, dict]] = {}
    for name, source in SOURCES.items():
        benchmark[name] = {}
        for part, dealt in _dealt_out(source, DATA_SETS[name], songs).items():
            items = [(song, item) for song in dealt for item in source.items(notes[song["path"]])]
            benchmark[name][part] = _write_part(output_dir, DATA_SETS[name], part, items)
    return benchmark


def _dealt_out(source: Source, data_set: DataSet, songs: list[dict]) -> dict[str, list[dict]]:
    """The songs of every part of a data set.

    Splits are the demo's own. Folds are made as the published ones are (`docs/METHOD.md`, "Tasks"):
    of `count` songs that are alike, the i-th by path goes to fold i * 5 // count.
    """
    folds = data_set.tasks[0].folds
    songs = [song for corpus in source.corpora for song in songs if song["corpus"] == corpus]
    if folds:
        songs.sort(key=lambda song: song["path"])
    counts = Counter(song[source.alike] for song in songs)
    seen: Counter[str] = Counter()
    dealt: dict[str, list[dict]] = {part: [] for part in data_set.parts}
    for song in songs:
        alike = song[source.alike]
        i = seen[alike]
        seen[alike] += 1
        if folds:
            dealt[data_set.parts[i * folds // counts[alike]]].append(song)
        else:
            dealt[SPLITS_IN_TURN[i % len(SPLITS_IN_TURN)]].append(song)
    return dealt


def _write_part(
    output_dir: Path, data_set: DataSet, part: str, items: list[tuple[dict, np.ndarray]]
) -> dict:
    """Write the notes of a part's items and their labels for every task; say what was written."""
    notes_file, _ = data_set.tasks[0].file_names(part)
    arrays = {notes_file: _objects(_rows(notes) for _, notes in items)}
    for task in data_set.tasks:
        _, labels_file = task.file_names(part)
        if of_piece := PIECE_LABELS.get(task.name):
            arrays[labels_file] = np.array([of_piece(song) for song, _ in items], dtype=np.int64)
        elif of_notes := NOTE_LABELS.get(task.name):  # a task that a user has added has none
            arrays[labels_file] = _objects(of_notes(notes).tolist() for _, notes in items)
    folder = Path(FOLDER, data_set.folder)
    for name, array in arrays.items():
        with replacing(output_dir / folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    return {
        "files": [(folder / name).as_posix() for name in arrays],
        "songs": [song["path"] for song, _ in items],
        "notes": sum(len(notes) for _, notes in items),
    }


def _read_notes(path: Path) -> np.ndarray:
    """The notes of an annotation file, `(notes,)` of dtype `NOTE`."""
    with np.load(path) as columns:
        return np.rec.fromarrays([columns[name] for name in COLUMNS], dtype=NOTE)


def _rows(notes: np.ndarray) -> list[list]:
    columns = (notes[name].tolist() for name in ("onset", "offset", "pitch"))
    return [list(row) for row in zip(*columns, strict=True)]


def _objects(items: Iterable[list]) -> np.ndarray:
    """An object array of lists, `(items,)`, whatever their lengths."""
    return np.fromiter(items, dtype=object)
