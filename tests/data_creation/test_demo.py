"""The demo music: the same bytes every time, laid out as the real data sets, fit to be read."""

import pickle
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from unittest.mock import Mock

import miditoolkit
import numpy as np
import pytest

from data_creation.demo import write
from data_creation.demo.harmony import Key, pitches, tone_name
from data_creation.demo.music import strokes
from data_creation.demo.styles import FIGURES, MELODIES, PROGRESSIONS
from data_creation.demo.write import DEMO_CORPORA, FEWEST_SONGS, write_demo
from m2bert.base.errors import UserError
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS, SPLITS

PATTERNS = {
    "pop909": "pop909_processed/{split}/*.mid",
    "emopia": "EMOPIA_1.0/{split}/*.mid",
    "pianist8": "joann8512-Pianist8-ab9f541/{split}/*/*.mid",
    "pop1k7": "Pop1K7/midi_transcribed/*/*.midi",
    "lmd": "lmd_matched/*/*/*/*/*.mid",
}
HOME_KEYS = [Key(tonic + 3 * minor, bool(minor)) for tonic in range(-2, 3) for minor in (0, 1)]


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "data_creation.demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- Files ------------------------------------------------------------------------------------


def test_every_song_lies_where_its_data_set_has_it(demo_dir: Path, demo: dict):
    made = defaultdict(set)
    for song in demo["songs"]:
        made[song["corpus"]].add(demo_dir / song["path"])
    for corpus, pattern in PATTERNS.items():
        splits = SPLITS if "{split}" in pattern else ("",)
        parts = [set(demo_dir.glob(pattern.format(split=split))) for split in splits]
        assert all(parts), f"{corpus} has an empty split"
        assert set().union(*parts) == made[corpus]
    listed = pickle.loads((demo_dir / "ASAP_song.pkl").read_bytes())
    assert {demo_dir / "asap-dataset" / path for path in listed} == made["ASAP"]
    midi_files = {path for path in demo_dir.rglob("*") if path.suffix in (".mid", ".midi")}
    assert midi_files == set().union(*made.values())


def test_midi_files_hold_music_that_tokens_can_say(demo_dir: Path, demo: dict):
    for song in demo["songs"]:
        corpus = DEMO_CORPORA[song["corpus"]]
        midi = miditoolkit.MidiFile(demo_dir / song["path"])
        assert midi.ticks_per_beat == corpus.ticks_per_beat
        assert [track.name for track in midi.instruments] == [name for name, _ in corpus.tracks]
        assert sum(len(track.notes) for track in midi.instruments) == song["notes"]
        for track in midi.instruments:
            rows = sorted((note.pitch, note.start, note.end) for note in track.notes)
            pitch, start, end = np.array(rows).T
            assert 22 <= pitch.min() <= pitch.max() <= 107
            shortest, longest = midi.ticks_per_beat / 16, 4 * midi.ticks_per_beat
            assert shortest <= (end - start).min() <= (end - start).max() <= 1.05 * longest
            struck_while_it_sounds = (np.diff(pitch) == 0) & (start[1:] < end[:-1])
            assert not struck_while_it_sounds.any()
            on_grid = np.mean(start % (midi.ticks_per_beat / 4) == 0)
            assert on_grid < 0.5 if corpus.by_hand else on_grid == 1


# --- Theory and vocabulary ----------------------------------------------------------------------


def test_chords_are_spelled_in_their_key():
    def names(tones: tuple[int, ...]) -> str:
        return " ".join(map(tone_name, tones))

    assert names(Key(2, False).chord(3).scale) == "D E F# G A B C#"
    assert names(Key(0, True).chord(1).scale) == "C D E- F G A- B-"
    assert names(Key(0, True).chord(5, seventh=True).tones) == "G B D F"
    assert (Key(6, True).name, Key(6, True).relative()) == ("f#", Key(3, False))
    assert pitches([0, 6], 60, 72) == [60, 66, 72]


def test_every_reachable_key_and_root_has_a_class():
    for home in HOME_KEYS:
        for key in (home, home.relative(), Key(home.tonic + 1, home.minor)):
            assert key.name in LOCAL_KEYS
            for degree in map(int, "".join(sum(PROGRESSIONS.values(), ()))):
                assert tone_name(key.chord(degree).tones[0]) in CHORD_ROOTS


def test_patterns_are_whole_bars():
    assert {len(line) for row in [*FIGURES.values(), *MELODIES.values()] for line in row} == {16}
    assert strokes("..C---R-x.") == [(2, 4, "C"), (6, 2, "R"), (8, 1, "x")]


# --- The command ----------------------------------------------------------------------------------


def test_command_writes_reuses_and_refuses(tmp_path: Path):
    folder = tmp_path / "demo"
    first = run("--output_dir", folder, "--songs", FEWEST_SONGS)
    assert first.returncode == 0, first.stderr
    assert all(corpus in first.stdout for corpus in DEMO_CORPORA)
    assert "only from --songs 100 on" in first.stdout
    assert not (folder / "smc").exists()
    written = (folder / "demo.json").stat().st_mtime_ns

    again = run("--output_dir", folder, "--songs", FEWEST_SONGS)
    assert again.returncode == 0
    assert "already holds this demo" in again.stdout

    refused = run("--output_dir", folder, "--songs", FEWEST_SONGS, "--seed", 1)
    assert refused.returncode != 0
    assert "--seed 0" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (folder / "demo.json").stat().st_mtime_ns == written


def test_same_seed_same_bytes_another_seed_other_music(demo_dir: Path, tmp_path: Path):
    write_demo(tmp_path / "same")
    write_demo(tmp_path / "other", seed=6)
    one, same, other = (content(path) for path in (demo_dir, tmp_path / "same", tmp_path / "other"))
    assert one == same
    assert set(one) == set(other)
    songs = [path for path in one if path.endswith((".mid", ".midi"))]
    assert len({made[path] for made in (one, other) for path in songs}) == 2 * len(songs)


def test_what_is_missing_is_completed(demo_dir: Path, tmp_path: Path, monkeypatch):
    """After an interruption, and where a file was lost since."""
    with monkeypatch.context() as patch:
        patch.setattr(write, "write_benchmark", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_demo(tmp_path)
    with pytest.raises(UserError, match="--songs 100 --seed 0"):
        write_demo(tmp_path, seed=1)
    write_demo(tmp_path)
    assert content(tmp_path) == content(demo_dir)
    for lost in ("pop909_processed/test/006.mid", "smc/downstream_note/pop909_train.npy"):
        (tmp_path / lost).unlink()
        write_demo(tmp_path)
        assert content(tmp_path) == content(demo_dir)


def test_refusals(tmp_path: Path):
    with pytest.raises(UserError, match="at least"):
        write_demo(tmp_path / "new", FEWEST_SONGS - 1)
    with pytest.raises(UserError, match="negative"):
        write_demo(tmp_path / "new", seed=-1)
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(UserError, match="not a demo's record"):
        write_demo(tmp_path)
    file = (tmp_path / "demo.json").rename(tmp_path / "file")
    with pytest.raises(UserError, match="is a file"):
        write_demo(file)
    with pytest.raises(UserError, match="other files"):
        write_demo(tmp_path)
