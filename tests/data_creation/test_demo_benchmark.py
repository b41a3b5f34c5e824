"""The demo's benchmark: every file of every task, labels that agree with the MIDI files."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import miditoolkit
import pytest

from data_creation.benchmark.sets import DATA_SETS
from data_creation.demo.benchmark import SONGS_OF
from data_creation.demo.harmony import pitch_class, tone_name
from data_creation.prepare_smc import make_data_set
from m2bert.notes.object_arrays import is_pickled, read_items
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS, TASKS

FOLDERS = {"note": "smc/downstream_note", "piece": "smc/downstream_seq"}
CHROMA = {tone_name(tone): pitch_class(tone) for tone in range(-15, 20)}
MAJOR, MINOR = {0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 10, 11}  # minor: both sevenths

Pieces = Callable[..., Iterator[tuple[dict, list, list]]]


@pytest.fixture(scope="module")
def pieces(demo_dir: Path, demo: dict) -> Pieces:
    """A function that yields the song, the notes and the labels of the items of a task."""
    songs = {song["path"]: song for song in demo["songs"]}

    def every_item(name: str) -> Iterator[tuple[dict, list, list]]:
        task = TASKS[name]
        for part in task.parts:
            files = [demo_dir / FOLDERS[task.level] / file for file in task.file_names(part)]
            paths = demo["benchmark"][task.corpus][part]["songs"]
            for path, *item in zip(paths, *map(read_items, files), strict=True):
                yield songs[path], *item

    return every_item


def test_demo_benchmark_has_the_files_of_every_task_and_no_others(demo_dir: Path):
    expected = {}
    for task in map(TASKS.get, BENCHMARK_TASKS):
        for notes, labels in map(task.file_names, task.parts):
            expected[f"{FOLDERS[task.level]}/{notes}"] = True
            expected[f"{FOLDERS[task.level]}/{labels}"] = task.level == "note"
    found = [path for path in (demo_dir / "smc").rglob("*") if path.is_file()]
    pickled = {path.relative_to(demo_dir).as_posix(): is_pickled(path) for path in found}
    assert pickled == expected


@pytest.mark.parametrize("name", SONGS_OF)
def test_demo_benchmark_is_converted_as_by_the_original(name, demo_dir: Path, tmp_path: Path):
    for entry in make_data_set(DATA_SETS[name], demo_dir / "smc", tmp_path)["parts"].values():
        assert entry["items"] > 0
        assert name == "tnua" or not any(entry["published_way"].values())


def midi_notes(demo_dir: Path, song: dict) -> list[tuple]:
    """All notes of a song's MIDI file as (track, onset, pitch, offset, velocity), in beats."""
    midi = miditoolkit.MidiFile(demo_dir / song["path"])
    beat = midi.ticks_per_beat
    return sorted(
        (track, note.start / beat, note.pitch, note.end / beat, note.velocity)
        for track, instrument in enumerate(midi.instruments)
        for note in instrument.notes
    )


def notes_by_bar(item: list, labels: list) -> dict[int, list[tuple]]:
    """The (sixteenth, pitch, label) of the notes, by bar."""
    bars = defaultdict(list)
    for (onset, _, pitch), label in zip(item, labels, strict=True):
        bars[round(onset * 4) // 16].append((round(onset * 4) % 16, pitch, label))
    return bars


def test_demo_items_equal_their_midi_files(demo_dir: Path, pieces: Pieces):
    for task in ("genre", "beat", "chordroot", "composer", "emotion", "mnid"):
        for song, item, _ in pieces(task):
            notes = [[on, off, pitch] for _, on, pitch, off, _ in midi_notes(demo_dir, song)]
            assert sorted(item) == sorted(notes)


@pytest.mark.parametrize("task", ["melody", "velocity"])
def test_demo_melody_is_the_track_and_velocity_its_bin(task: str, demo_dir: Path, pieces: Pieces):
    seen = set()
    for song, item, labels in pieces(task):
        read = []
        for track, onset, pitch, offset, velocity in midi_notes(demo_dir, song):
            in_bin = sum(velocity >= edge for edge in (32, 48, 64, 80, 96))
            read.append([onset, offset, pitch, 1 + (track if task == "melody" else in_bin)])
        assert sorted([*note, k] for note, k in zip(item, labels, strict=True)) == sorted(read)
        seen |= set(labels)
    assert seen == set(range(1, len(TASKS[task].classes)))


@pytest.mark.parametrize(("task", "beats"), [("beat", 1), ("downbeat", 4)])
def test_demo_beats_are_near_whole_beats(task: str, beats: int, pieces: Pieces):
    for _, item, labels in pieces(task):
        # A hand is at most 0.04 beats off; a sixteenth away is not a beat.
        off = [abs(onset - beats * round(onset / beats)) for onset, _, _ in item]
        assert labels == [2 if beats_off < 0.05 else 1 for beats_off in off]
        assert any(0 < beats_off < 0.05 for beats_off in off)


def test_demo_chord_root_is_the_bass_on_a_downbeat(pieces: Pieces):
    for _, item, labels in pieces("chordroot"):
        for notes in notes_by_bar(item, labels).values():
            bass = min(pitch for sixteenth, pitch, _ in notes if sixteenth == 0)
            roots = {CHORD_ROOTS[label - 1] for _, _, label in notes}
            assert [CHROMA[root] for root in roots] == [bass % 12]


def test_demo_keys_contain_their_notes(pieces: Pieces):
    for song, item, labels in pieces("localkey"):
        for (_, _, pitch), label in zip(item, labels, strict=True):
            key = LOCAL_KEYS[label - 1]
            scale = MINOR if key[0].islower() else MAJOR
            assert (pitch - CHROMA[key.capitalize()]) % 12 in scale
        assert LOCAL_KEYS[labels[0] - 1] == LOCAL_KEYS[labels[-1] - 1] == song["key"]
