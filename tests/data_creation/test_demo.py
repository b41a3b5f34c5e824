"""The demo music: the same bytes every time, laid out as the real data sets, fit to be read."""

from pathlib import Path
from unittest.mock import Mock

import miditoolkit
import numpy as np
import pytest

from data_creation.corpora import find_files
from data_creation.demo import write
from data_creation.demo.harmony import Key, tone_name
from data_creation.demo.styles import FIGURES, MELODIES, PROGRESSIONS
from data_creation.demo.write import DEMO_CORPORA, FEWEST_SONGS, write_demo
from m2bert.base.errors import UserError
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS
from tests.helpers.commands import contents, run


def test_every_song_lies_where_its_data_set_has_it(demo_dir: Path, demo: dict):
    found = {path for path in demo_dir.rglob("*") if path.suffix in (".mid", ".midi")}
    assert found == {demo_dir / song["path"] for song in demo["songs"]}
    for name in {song["corpus"] for song in demo["songs"]}:
        folder, files = find_files(name, demo_dir)
        paths = [demo_dir / song["path"] for song in demo["songs"] if song["corpus"] == name]
        assert {folder / file for file in files} == set(paths)


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


@pytest.mark.parametrize("minor", [False, True])
@pytest.mark.parametrize("tonic", range(-2, 3))
def test_every_reachable_key_and_root_has_a_class(tonic: int, minor: bool):
    home = Key(tonic + 3 * minor, minor)
    for key in (home, home.relative(), Key(home.tonic + 1, home.minor)):
        assert key.name in LOCAL_KEYS
        for degree in map(int, "".join(sum(PROGRESSIONS.values(), ()))):
            assert tone_name(key.chord(degree).tones[0]) in CHORD_ROOTS


def test_patterns_are_whole_bars():
    assert {len(line) for row in [*FIGURES.values(), *MELODIES.values()] for line in row} == {16}


def test_command_writes_reuses_and_refuses(tmp_path: Path):
    command = ("-m", "data_creation.demo", "--output_dir", tmp_path, "--songs", FEWEST_SONGS)
    first = run(*command)
    assert first.returncode == 0, first.stderr
    assert all(corpus in first.stdout for corpus in DEMO_CORPORA)
    assert "only from --songs 100 on" in first.stdout
    assert not (tmp_path / "smc").exists()
    written = (tmp_path / "demo.json").stat().st_mtime_ns

    again = run(*command)
    assert again.returncode == 0
    assert "already holds this demo" in again.stdout
    refused = run(*command, "--seed", 1)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"holds a demo of --songs {FEWEST_SONGS} --seed 0" in refused.stderr
    assert (tmp_path / "demo.json").stat().st_mtime_ns == written


def test_another_seed_makes_other_music(demo_dir: Path, tmp_path: Path):
    write_demo(tmp_path, seed=6)
    one, other = contents(demo_dir), contents(tmp_path)
    assert set(one) == set(other)
    songs = [path for path in one if path.endswith((".mid", ".midi"))]
    assert len({made[path] for made in (one, other) for path in songs}) == 2 * len(songs)


def test_the_same_bytes_are_completed_where_some_are_missing(
    demo_dir: Path, tmp_path: Path, monkeypatch
):
    """After an interruption, and where a file was lost since."""
    with monkeypatch.context() as patch:
        patch.setattr(write, "write_benchmark", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_demo(tmp_path)
    with pytest.raises(UserError, match="--songs 100 --seed 0"):
        write_demo(tmp_path, seed=1)
    write_demo(tmp_path)
    assert contents(tmp_path) == contents(demo_dir)
    for lost in ("pop909_processed/test/006.mid", "smc/downstream_note/pop909_train.npy"):
        (tmp_path / lost).unlink()
        write_demo(tmp_path)
        assert contents(tmp_path) == contents(demo_dir)


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
