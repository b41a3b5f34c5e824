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
    """A published data set whose place is taken by demo music.

    share: songs of every hundred; path: place of a song below the output folder; styles: taken in
    turn; phrases: length of a song; tracks: (name, MIDI program) of each, melody, bridge and
    accompaniment from the last on, so that the first has the rest; by_hand: whether played by hand
    (as transcriptions are) or as notated.
    """

    share: int
    path: str
    styles: tuple[str, ...]
    phrases: int
    ticks_per_beat: int
    tracks: tuple[tuple[str, int], ...] = (("piano", 0),)
    by_hand: bool = True


DEMO_CORPORA = {
    "pop909": DemoCorpus(
        share=25,
        path="pop909_processed/{split}/{number:03d}.mid",
        styles=GENRES,
        phrases=8,
        ticks_per_beat=480,
        tracks=(("vocal", 0), ("bridge", 1), ("piano", 2)),
        by_hand=False,
    ),
    "pianist8": DemoCorpus(
        share=40,
        path="joann8512-Pianist8-ab9f541/{split}/{style}/{style}_Demo_{number}.mid",
        styles=COMPOSERS,
        phrases=8,
        ticks_per_beat=384,
    ),
    "emopia": DemoCorpus(
        share=20,
        path="EMOPIA_1.0/{split}/{style}_demo{number:07d}_0.mid",
        styles=EMOTIONS,
        phrases=4,
        ticks_per_beat=384,
    ),
    "pop1k7": DemoCorpus(
        share=5,
        path="Pop1K7/midi_transcribed/src_{number:03d}/{number}.midi",
        styles=("pop",),
        phrases=8,
        ticks_per_beat=220,
    ),
    "ASAP": DemoCorpus(
        share=5,
        path="asap-dataset/Demo/Sonata_{number}/midi_score.mid",
        styles=("sonata",),
        phrases=8,
        ticks_per_beat=480,
        tracks=(("right hand", 0), ("left hand", 0)),
        by_hand=False,
    ),
    "lmd": DemoCorpus(
        share=5,
        path="lmd_matched/A/A/A/TRAAADEMO{number:09d}/{number:032x}.mid",
        styles=("rock",),
        phrases=6,
        ticks_per_beat=480,
        tracks=(("lead", 73), ("strings", 48), ("piano", 0)),
        by_hand=False,
    ),
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
    there = _read_record(output_dir)
    if there and there["settings"] != settings:
        flags = " ".join(f"--{flag} {value}" for flag, value in there["settings"].items())
        raise UserError(f"{output_dir} holds a demo of {flags}: give that or another folder")
    if there and _is_whole(output_dir, there):
        print(f"{output_dir} already holds this demo (--songs {songs} --seed {seed}): it is kept")
        return there

    write_json(output_dir / RECORD, {"settings": settings})
    planned = list(_planned(songs))
    _write_asap_list(output_dir, planned)
    bar = tqdm(planned, "composing", unit=" songs", disable=None)
    notes = [_write_song(output_dir, song, [seed, i]) for i, song in enumerate(bar)]
    benchmark = {}
    if songs >= FEWEST_LABELLED_SONGS:
        benchmark = write_benchmark(output_dir, planned, notes)
    demo = {"settings": settings, "benchmark": benchmark, "songs": planned}
    write_json(output_dir / RECORD, demo)
    return demo


def _read_record(output_dir: Path) -> dict | None:
    """The record of the demo that is there; None in an empty or a new folder."""
    if (output_dir / RECORD).exists():
        record = read_json(output_dir / RECORD)
        if not isinstance(record.get("settings"), dict):
            raise UserError(f"{output_dir / RECORD} is not a demo's record: remove its folder")
        return record
    if output_dir.exists() and not output_dir.is_dir():
        raise UserError(f"{output_dir} is a file: give a folder")
    if output_dir.is_dir() and any(path.name[0] != "." for path in output_dir.iterdir()):
        raise UserError(f"{output_dir} holds other files: give an empty or a new folder")
    return None


def _is_whole(output_dir: Path, demo: dict) -> bool:
    """Whether a demo was finished, and all its files are still there."""
    if "songs" not in demo:
        return False
    files = [song["path"] for song in demo["songs"]]
    files += [
        file
        for parts in demo["benchmark"].values()
        for part in parts.values()
        for file in part["files"]
    ]
    return all((output_dir / file).exists() for file in files)


def _planned(songs: int) -> Iterator[dict]:
    """The records of all songs, corpus by corpus, as far as they are known before composing."""
    share = 0
    for name, corpus in DEMO_CORPORA.items():
        first, share = songs * share // 100, share + corpus.share
        for i in range(songs * share // 100 - first):
            style = corpus.styles[i % len(corpus.styles)]
            fold = i // len(corpus.styles) % len(SPLIT_OF_FOLD)
            split = SPLIT_OF_FOLD[fold]
            yield {
                "path": corpus.path.format(split=split, style=style, number=i + 1),
                "corpus": name,
                "style": style,
                "split": split,
                "fold": f"fold_{fold}",
            }


def _write_song(output_dir: Path, song: dict, seed: list[int]) -> np.ndarray:
    """Compose a song, write its MIDI file, complete its record and return its notes as played."""
    corpus, style = DEMO_CORPORA[song["corpus"]], STYLES[song["style"]]
    rng = np.random.default_rng(seed)
    composition = compose(rng, style, corpus.phrases)
    notes = composition.notes
    # parts without a track of their own play on the first
    notes["track"] = np.maximum(notes["part"] + len(corpus.tracks) - 3, 0)
    notes = play(rng, notes, corpus.ticks_per_beat, corpus.by_hand)
    with replacing(output_dir / song["path"]) as temporary:
        midi_file(notes, corpus.ticks_per_beat, corpus.tracks, style.tempo).dump(temporary)
    song |= {
        "key": composition.key.name,
        "tempo": style.tempo,
        "bars": composition.bars,
        "notes": len(notes),
    }
    return notes


def _write_asap_list(output_dir: Path, songs: list[dict]) -> None:
    """ASAP's list of pieces is published as a pickled list of paths below `asap-dataset`."""
    paths = [song["path"] for song in songs if song["corpus"] == "ASAP"]
    with replacing(output_dir / "ASAP_song.pkl") as temporary:
        names = [path.removeprefix("asap-dataset/") for path in paths]
        temporary.write_bytes(pickle.dumps(names, protocol=2))
