"""Writes a small corpus of synthetic piano music, with labels, in the published folder layouts.

    python -m data_creation.demo --output_dir DIR [--songs 100] [--seed 0]

The music (see `data_creation.demo.music`) lies where the real data sets would lie, so everything
that runs on them runs on it:

    DIR/pop909_processed/{train,valid,test}/NNN.mid          melody, bridge, accompaniment
    DIR/joann8512-Pianist8-ab9f541/{train,valid,test}/COMPOSER/COMPOSER_Demo_N.mid
    DIR/EMOPIA_1.0/{train,valid,test}/Q{1..4}_demoNNNNNNN_0.mid
    DIR/Pop1K7/midi_transcribed/src_00N/N.midi
    DIR/asap-dataset/Demo/Sonata_N/midi_score.mid            and their list in DIR/ASAP_song.pkl
    DIR/lmd_matched/A/A/A/TRAAA.../HASH.mid
    DIR/smc/downstream_{note,seq}/                           the benchmark (100 songs or more)
    DIR/demo.json                                            what is known about each song

The benchmark's data sets for the twelve tasks, as `data_creation.demo.benchmark` describes them,
are labelled parts of the same music.

`demo.json` holds `settings` and, written last, `benchmark`, for each data set and part its `files`
and the `songs` of its items; and `songs`, a list with `path`, `corpus`, `style` (a row of
`data_creation.demo.styles.STYLES`), `split` and `fold` (the parts of the benchmark that it is in),
`key` (as in `m2bert.tasks.LOCAL_KEYS`), `tempo` (quarter notes a minute), `bars` and `notes`.
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
from data_creation.demo.styles import COMPOSERS, EMOTIONS, GENRES, STYLES
from m2bert.base.errors import UserError
from m2bert.base.files import read_json, replacing, write_json

RECORD = "demo.json"
FEWEST_SONGS = 20  # one or more in every corpus
FEWEST_LABELLED_SONGS = 100  # from here on every style of a corpus has five songs, one a fold
SPLIT_OF_FOLD = ("train", "test", "valid", "train", "train")


class DemoCorpus(NamedTuple):
    """The songs that take the place of a published data set.

    share: songs of every hundred; styles: taken in turn; form: a letter for every four bars, as in
    `data_creation.demo.music.compose`; ticks_per_beat: of its MIDI files; by_hand: whether it is
    played by hand, as transcriptions are, or as notated; tracks: name and MIDI program of each, for
    melody, bridge and accompaniment; if there are fewer, the first has more than one part.
    """

    share: int
    styles: tuple[str, ...]
    form: str
    ticks_per_beat: int
    by_hand: bool
    tracks: tuple[tuple[str, int], ...] = (("piano", 0),)


_SONG = (("vocal", 0), ("bridge", 1), ("piano", 2))
_HANDS = (("right hand", 0), ("left hand", 0))
_BAND = (("lead", 73), ("strings", 48), ("piano", 0))

DEMO_CORPORA = {
    "pop909": DemoCorpus(25, GENRES, "iAABABBA", 480, False, _SONG),
    "pianist8": DemoCorpus(40, COMPOSERS, "iAABABBA", 384, True),
    "emopia": DemoCorpus(20, EMOTIONS, "AABA", 384, True),
    "pop1k7": DemoCorpus(5, ("pop",), "iAABABBA", 220, True),
    "ASAP": DemoCorpus(5, ("sonata",), "iAABABBA", 480, False, _HANDS),
    "lmd": DemoCorpus(5, ("rock",), "iABABA", 480, False, _BAND),
}

# Where their songs lie below the output folder.
SONG_PATHS = {
    "pop909": "pop909_processed/{split}/{number:03d}.mid",
    "pianist8": "joann8512-Pianist8-ab9f541/{split}/{style}/{style}_Demo_{number}.mid",
    "emopia": "EMOPIA_1.0/{split}/{style}_demo{number:07d}_0.mid",
    "pop1k7": "Pop1K7/midi_transcribed/src_{number:03d}/{number}.midi",
    "ASAP": "asap-dataset/Demo/Sonata_{number}/midi_score.mid",
    "lmd": "lmd_matched/A/A/A/TRAAADEMO{number:09d}/{number:032x}.mid",
}


def write_demo(output_dir: Path | str, songs: int = 100, seed: int = 0) -> dict:
    """Write the demo corpora below `output_dir` and return the content of their `demo.json`.

    The same songs and seed give the same bytes. A demo that is already there is kept; one that was
    interrupted is completed.

    Raises:
        UserError: fewer songs than `FEWEST_SONGS`; a negative seed; a folder that holds a demo of
            other settings or anything else.
    """
    output_dir = Path(output_dir)
    if songs < FEWEST_SONGS:
        raise UserError(f"--songs {songs} is too few for six corpora: at least {FEWEST_SONGS}")
    if seed < 0:
        raise UserError(f"--seed {seed} is negative: give 0 or more")
    settings = {"songs": songs, "seed": seed}
    if kept := _kept_demo(output_dir, settings):
        print(f"{output_dir} already holds this demo (--songs {songs} --seed {seed}): it is kept")
        return kept

    write_json(output_dir / RECORD, {"settings": settings})
    planned = list(_planned(songs))
    listed = [song["path"] for song in planned if song["corpus"] == "ASAP"]
    with replacing(output_dir / "ASAP_song.pkl") as temporary:  # as published
        names = [path.removeprefix("asap-dataset/") for path in listed]
        temporary.write_bytes(pickle.dumps(names, protocol=2))
    bar = tqdm(planned, "composing", unit=" songs", disable=None)
    notes = [_write_song(output_dir, song, [seed, i]) for i, song in enumerate(bar)]
    has_labels = songs >= FEWEST_LABELLED_SONGS
    benchmark = write_benchmark(output_dir, planned, notes) if has_labels else {}
    demo = {"settings": settings, "benchmark": benchmark, "songs": planned}
    write_json(output_dir / RECORD, demo)
    return demo


def _kept_demo(output_dir: Path, settings: dict) -> dict | None:
    """The record of the demo that is there, if it was finished and all its files are still there.

    Raises `UserError` if the folder holds something other than a demo of these settings.
    """
    record = output_dir / RECORD
    if not record.exists():
        if output_dir.exists() and not output_dir.is_dir():
            raise UserError(f"{output_dir} is a file: give a folder")
        if output_dir.is_dir() and any(path.name[0] != "." for path in output_dir.iterdir()):
            raise UserError(f"{output_dir} holds other files: give an empty or a new folder")
        return None
    demo = read_json(record)
    if not isinstance(demo.get("settings"), dict):
        raise UserError(f"{record} is not a demo's record: remove its folder")
    if demo["settings"] != settings:
        flags = " ".join(f"--{flag} {value}" for flag, value in demo["settings"].items())
        raise UserError(f"{output_dir} holds a demo of {flags}: give that or another folder")
    if "songs" not in demo:
        return None
    parts = (part for parts in demo["benchmark"].values() for part in parts.values())
    files = [song["path"] for song in demo["songs"]] + [f for part in parts for f in part["files"]]
    return demo if all((output_dir / file).exists() for file in files) else None


def _planned(songs: int) -> Iterator[dict]:
    """The records of all songs, corpus by corpus, as far as they are known before composing."""
    share = 0
    for name, corpus in DEMO_CORPORA.items():
        first, share = songs * share // 100, share + corpus.share
        for i in range(songs * share // 100 - first):
            turn, style = divmod(i, len(corpus.styles))
            fold = turn % len(SPLIT_OF_FOLD)
            known = {"style": corpus.styles[style], "split": SPLIT_OF_FOLD[fold]}
            path = SONG_PATHS[name].format(**known, number=i + 1)
            yield {"path": path, "corpus": name, **known, "fold": f"fold_{fold}"}


def _write_song(output_dir: Path, song: dict, seed: list[int]) -> np.ndarray:
    """Compose a song, write its MIDI file, complete its record and return its notes as played."""
    corpus, style = DEMO_CORPORA[song["corpus"]], STYLES[song["style"]]
    rng = np.random.default_rng(seed)
    key, notes = compose(rng, style, corpus.form)
    # parts without a track of their own play on the first
    notes["track"] = np.maximum(notes["part"] + len(corpus.tracks) - 3, 0)
    notes = play(rng, notes, corpus.ticks_per_beat, corpus.by_hand)
    with replacing(output_dir / song["path"]) as temporary:
        midi_file(notes, corpus.ticks_per_beat, corpus.tracks, style.tempo).dump(temporary)
    bars = 1 + int(notes["bar"].max())
    song |= {"key": key.name, "tempo": style.tempo, "bars": bars, "notes": len(notes)}
    return notes
