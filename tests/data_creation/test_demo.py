"""The demo music: the same bytes each time, in the folders of the real data sets."""

from functools import partial
from pathlib import Path

import miditoolkit
import numpy as np

from data_creation.corpora import find_files
from data_creation.demo.__main__ import main
from data_creation.demo.write import DEMO_CORPORA
from tests.helpers.commands import contents, run_here


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


def test_demo_command_writes_the_same_bytes_and_keeps_them(tmp_path: Path, demo_dir: Path):
    write = partial(run_here, main, "--output_dir")
    printed = write(tmp_path).stdout
    assert all(corpus in printed for corpus in DEMO_CORPORA)
    written = contents(tmp_path)
    assert written == contents(demo_dir)
    for lost in ("pop909_processed/test/006.mid", "smc/downstream_note/pop909_train.npy"):
        (tmp_path / lost).unlink()
    write(tmp_path)
    assert contents(tmp_path) == written
    assert "already contains the demo" in write(tmp_path).stdout
    (tmp_path / "demo.json").write_text("{}")
    rejected = write(tmp_path)
    assert (rejected.returncode, rejected.stderr.count("\n")) == (1, 1)
    assert (tmp_path / "demo.json").read_text() == "{}"
