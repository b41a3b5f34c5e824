"""Writes synthetic piano music with labels in the folders of the published data sets.

`demo.json` lists it: `benchmark`, for each data set and part its `files` and the `songs` of its
items; `songs` with `path`, `corpus`, `style` (a class of a piece task), `split` and `fold` (the
parts of the benchmark that it is in), `key` (as in `m2bert.tasks.LOCAL_KEYS`) and `notes`.
"""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_creation.demo.benchmark import write_benchmark
from data_creation.demo.music import compose
from data_creation.demo.performance import midi_file, play
from data_creation.demo.styles import CLASSES, STYLES
from m2bert.base.files import read_json, write_json
from m2bert.base.outputs import output_files

RECORD = "demo.json"
SPLIT_OF_FOLD = ("train", "test", "valid", "train", "train")


class DemoCorpus(NamedTuple):
    """The songs that take the place of a published data set.

    path: of a song, below the demo's folder; styles: names of the styles, each of five songs, one
    per fold; form: as in `compose`; by_hand: as in `play`; tracks: name and MIDI program of each,
    for melody, bridge and accompaniment; if there are fewer, the first has several parts.
    """

    path: str
    styles: tuple[str, ...]
    form: str
    ticks_per_beat: int
    by_hand: bool
    tracks: tuple[tuple[str, int], ...] = (("piano", 0),)


_SONG = (("vocal", 0), ("bridge", 1), ("piano", 2))
_HANDS = (("right hand", 0), ("left hand", 0))
_BAND = (("lead", 73), ("strings", 48), ("piano", 0))
_POP909 = "pop909_processed/{split}/{number:03d}.mid"
_PIANIST8 = "joann8512-Pianist8-ab9f541/{split}/{style}/{style}_Demo_{number}.mid"
_EMOPIA = "EMOPIA_1.0/{split}/{style}_demo{number:07d}_0.mid"
_POP1K7 = "Pop1K7/midi_transcribed/src_{number:03d}/{number}.midi"
_ASAP = "asap-dataset/Demo/Sonata_{number}/midi_score.mid"
_LMD = "lmd_matched/A/A/A/TRAAADEMO{number:09d}/{number:032x}.mid"
_FORM = "AAABABBA"

DEMO_CORPORA = {
    "pop909": DemoCorpus(_POP909, CLASSES["genre"], _FORM, 480, False, _SONG),
    "pianist8": DemoCorpus(_PIANIST8, CLASSES["composer"], _FORM, 384, True),
    "emopia": DemoCorpus(_EMOPIA, CLASSES["emotion"], "AABA", 384, True),
    "pop1k7": DemoCorpus(_POP1K7, ("pop",), _FORM, 220, True),
    "ASAP": DemoCorpus(_ASAP, ("country",), _FORM, 480, False, _HANDS),
    "lmd": DemoCorpus(_LMD, ("rock",), "AABABA", 480, False, _BAND),
}


def write_demo(output_dir: Path) -> dict:
    """Write the demo, always the same bytes, or keep it if it is complete; returns the content of
    `demo.json`. Raises `UserError` if other files are in the way."""
    if demo := _complete_demo(output_dir):
        print(f"{output_dir} already contains the demo, which is kept")
        return demo
    songs = list(_planned())
    with output_files(output_dir, [RECORD]) as temporary:
        bar = tqdm(songs, "composing", unit=" songs", disable=None)
        notes = [_write_song(temporary, song, number) for number, song in enumerate(bar)]
        listed = [song["path"] for song in songs if song["corpus"] == "ASAP"]
        names = [path.removeprefix("asap-dataset/") for path in listed]
        (temporary / "ASAP_song.pkl").write_bytes(pickle.dumps(names, protocol=2))  # as published
        demo = {"benchmark": write_benchmark(temporary, songs, notes), "songs": songs}
        write_json(temporary / RECORD, demo)
    return demo


def _complete_demo(output_dir: Path) -> dict | None:
    """The record of the demo, if all its files exist."""
    if not (output_dir / RECORD).exists():
        return None
    demo = read_json(output_dir / RECORD)
    parts = (part for parts in demo.get("benchmark", {}).values() for part in parts.values())
    files = [song["path"] for song in demo.get("songs", ())]
    files += [file for part in parts for file in part["files"]]
    return demo if files and all((output_dir / file).exists() for file in files) else None


def _planned() -> Iterator[dict]:
    """The records of all songs, without what is known only after composing."""
    for name, corpus in DEMO_CORPORA.items():
        songs = ((f, style) for f in range(len(SPLIT_OF_FOLD)) for style in corpus.styles)
        for number, (fold, style) in enumerate(songs, 1):
            known = {"style": style, "split": SPLIT_OF_FOLD[fold]}
            path = corpus.path.format(**known, number=number)
            yield {"path": path, "corpus": name, **known, "fold": f"fold_{fold}"}


def _write_song(output_dir: Path, song: dict, number: int) -> np.ndarray:
    """Compose a song, write its MIDI file, complete its record and return its notes as played."""
    corpus, name = DEMO_CORPORA[song["corpus"]], song["style"]
    style = next(STYLES[its.index(name)] for its in CLASSES.values() if name in its)
    rng = np.random.default_rng([0, number])
    key, notes = compose(rng, style, corpus.form)
    # parts without a track of their own play on the first
    notes["track"] = np.maximum(notes["part"] + len(corpus.tracks) - 3, 0)
    notes = play(rng, notes, corpus.ticks_per_beat, corpus.by_hand)
    path = output_dir / song["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    midi_file(notes, corpus.ticks_per_beat, corpus.tracks, style.tempo).dump(path)
    song |= {"key": key.name, "notes": len(notes)}
    return notes
