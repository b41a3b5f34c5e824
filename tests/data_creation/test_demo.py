"""The demo music: the same bytes every time, laid out as the real data sets, truly labelled."""

import json
import pickletools
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import miditoolkit
import numpy as np
import pytest

from data_creation.demo.harmony import CHORDS, Chord, Key, harmonise, pitch_class, tone_name
from data_creation.demo.music import NOTE, compose, strokes
from data_creation.demo.performance import perform
from data_creation.demo.styles import (
    COMPOSER_STYLES,
    EMOTION_STYLES,
    FIGURES,
    FORMS,
    GENRE_STYLES,
    MELODIES,
    PROGRESSIONS,
    STYLES,
)
from data_creation.demo.write import DEMO_CORPORA, FEWEST_SONGS, write_demo
from m2bert.base.errors import UserError
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS
from tests.helpers.shared import GOLDEN, needs_golden

PATTERNS = {
    "pop909": "pop909_processed/{split}/*.mid",
    "emopia": "EMOPIA_1.0/{split}/*.mid",
    "pianist8": "joann8512-Pianist8-ab9f541/{split}/*/*.mid",
    "pop1k7": "Pop1K7/midi_transcribed/*/*.midi",
    "lmd": "lmd_matched/*/*/*/*/*.mid",
}
VELOCITY_EDGES = (0, 32, 48, 64, 80, 96, 128)
KEYS_OF_PIECES = [
    Key(tonic + (3 if minor else 0), minor) for tonic in range(-4, 5) for minor in (0, 1)
]


@pytest.fixture(scope="module")
def annotations(demo_dir: Path, demo: dict) -> dict[str, dict[str, np.ndarray]]:
    """The columns of every song by its path."""
    columns = {}
    for song in demo["songs"]:
        with np.load(demo_dir / song["annotations"]) as file:
            columns[song["path"]] = dict(file)
    return columns


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "data_creation.demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- Files ------------------------------------------------------------------------------------


def test_every_song_lies_where_its_data_set_has_it(demo_dir: Path, demo: dict):
    found = {}
    for corpus, pattern in PATTERNS.items():
        splits = ("train", "valid", "test") if "{split}" in pattern else ("",)
        parts = [set(demo_dir.glob(pattern.format(split=split))) for split in splits]
        assert all(parts), f"{corpus} has an empty split"
        found[corpus] = set().union(*parts)
    # The list of ASAP is read without unpickling: its strings in order.
    operations = pickletools.genops((demo_dir / "ASAP_song.pkl").read_bytes())
    listed = [argument for _, argument, _ in operations if isinstance(argument, str)]
    found["ASAP"] = {demo_dir / "asap-dataset" / path for path in listed}

    for corpus, paths in found.items():
        made = {demo_dir / song["path"] for song in demo["songs"] if song["corpus"] == corpus}
        assert paths == made
        assert len(paths) == demo["corpora"][corpus]["files"] == DEMO_CORPORA[corpus].share
    midi_files = [path for path in demo_dir.rglob("*") if path.suffix in (".mid", ".midi")]
    assert set(midi_files) == set().union(*found.values())


def test_file_names_carry_the_classes(demo: dict):
    for song in demo["songs"]:
        path = Path(song["path"])
        if song["corpus"] == "pianist8":
            assert path.parent.name == song["composer"] == path.name.split("_")[0]
        if song["corpus"] == "emopia":
            assert path.name.split("_")[0] == song["emotion"]


def test_every_class_fills_five_folds(demo: dict):
    for name, classes in {
        "composer": COMPOSER_STYLES,
        "emotion": EMOTION_STYLES,
        "genre": range(len(GENRE_STYLES)),
    }.items():
        counts = Counter(song[name] for song in demo["songs"] if song[name] is not None)
        assert set(counts) == set(classes)
        assert min(counts.values()) >= 5


@needs_golden
def test_classes_are_the_benchmarks():
    tables = json.loads((GOLDEN / "label_tables.json").read_text())
    assert {name: i for i, name in enumerate(["pad", *CHORD_ROOTS])} == tables["chord_root"]
    assert {name: i for i, name in enumerate(["pad", *LOCAL_KEYS])} == tables["local_key"]
    assert set(COMPOSER_STYLES) == set(tables["composer"]) - {"Padding"}
    assert set(EMOTION_STYLES) == set(tables["emotion"])
    assert len(GENRE_STYLES) == len(tables["genre"])


def test_the_default_demo_is_small(demo: dict):
    assert 40_000 <= sum(song["notes"] for song in demo["songs"]) <= 60_000
    assert all(16 <= song["bars"] <= 48 for song in demo["songs"])


# --- Notes and their labels ---------------------------------------------------------------------


def test_annotations_are_the_notes_of_the_midi_files(demo_dir: Path, demo: dict, annotations: dict):
    for song in demo["songs"]:
        midi = miditoolkit.MidiFile(demo_dir / song["path"])
        corpus = DEMO_CORPORA[song["corpus"]]
        signatures = [(s.numerator, s.denominator) for s in midi.time_signature_changes]
        assert signatures == [(4, 4)]
        assert midi.ticks_per_beat == corpus.ticks_per_beat
        assert [track.name for track in midi.instruments] == [name for name, _ in corpus.tracks]
        rows = [
            (number, note.start, note.pitch, note.end, note.velocity)
            for number, track in enumerate(midi.instruments)
            for note in sorted(track.notes, key=lambda note: (note.start, note.pitch))
        ]
        track, start, pitch, end, velocity = np.array(rows).T
        columns = annotations[song["path"]]
        assert list(columns) == list(NOTE.names)
        assert len(rows) == song["notes"] == len(columns["onset"])
        np.testing.assert_array_equal(columns["track"], track)
        np.testing.assert_array_equal(columns["onset"], start / midi.ticks_per_beat)
        np.testing.assert_array_equal(columns["offset"], end / midi.ticks_per_beat)
        np.testing.assert_array_equal(columns["pitch"], pitch)
        np.testing.assert_array_equal(columns["velocity"], velocity)
        assert (end - start >= midi.ticks_per_beat / 16).all(), "a note that tokenising would drop"
        assert set(track) == set(range(len(corpus.tracks))), "a track without notes"


def test_labels_are_in_range_and_columns_are_plain_numbers(demo: dict, annotations: dict):
    ranges = {
        "pitch": (22, 107),
        "velocity": (1, 127),
        "part": (0, 2),
        "chord_root": (1, 35),
        "local_key": (1, 37),
        "is_beat": (0, 1),
        "is_downbeat": (0, 1),
        "is_motif": (0, 1),
        "texture": (1, 7),
    }
    for song in demo["songs"]:
        columns = annotations[song["path"]]
        for name, (low, high) in ranges.items():
            assert low <= columns[name].min() <= columns[name].max() <= high, name
        assert 0 <= columns["bar"].min() <= columns["bar"].max() < song["bars"]
        assert all(column.dtype.kind in "if" for column in columns.values())
        assert song["key"] in LOCAL_KEYS


def test_beats_are_where_the_notes_were_written(demo: dict, annotations: dict):
    for song in demo["songs"]:
        columns = annotations[song["path"]]
        # A hand is at most 0.04 beats off; the nearest place that is no beat is a sixteenth away.
        from_beat = np.abs(columns["onset"] - np.rint(columns["onset"]))
        np.testing.assert_array_equal(columns["is_beat"] == 1, from_beat < 0.05)
        downbeat = (columns["is_beat"] == 1) & (np.rint(columns["onset"]) % 4 == 0)
        np.testing.assert_array_equal(columns["is_downbeat"] == 1, downbeat)
        np.testing.assert_array_equal(columns["bar"], np.floor((columns["onset"] + 0.05) / 4))


def test_chord_roots_and_keys_agree_with_the_notes(annotations: dict):
    chroma = {
        name: next(pitch_class(t) for t in range(-15, 20) if tone_name(t) == name)
        for name in CHORD_ROOTS
    }
    for columns in annotations.values():
        bass_root = np.array([chroma[CHORD_ROOTS[c - 1]] for c in columns["chord_root"]])
        on_downbeat = (columns["is_downbeat"] == 1) & (columns["part"] == 2)
        for bar in np.unique(columns["bar"][on_downbeat]):
            chord = np.flatnonzero(on_downbeat & (columns["bar"] == bar))
            lowest = chord[columns["pitch"][chord].argmin()]
            assert columns["pitch"][lowest] % 12 == bass_root[lowest]


def test_some_songs_modulate_and_come_home(demo: dict, annotations: dict):
    modulating = 0
    for song in demo["songs"]:
        keys = annotations[song["path"]]["local_key"]
        home = LOCAL_KEYS.index(song["key"]) + 1
        assert home in keys
        modulating += (keys != home).any()
    assert 20 <= modulating < len(demo["songs"])
    assert len({song["key"] for song in demo["songs"]}) >= 12


def test_all_velocity_bins_are_used(demo: dict, annotations: dict):
    for corpora in ({"pop909"}, set(DEMO_CORPORA)):
        songs = [annotations[s["path"]] for s in demo["songs"] if s["corpus"] in corpora]
        velocity = np.concatenate([columns["velocity"] for columns in songs])
        counts, _ = np.histogram(velocity, VELOCITY_EDGES)
        assert counts.min() >= 0.01 * len(velocity)


def test_violin_fingerings_sound_the_melody(annotations: dict):
    diatonic = [0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6]  # steps of a scale in so many semitones
    playable = 0
    for columns in annotations.values():
        names = ("pitch", "part", "violin_string", "violin_position", "violin_finger")
        for pitch, part, string, position, finger in zip(*(columns[n] for n in names), strict=True):
            if string == -1:
                assert position == finger == -1
                assert part != 0 or pitch < 55
                continue
            playable += 1
            assert part == 0
            octave, semitone = divmod(int(pitch) - (55, 62, 69, 76)[string - 1], 12)
            assert octave >= 0
            assert position + finger - 1 == 7 * octave + diatonic[semitone]
            assert 1 <= finger <= 4 or (finger == 0 and position == 1)
            assert 60 * (string - 1) + 5 * (position - 1) + finger + 2 <= 240
    assert playable > 5000


def test_motifs_return_and_are_the_melody_or_its_announcement(annotations: dict):
    for columns in annotations.values():
        motif = columns["is_motif"] == 1
        assert set(columns["part"][motif]) <= {0, 1}
        assert len(np.unique(columns["bar"][motif])) >= 4


def test_music_has_rests_and_notes_over_the_bar_line(demo: dict, annotations: dict):
    silent_bars = over_the_line = 0
    for song in demo["songs"]:
        columns = annotations[song["path"]]
        silent_bars += song["bars"] - len(np.unique(columns["bar"]))
        over_the_line += (columns["offset"] > 4 * (columns["bar"] + 1) + 0.2).sum()
    assert silent_bars >= 20
    assert over_the_line >= 200


def test_notation_lies_on_the_grid_and_performances_do_not(demo: dict, annotations: dict):
    for song in demo["songs"]:
        steps = annotations[song["path"]]["onset"] * 4
        on_grid = np.mean(steps == np.rint(steps))
        assert on_grid < 0.5 if DEMO_CORPORA[song["corpus"]].performed else on_grid == 1


# --- Theory and composition -----------------------------------------------------------------------


def test_chords_are_spelled_in_their_key():
    def roots(key: Key, progression: str) -> list[str]:
        return [tone_name(chord.tones[0]) for chord in harmonise(key, progression)[::2]]

    d_major, c_minor, f_sharp_minor = Key(2, False), Key(0, True), Key(6, True)
    assert roots(d_major, "I iii V II7 III7 bVII") == ["D", "F#", "A", "E", "F#", "C"]
    assert roots(c_minor, "i III iv V VI VII iio") == ["C", "E-", "F", "G", "A-", "B-", "D"]
    assert roots(f_sharp_minor, "VI V iio") == ["D", "C#", "G#"]
    assert [key.name for key in (d_major, c_minor, f_sharp_minor, Key(-3, False))] == [
        "D",
        "c",
        "f#",
        "E-",
    ]
    assert f_sharp_minor.relative == Key(3, False)


def test_every_reachable_key_and_root_has_a_class():
    for home in KEYS_OF_PIECES:
        away = [Key(home.tonic + fifths, home.minor) for fifths in (1, 2)]
        for key in (home, home.relative, *away):
            assert key.name in LOCAL_KEYS
            for family in PROGRESSIONS.values():
                for progression in family[key.minor]:
                    for chord in harmonise(key, progression):
                        assert tone_name(chord.tones[0]) in CHORD_ROOTS


def test_ladder_takes_the_leading_tone_over_the_dominant():
    a_minor = Key(3, True)
    tonic, dominant = harmonise(a_minor, "i,V")
    assert {pitch % 12 for pitch in tonic.ladder} == {9, 11, 0, 2, 4, 5, 7}
    assert {pitch % 12 for pitch in dominant.ladder} == {9, 11, 0, 2, 4, 5, 8}


@pytest.mark.parametrize("numeral", CHORDS)
def test_chord_tones_lie_on_the_ladder(numeral: str):
    root, tones = CHORDS[numeral]
    for key in KEYS_OF_PIECES:
        chord = Chord(key, tuple(key.tonic + root + tone for tone in tones))
        assert set(chord.chroma) <= {pitch % 12 for pitch in chord.ladder}
        assert len(set(chord.chroma)) == len(tones)


def test_patterns_are_whole_bars_and_phrases_four_bars():
    lines = [line for figure in FIGURES.values() for line in figure]
    lines += [line for cells in MELODIES.values() for cell in cells for line in cell]
    assert {len(line) for line in lines} == {16}
    for family in PROGRESSIONS.values():
        assert {len(harmonise(Key(0, i == 1), p)) for i in (0, 1) for p in family[i]} == {8}
    assert all(len(form) == phrases for phrases, forms in FORMS.items() for form in forms)


def test_strokes():
    assert strokes("..C---R-x.") == [(2, 4, "C"), (6, 2, "R"), (8, 1, "x")]


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("phrases", FORMS)
def test_no_key_is_struck_while_it_sounds(style, phrases: int):
    for seed in range(3):
        song = compose(seed, style, phrases)
        for ticks, touch in ((480, None), (220, style.touch), (384, style.touch)):
            played = perform(seed, song, ticks, (0, 0, 0), touch)
            assert (played.start >= 0).all()
            assert (played.end - played.start >= ticks / 16).all()
            order = np.lexsort((played.start, played.notes["pitch"]))
            same = np.diff(played.notes["pitch"][order]) == 0
            gaps = played.start[order][1:] - played.end[order][:-1]
            assert (gaps[same] >= 0).all()


def test_unisons_keep_the_melody():
    song = compose(1, STYLES["Q1"], 8)
    played = perform(1, song, 480, (0, 0, 0))
    is_melody = song.notes["part"] == 0
    assert (played.notes["part"] == 0).sum() == is_melody.sum()
    assert len(played.notes) < len(song.notes)


# --- The command ----------------------------------------------------------------------------------


def test_command_writes_reuses_and_refuses(tmp_path: Path):
    folder = tmp_path / "demo"
    first = run("--output_dir", folder, "--songs", FEWEST_SONGS)
    assert first.returncode == 0, first.stderr
    assert all(corpus in first.stdout for corpus in DEMO_CORPORA)
    assert not (folder / "demo.unfinished.json").exists()
    made = content(folder)
    written = (folder / "demo.json").stat().st_mtime_ns

    again = run("--output_dir", folder, "--songs", FEWEST_SONGS)
    assert again.returncode == 0
    assert "already holds this demo" in again.stdout
    assert (folder / "demo.json").stat().st_mtime_ns == written

    for other in (["--songs", 21], ["--songs", FEWEST_SONGS, "--seed", 1]):
        refused = run("--output_dir", folder, *other)
        assert refused.returncode != 0
        assert "--seed 0" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert content(folder) == made


def test_same_seed_same_bytes_another_seed_other_music(tmp_path: Path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        write_demo(tmp_path / name, FEWEST_SONGS, seed)
    one, two, other = (content(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert set(one) == set(other)
    assert all(one[path] != other[path] for path in one if path.endswith((".mid", ".midi")))


def test_an_interrupted_demo_is_completed(tmp_path: Path):
    write_demo(tmp_path / "whole")
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "data_creation.demo", "--output_dir", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(list(folder.rglob("*.mid"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "demo.json").exists()

    with pytest.raises(UserError, match="--songs 100 --seed 0"):
        write_demo(folder, seed=1)
    write_demo(folder)
    finished = {path: data for path, data in content(folder).items() if "/." not in f"/{path}"}
    assert finished == content(tmp_path / "whole")


def test_a_lost_file_is_written_again(tmp_path: Path):
    demo = write_demo(tmp_path, FEWEST_SONGS)
    before = content(tmp_path)
    (tmp_path / demo["songs"][3]["path"]).unlink()
    write_demo(tmp_path, FEWEST_SONGS)
    assert content(tmp_path) == before


def test_refusals(tmp_path: Path):
    with pytest.raises(UserError, match="at least"):
        write_demo(tmp_path / "new", FEWEST_SONGS - 1)
    with pytest.raises(UserError, match="negative"):
        write_demo(tmp_path / "new", seed=-1)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="is a file"):
        write_demo(file)
    with pytest.raises(UserError, match="other files"):
        write_demo(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "demo.json").write_text("[1]")
    with pytest.raises(UserError, match="not a demo's record"):
        write_demo(broken)


def test_fewest_songs_fill_every_corpus(tmp_path: Path):
    demo = write_demo(tmp_path / "demo", FEWEST_SONGS)
    assert len(demo["songs"]) == FEWEST_SONGS
    assert min(total["files"] for total in demo["corpora"].values()) >= 1
