"""The demo music: always the same bytes, in the folders of the real data sets, sensible music."""

from pathlib import Path

import miditoolkit
import numpy as np
import pytest

from data_creation.corpora import find_files
from data_creation.demo.harmony import Key, tone_name
from data_creation.demo.styles import STYLES
from data_creation.demo.write import DEMO_CORPORA
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS
from tests.helpers.commands import contents, run, run_well


def test_demo_songs_are_in_the_folders_of_their_data_sets(demo_dir: Path, demo: dict):
    found = {path for path in demo_dir.rglob("*") if path.suffix in (".mid", ".midi")}
    assert found == {demo_dir / song["path"] for song in demo["songs"]}
    for name in {song["corpus"] for song in demo["songs"]}:
        folder, files = find_files(name, demo_dir)
        paths = [demo_dir / song["path"] for song in demo["songs"] if song["corpus"] == name]
        assert {folder / file for file in files} == set(paths)


def test_demo_notes_fit_the_vocabulary(demo_dir: Path, demo: dict):
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
def test_demo_keys_and_roots_have_classes(tonic: int, minor: bool):
    home = Key(tonic + 3 * minor, minor)
    for key in (home, home.relative(), Key(home.tonic + 1, home.minor)):
        assert key.name in LOCAL_KEYS
        for degree in {degree for style in STYLES for degree in "".join(style.progressions)}:
            assert tone_name(key.chord(int(degree)).tones[0]) in CHORD_ROOTS


def test_demo_command_writes_the_same_bytes_and_keeps_them(tmp_path: Path, demo_dir: Path):
    command = ("-m", "data_creation.demo", "--output_dir", tmp_path)
    assert all(corpus in run_well(*command) for corpus in DEMO_CORPORA)
    written = contents(tmp_path)
    assert written == contents(demo_dir)
    assert "already contains the demo" in run_well(*command)
    for lost in ("pop909_processed/test/006.mid", "smc/downstream_note/pop909_train.npy"):
        (tmp_path / lost).unlink()
    run_well(*command)
    assert contents(tmp_path) == written
    other = tmp_path / "other"
    other.mkdir()
    (other / "demo.json").write_text("{}")
    rejected = run(*command[:-1], other)
    assert (rejected.returncode, rejected.stderr.count("\n")) == (1, 1)
    assert (other / "demo.json").read_text() == "{}"
