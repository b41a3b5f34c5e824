"""The demo's benchmark: every file of every task, labels that agree with the MIDI files."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import miditoolkit
import numpy as np
import pytest

from data_creation.demo.benchmark import (
    FEWEST_LABELLED_SONGS,
    SOURCES,
    SPLITS_IN_TURN,
    write_benchmark,
)
from data_creation.demo.harmony import pitch_class, tone_name
from data_creation.demo.write import FEWEST_SONGS, write_demo
from m2bert.notes.object_arrays import is_pickled, read_items
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS, SPLITS, TASKS, Task
from tests.data_creation.test_demo import content, run

DEMO_TASKS = [TASKS[name] for name in BENCHMARK_TASKS]
PIECE_TASKS = [task for task in DEMO_TASKS if task.level == "piece"]
FOLDERS = {"note": "smc/downstream_note", "piece": "smc/downstream_seq"}
CHROMA = {tone_name(tone): pitch_class(tone) for tone in range(-15, 20)}


@pytest.fixture(scope="module")
def songs(demo: dict) -> dict[str, dict]:
    return {song["path"]: song for song in demo["songs"]}


@pytest.fixture(scope="module")
def read(demo_dir: Path) -> Callable[[str, str], tuple[list, list]]:
    """A function that gives the items and the labels of a task's part."""
    cache = {}

    def cached(path: Path) -> list:
        if path not in cache:
            cache[path] = list(read_items(path))
        return cache[path]

    def read_part(task: str, part: str) -> tuple[list, list]:
        folder = demo_dir / FOLDERS[TASKS[task].level]
        notes, labels = TASKS[task].file_names(part)
        return cached(folder / notes), cached(folder / labels)

    return read_part


@pytest.fixture(scope="module")
def pieces(demo: dict, songs: dict, read) -> Callable[[str], Iterator[tuple[dict, list, list]]]:
    """A function that gives the song, the notes and the labels of every item of a task."""

    def every_item(name: str) -> Iterator[tuple[dict, list, list]]:
        for part, made in demo["benchmark"][TASKS[name].corpus].items():
            for path, item, labels in zip(made["songs"], *read(name, part), strict=True):
                yield songs[path], item, labels

    return every_item


@pytest.fixture(scope="module")
def annotations(demo_dir: Path, demo: dict) -> dict[str, dict[str, np.ndarray]]:
    columns = {}
    for song in demo["songs"]:
        with np.load(demo_dir / song["annotations"]) as file:
            columns[song["path"]] = dict(file)
    return columns


# --- Files ------------------------------------------------------------------------------------


def test_every_task_has_its_files_and_nothing_else_is_there(demo_dir: Path, demo: dict):
    expected = {
        f"{FOLDERS[task.level]}/{name}"
        for task in DEMO_TASKS
        for part in task.parts
        for name in task.file_names(part)
    }
    found = {path.relative_to(demo_dir).as_posix() for path in (demo_dir / "smc").rglob("*.*")}
    listed = [
        path
        for parts in demo["benchmark"].values()
        for part in parts.values()
        for path in part["files"]
    ]
    assert found == expected == set(listed)
    assert len(listed) == len(found)


@pytest.mark.parametrize("task", DEMO_TASKS, ids=lambda task: task.name)
def test_items_and_labels_have_the_published_form(task: Task, demo_dir: Path, demo: dict, read):
    for part in task.parts:
        items, labels = read(task.name, part)
        made = demo["benchmark"][task.corpus][part]
        assert 0 < len(items) == len(labels) == len(made["songs"])
        assert sum(map(len, items)) == made["notes"]
        for notes, label in zip(items, labels, strict=True):
            assert notes
            if task.level == "note":
                assert len(label) == len(notes)
            for value in label if task.level == "note" else [label]:
                assert type(value) is int
                assert 0 <= value < len(task.classes)
            for onset, offset, pitch in notes:
                assert (type(onset), type(offset), type(pitch)) == (float, float, int)
                assert onset < offset
                assert 22 <= pitch <= 107
            if task.name != "violin_all":
                places = [(onset, pitch) for onset, _, pitch in notes]
                assert places == sorted(places)
                assert places[0][0] >= 0
        folder = demo_dir / FOLDERS[task.level]
        pickled = [is_pickled(folder / name) for name in task.file_names(part)]
        assert pickled == [True, task.level == "note"]


@pytest.mark.parametrize("corpus", SOURCES)
def test_no_song_is_in_two_parts_and_none_is_left_out(corpus: str, demo: dict):
    parts = [set(part["songs"]) for part in demo["benchmark"][corpus].values()]
    assert all(parts)
    made_of = {s["path"] for s in demo["songs"] if s["corpus"] in SOURCES[corpus].corpora}
    assert set().union(*parts) == made_of
    assert sum(map(len, parts)) == len(made_of)


@pytest.mark.parametrize("task", PIECE_TASKS, ids=lambda task: task.name)
def test_every_class_of_a_piece_task_is_in_every_part(task: Task, read):
    for part in task.parts:
        assert set(read(task.name, part)[1]) == set(range(len(task.classes)))


def test_folds_are_the_published_ones(demo_dir: Path, demo: dict):
    """By the file names alone: five shares of every class in the order of the paths."""
    for corpus, pattern in (
        ("pianist8", "joann8512-Pianist8-ab9f541/*/*/*.mid"),
        ("emopia", "EMOPIA_1.0/*/*.mid"),
    ):
        by_class = defaultdict(list)
        for path in sorted(str(path.relative_to(demo_dir)) for path in demo_dir.glob(pattern)):
            by_class[Path(path).name.split("_")[0]].append(path)
        for k in range(5):
            fold = {
                path
                for paths in by_class.values()
                for i, path in enumerate(paths)
                if i * 5 // len(paths) == k
            }
            assert set(demo["benchmark"][corpus][f"fold_{k}"]["songs"]) == fold


def test_splits_are_the_demos_own(demo: dict):
    for split in SPLITS:
        paths = demo["benchmark"]["pop909"][split]["songs"]
        assert {Path(path).parent.name for path in paths} == {split}
    assert set(SPLITS_IN_TURN) == set(SPLITS)


def test_an_epoch_of_all_tasks_is_small(demo: dict):
    """In a cross-validation of five folds each fold is trained on three times."""
    notes = 0
    for task in DEMO_TASKS:
        parts = demo["benchmark"][task.corpus]
        if task.folds:
            notes += 3 * sum(part["notes"] for part in parts.values())
        else:
            notes += parts["train"]["notes"]
    assert 150_000 <= notes <= 200_000


# --- Labels ------------------------------------------------------------------------------------


def midi_notes(demo_dir: Path, song: dict) -> list[tuple]:
    """All notes of a song's MIDI file as (onset, pitch, track, velocity, offset), in beats."""
    midi = miditoolkit.MidiFile(demo_dir / song["path"])
    beat = midi.ticks_per_beat
    return sorted(
        (note.start / beat, note.pitch, track, note.velocity, note.end / beat)
        for track, instrument in enumerate(midi.instruments)
        for note in instrument.notes
    )


def test_whole_songs_are_the_notes_of_their_midi_files(demo_dir: Path, pieces):
    for task in ("genre", "beat", "chordroot", "melody", "composer", "emotion", "mnid"):
        for song, item, _ in pieces(task):
            notes = [(on, off, pitch) for on, pitch, _, _, off in midi_notes(demo_dir, song)]
            assert sorted(map(tuple, item)) == sorted(notes)


def test_melody_is_the_track_and_velocity_its_bin(demo_dir: Path, pieces):
    for task in ("melody", "velocity"):
        for song, item, labels in pieces(task):
            expected = defaultdict(list)
            for onset, pitch, track, velocity, offset in midi_notes(demo_dir, song):
                edges = (32, 48, 64, 80, 96, 128)
                in_bin = next(k for k, edge in enumerate(edges, start=1) if velocity < edge)
                label = track + 1 if task == "melody" else in_bin
                expected[onset, offset, pitch].append(label)
            found = defaultdict(list)
            for note, label in zip(item, labels, strict=True):
                found[tuple(note)].append(label)
            # Two tracks may strike the same key together.
            assert {k: sorted(v) for k, v in found.items()} == {
                k: sorted(v) for k, v in expected.items()
            }


def test_beats_are_near_whole_beats_of_played_music(pieces):
    played = 0
    for task, beats in (("beat", 1), ("downbeat", 4)):
        for _, item, labels in pieces(task):
            for (onset, _, _), label in zip(item, labels, strict=True):
                from_beat = abs(onset - beats * round(onset / beats))
                assert label == (2 if from_beat < 0.05 else 1)
                played += 0 < from_beat < 0.05
    assert played > 1000


def test_the_bass_on_a_downbeat_is_the_chords_root_and_keys_hold_their_roots(pieces):
    for (song, item, roots), (_, _, keys) in zip(
        pieces("chordroot"), pieces("localkey"), strict=True
    ):
        lowest: dict[float, tuple[int, int]] = {}
        for (onset, _, pitch), root in zip(item, roots, strict=True):
            if onset % 4 == 0:
                lowest[onset] = min(lowest.get(onset, (pitch, root)), (pitch, root))
        agreeing = [pitch % 12 == CHROMA[CHORD_ROOTS[root - 1]] for pitch, root in lowest.values()]
        # The melody begins some bars alone.
        assert np.mean(agreeing) > 0.75
        assert LOCAL_KEYS.index(song["key"]) + 1 in keys


def test_labels_are_those_of_the_annotated_notes(pieces, annotations: dict):
    columns_of = {"chordroot": "chord_root", "localkey": "local_key", "mnid": "is_motif"}
    for task, column in columns_of.items():
        for song, item, labels in pieces(task):
            columns = annotations[song["path"]]
            shift = task == "mnid"
            expected = Counter()
            for i in range(len(columns["onset"])):
                note = columns["onset"][i], columns["pitch"][i], columns[column][i] + shift
                expected[note] += 1
            found = [(on, pitch, label) for (on, _, pitch), label in zip(item, labels, strict=True)]
            assert Counter(found) == expected


def test_texture_is_that_of_single_tracks(demo_dir: Path, demo: dict, pieces, annotations: dict):
    tracks = Counter()
    for song, item, labels in pieces("texture"):
        track, columns = tracks[song["path"]], annotations[song["path"]]
        tracks[song["path"]] += 1
        rows = [(on, pitch, t, off) for on, pitch, t, _, off in midi_notes(demo_dir, song)]
        assert item == [[on, off, pitch] for on, pitch, t, off in rows if t == track]
        for (onset, _, pitch), label in zip(item, labels, strict=True):
            (i,) = np.flatnonzero(
                (columns["onset"] == onset)
                & (columns["pitch"] == pitch)
                & (columns["track"] == track)
            )
            # melodic or harmonic by how it was written, rhythmic where its part moves a lot
            alike = (columns["part"] == columns["part"][i]) & (columns["bar"] == columns["bar"][i])
            onsets = len(set(columns["onset"][alike]))
            if song["corpus"] == "lmd":  # unisons of two parts on a track are one note
                assert bool(label & 2) == (onsets >= 6)
            if columns["part"][i] == 0:
                assert label & 5 == 4
            if columns["part"][i] == 2:
                assert label & 5 == 1
    assert set(tracks.values()) == {2, 3}


def test_violin_counts_beats_in_bars_and_fingers_the_melody(pieces, annotations: dict):
    diatonic = [0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6]  # steps of a scale in so many semitones
    for song, item, labels in pieces("violin_all"):
        columns = annotations[song["path"]]
        melody = np.flatnonzero(columns["part"] == 0)
        bars_with_notes = sorted(set(columns["bar"][melody].tolist()))
        global_onsets, bar, before = [], 0, 0.0
        for onset, _, _ in item:
            assert 0 <= onset < 4
            bar += onset < before
            before = onset
            # bars without a note leave no trace: so many bars before this one had notes
            global_onsets.append(onset + 4 * bars_with_notes[bar])
        assert bar == len(bars_with_notes) - 1
        np.testing.assert_array_equal(global_onsets, columns["onset"][melody])
        lengths = [offset - onset for onset, offset, _ in item]
        np.testing.assert_array_equal(lengths, (columns["offset"] - columns["onset"])[melody])
        assert [pitch for _, _, pitch in item] == columns["pitch"][melody].tolist()
        for (_, _, pitch), label in zip(item, labels, strict=True):
            if label == 0:
                assert pitch < 55
                continue
            string, position, finger = (label - 2) // 60, (label - 2) % 60 // 5, (label - 2) % 5
            octave, semitone = divmod(pitch - (55, 62, 69, 76)[string], 12)
            assert position + finger == 7 * octave + diatonic[semitone]


def test_classes_of_pieces_are_in_their_paths(pieces):
    for task in ("composer", "emotion"):
        for song, _, label in pieces(task):
            assert TASKS[task].classes[label] == Path(song["path"]).name.split("_")[0]
    genres = defaultdict(set)
    for song, _, label in pieces("genre"):
        genres[label].add(song["style"])
    assert [*sorted(genres.items())] == [
        (0, {"pop"}),
        (1, {"rock"}),
        (2, {"jazz"}),
        (3, {"country"}),
        (4, {"latin"}),
    ]


# --- What can be learned ------------------------------------------------------------------------


def sixteenth(note: list) -> int:
    return round(note[0] * 4) % 16


def bass_of_bar(item: list, index: int) -> int:
    """Pitch class of the lowest note that begins in the same half bar."""
    half_bar = item[index][0] // 2
    return min(pitch for onset, _, pitch in item if onset // 2 == half_bar) % 12


NOTE_RULES = {
    "beat": lambda item, i: sixteenth(item[i]),
    "downbeat": lambda item, i: sixteenth(item[i]),
    "chordroot": bass_of_bar,
    "melody": lambda item, i: item[i][2],
    "velocity": lambda item, i: (item[i][2] // 6, sixteenth(item[i]) % 4),
    "texture": lambda item, i: item[i][2] // 4,
    "violin_all": lambda item, i: item[i][2],
}


@pytest.mark.parametrize("task", NOTE_RULES)
def test_a_table_of_one_feature_beats_the_commonest_label(task: str, read):
    rule = NOTE_RULES[task]

    def cases(part: str) -> Iterator[tuple]:
        for item, labels in zip(*read(task, part), strict=True):
            for i, label in enumerate(labels):
                yield rule(item, i), label

    table, overall = defaultdict(Counter), Counter()
    for feature, label in cases("train"):
        table[feature][label] += 1
        overall[label] += 1
    commonest = overall.most_common(1)[0][0]
    hits = by_chance = count = 0
    for feature, label in cases("test"):
        answer = table[feature].most_common(1)[0][0] if table[feature] else commonest
        hits += answer == label
        by_chance += commonest == label
        count += 1
    assert hits / count > by_chance / count + 0.05


def features(item: list) -> np.ndarray:
    onset, offset, pitch = np.array(item).T
    per_bar = len(item) / (onset.max() // 4 + 1)
    swung = np.mean(np.rint(onset * 6) % 6 == 4)
    return np.array(
        [pitch.mean(), pitch.std(), pitch.min(), per_bar, (offset - onset).mean(), swung]
    )


@pytest.mark.parametrize("task", ["genre", "composer", "emotion"])
def test_the_nearest_mean_tells_pieces(task: str, read):
    *training, test = ("train", "test") if not TASKS[task].folds else TASKS[task].parts
    cases = [case for part in training for case in zip(*read(task, part), strict=True)]
    table = np.array([features(item) for item, _ in cases])
    labels = np.array([label for _, label in cases])
    centre, scale = table.mean(axis=0), table.std(axis=0) + 1e-9
    means = np.array([((table - centre) / scale)[labels == k].mean(axis=0) for k in set(labels)])
    hits = [
        ((means - (features(item) - centre) / scale) ** 2).sum(axis=1).argmin() == label
        for item, label in zip(*read(task, test), strict=True)
    ]
    assert np.mean(hits) > 2 / len(TASKS[task].classes)


@pytest.mark.parametrize("task", ["localkey", "mnid"])
def test_labels_differ_within_songs_or_between_them(task: str, read):
    for part in TASKS[task].parts:
        _, labels = read(task, part)
        assert len({label for item in labels for label in item}) >= 2


# --- The command ----------------------------------------------------------------------------------


def test_a_demo_without_its_benchmark_is_completed(demo_dir: Path, tmp_path: Path):
    """As an earlier release left it; with that, the same settings give the same bytes."""
    whole = content(demo_dir)
    folder = tmp_path / "demo"
    for path, data in whole.items():
        if not path.startswith("smc/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    record = json.loads(whole["demo.json"])
    del record["benchmark"]
    (folder / "demo.json").write_text(json.dumps(record))

    completed = run("--output_dir", folder)
    assert completed.returncode == 0, completed.stderr
    assert content(folder) == whole
    for corpus in SOURCES:
        assert f"\n{corpus}" in completed.stdout
    assert str(folder / "smc/downstream_seq") in completed.stdout

    (folder / "smc/downstream_note/orch_test_textureans.npy").unlink()
    write_demo(folder)
    assert content(folder) == whole


def test_too_few_songs_for_five_folds_are_told(demo_dir: Path, demo: dict, tmp_path: Path):
    assert write_benchmark(demo_dir, demo["songs"][: FEWEST_LABELLED_SONGS - 1]) == {}
    few = run("--output_dir", tmp_path / "demo", "--songs", FEWEST_SONGS)
    assert few.returncode == 0
    assert f"--songs {FEWEST_LABELLED_SONGS}" in few.stdout
    assert not (tmp_path / "demo/smc").exists()
