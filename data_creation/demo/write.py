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
    DIR/annotations/.../NAME.npz                             what is known about each note
    DIR/demo.json                                            what is known about each song

The benchmark's data sets for the twelve tasks, as `data_creation.demo.benchmark` describes them,
are labelled parts of the same music.

`demo.json`, written last, holds `settings`; `corpora`, for each its `files` and `notes`;
`benchmark`, for each data set and part its `files`, its `notes` and the `songs` of its items; and
`songs`, a list with `path`, `annotations`, `corpus`, `style`, `composer` (a name or null),
`emotion` (Q1..Q4 or null), `genre` (0..4: pop, rock, jazz, country, latin; or null), `key` (as in
`local_key`, by name), `tempo` (quarter notes a minute), `bars` and `notes`.

An annotation file (`numpy.load`) has one column per name, each `(notes,)`; row i is note i of the
MIDI file, tracks in file order and the notes of each sorted by (start, pitch):

    onset, offset     float64, beats: MIDI ticks / ticks per beat
    pitch, velocity   as in the MIDI file
    track             number of the track in the MIDI file, from 0
    part              0 melody, 1 bridge, 2 accompaniment
    bar               number of the bar, from 0; bars without notes count
    chord_root        1..35, place of the root's name in `m2bert.tasks.CHORD_ROOTS`
    local_key         1..37, place of the key's name in `m2bert.tasks.LOCAL_KEYS`
    is_beat           1 for a note written on a beat, however it was played
    is_downbeat       1 for a note written on the first beat of a bar
    is_motif          1 for a note of the song's main motif
    texture           4 x melodic + 2 x rhythmic + 1 x harmonic: what its part does in its bar
    violin_string     1 G, 2 D, 3 A, 4 E; -1 in this and the next two where there is no fingering
    violin_position   from 1 (first position)
    violin_finger     0 (open string) to 4

Classes 1.. leave 0 to padding, as the benchmark does.
"""

import hashlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import miditoolkit
import numpy as np
from tqdm import tqdm

from data_creation.demo.benchmark import SPLITS_IN_TURN, write_benchmark
from data_creation.demo.music import COLUMNS, Composition, compose
from data_creation.demo.performance import Performance, perform
from data_creation.demo.styles import (
    CLASSICAL_STYLES,
    COMPOSER_STYLES,
    EMOTION_STYLES,
    GENRE_STYLES,
    STYLES,
)
from m2bert.base.errors import UserError
from m2bert.base.files import replacing, write_json

FINISHED, UNFINISHED = "demo.json", "demo.unfinished.json"
FEWEST_SONGS = 20  # one or more in every corpus


@dataclass(frozen=True)
class DemoCorpus:
    """A published data set whose place is taken by demo music.

    Attributes:
        share: songs of every hundred.
        path: place of a song below the output folder, in the words of `_planned`.
        styles: names of `STYLES`, taken in turn.
        phrases: lengths to choose from in phrases of four bars, taken in turn.
        ticks_per_beat: resolution of the MIDI files.
        tracks: (name, MIDI program) of each track.
        part_tracks: the track of melody, bridge and accompaniment.
        performed: whether played by hand (as transcriptions are) or as notated.
    """

    share: int
    path: str
    styles: tuple[str, ...]
    phrases: tuple[int, ...]
    ticks_per_beat: int
    tracks: tuple[tuple[str, int], ...]
    part_tracks: tuple[int, int, int]
    performed: bool


_SOLO = (("piano", 0),)

DEMO_CORPORA = {
    "pop909": DemoCorpus(
        share=20,
        path="pop909_processed/{split}/{number:03d}.mid",
        styles=tuple(GENRE_STYLES),
        phrases=(8, 10),
        ticks_per_beat=480,
        tracks=(("vocal", 0), ("bridge", 1), ("piano", 2)),
        part_tracks=(0, 1, 2),
        performed=False,
    ),
    "pianist8": DemoCorpus(
        share=40,
        path="joann8512-Pianist8-ab9f541/{split}/{style}/{style}_Demo_{number}.mid",
        styles=tuple(COMPOSER_STYLES),
        phrases=(8, 6),
        ticks_per_beat=384,
        tracks=_SOLO,
        part_tracks=(0, 0, 0),
        performed=True,
    ),
    "emopia": DemoCorpus(
        share=20,
        path="EMOPIA_1.0/{split}/{style}_demo{number:07d}_0.mid",
        styles=tuple(EMOTION_STYLES),
        phrases=(4,),
        ticks_per_beat=384,
        tracks=_SOLO,
        part_tracks=(0, 0, 0),
        performed=True,
    ),
    "pop1k7": DemoCorpus(
        share=10,
        path="Pop1K7/midi_transcribed/src_{source:03d}/{number}.midi",
        styles=tuple(GENRE_STYLES),
        phrases=(8, 10),
        ticks_per_beat=220,
        tracks=_SOLO,
        part_tracks=(0, 0, 0),
        performed=True,
    ),
    "ASAP": DemoCorpus(
        share=5,
        path="asap-dataset/Demo/Sonata_{number}/midi_score.mid",
        styles=tuple(CLASSICAL_STYLES),
        phrases=(8, 6),
        ticks_per_beat=480,
        tracks=(("right hand", 0), ("left hand", 0)),
        part_tracks=(0, 0, 1),
        performed=False,
    ),
    "lmd": DemoCorpus(
        share=5,
        path="lmd_matched/{track[2]}/{track[3]}/{track[4]}/{track}/{md5}.mid",
        styles=tuple(GENRE_STYLES),
        phrases=(6,),
        ticks_per_beat=480,
        tracks=(("lead", 73), ("strings", 48), ("piano", 0)),
        part_tracks=(0, 1, 2),
        performed=False,
    ),
}


@dataclass(frozen=True)
class Plan:
    """A song to be written: where, in which style, of how many phrases, from which seed."""

    corpus: str
    path: str
    style: str
    phrases: int
    seed: tuple[int, ...]


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
    finished = _finished(output_dir, settings)
    if finished:
        print(f"{output_dir} already holds this demo (--songs {songs} --seed {seed}): it is kept")
        return finished

    write_json(output_dir / UNFINISHED, {"settings": settings})
    plans = list(_planned(songs, seed))
    bar = tqdm(plans, "composing", unit=" songs", disable=None)
    records = [_write_song(output_dir, plan) for plan in bar]
    _write_asap_list(output_dir, plans)
    demo = {
        "settings": settings,
        "corpora": _totals(records),
        "benchmark": write_benchmark(output_dir, records),
        "songs": records,
    }
    write_json(output_dir / FINISHED, demo)
    (output_dir / UNFINISHED).unlink()
    return demo


def _finished(output_dir: Path, settings: dict) -> dict | None:
    """The record of a complete demo of these settings; None where one may be written."""
    if output_dir.exists() and not output_dir.is_dir():
        raise UserError(f"{output_dir} is a file: give a folder")
    for name in (FINISHED, UNFINISHED):
        if not (output_dir / name).exists():
            continue
        demo = _read_record(output_dir / name)
        if demo["settings"] != settings:
            there = " ".join(f"--{flag} {value}" for flag, value in demo["settings"].items())
            raise UserError(f"{output_dir} holds a demo of {there}: give that or another folder")
        paths = [song[key] for song in demo.get("songs", ()) for key in ("path", "annotations")]
        parts = [part for parts in demo.get("benchmark", {}).values() for part in parts.values()]
        paths += [path for part in parts for path in part["files"]]
        # Earlier releases wrote no benchmark.
        whole = "benchmark" in demo and all((output_dir / path).exists() for path in paths)
        return demo if whole else None
    if output_dir.is_dir() and any(path.name[0] != "." for path in output_dir.iterdir()):
        raise UserError(f"{output_dir} holds other files: give an empty or a new folder")
    return None


def _read_record(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        dict(record["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a demo's record: remove it or its folder") from error
    return record


def _planned(songs: int, seed: int) -> Iterator[Plan]:
    """All songs, corpus by corpus, shared out as `DemoCorpus.share` says."""
    share = 0
    for number, (name, corpus) in enumerate(DEMO_CORPORA.items()):
        first, share = songs * share // 100, share + corpus.share
        for i in range(songs * share // 100 - first):
            style = corpus.styles[i % len(corpus.styles)]
            nth = i // len(corpus.styles)  # of its style
            track = f"TRA{chr(65 + i // 26 % 26)}{chr(65 + i % 26)}DEMO{i:09d}"
            path = corpus.path.format(
                split=SPLITS_IN_TURN[nth % len(SPLITS_IN_TURN)],
                style=style,
                number=i + 1,
                source=i % 4 + 1,
                track=track,
                md5=hashlib.md5(track.encode(), usedforsecurity=False).hexdigest(),
            )
            phrases = corpus.phrases[nth % len(corpus.phrases)]
            yield Plan(name, path, style, phrases, (seed, number, i))


def _write_song(output_dir: Path, plan: Plan) -> dict:
    """Compose one song, write its MIDI file and its annotations, return its record."""
    corpus, style = DEMO_CORPORA[plan.corpus], STYLES[plan.style]
    song = compose(plan.seed, style, plan.phrases)
    performance = perform(
        (*plan.seed, 1),  # random numbers of its own
        song,
        corpus.ticks_per_beat,
        corpus.part_tracks,
        style.touch if corpus.performed else None,
    )
    annotations = Path("annotations", plan.path).with_suffix(".npz")
    with replacing(output_dir / plan.path) as temporary:
        _midi(corpus, song, performance).dump(temporary)
    with replacing(output_dir / annotations) as temporary, temporary.open("wb") as file:
        columns = {column: performance.notes[column] for column in COLUMNS}
        np.savez(file, **columns)  # type: ignore[arg-type]  # no column is "allow_pickle"
    return {
        "path": plan.path,
        "annotations": annotations.as_posix(),
        "corpus": plan.corpus,
        "style": plan.style,
        "composer": plan.style if plan.style in COMPOSER_STYLES else None,
        "emotion": plan.style if plan.style in EMOTION_STYLES else None,
        "genre": list(GENRE_STYLES).index(plan.style) if plan.style in GENRE_STYLES else None,
        "key": song.key,
        "tempo": song.tempo,
        "bars": song.bars,
        "notes": len(performance.notes),
    }


def _midi(corpus: DemoCorpus, song: Composition, performance: Performance) -> miditoolkit.MidiFile:
    midi = miditoolkit.MidiFile(ticks_per_beat=corpus.ticks_per_beat)
    midi.time_signature_changes = [miditoolkit.TimeSignature(4, 4, 0)]
    midi.tempo_changes = [miditoolkit.TempoChange(song.tempo, 0)]
    midi.instruments = [
        miditoolkit.Instrument(program, False, name) for name, program in corpus.tracks
    ]
    columns = (performance.notes["velocity"], performance.notes["pitch"])
    rows = np.stack([*columns, performance.start, performance.end], axis=1).tolist()
    for track, row in zip(performance.notes["track"].tolist(), rows, strict=True):
        midi.instruments[track].notes.append(miditoolkit.Note(*row))
    return midi


def _write_asap_list(output_dir: Path, plans: list[Plan]) -> None:
    """ASAP's list of pieces is published as a pickled list of paths below `asap-dataset`."""
    paths = [plan.path.removeprefix("asap-dataset/") for plan in plans if plan.corpus == "ASAP"]
    with replacing(output_dir / "ASAP_song.pkl") as temporary:
        temporary.write_bytes(pickle.dumps(paths, protocol=2))


def _totals(records: list[dict]) -> dict:
    """Files and notes of every corpus."""
    totals = {name: {"files": 0, "notes": 0} for name in DEMO_CORPORA}
    for record in records:
        totals[record["corpus"]]["files"] += 1
        totals[record["corpus"]]["notes"] += record["notes"]
    return totals
