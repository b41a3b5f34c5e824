"""Corpora: written, opened, damaged."""

import json
import os
import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes.cp import ORDINARY_SIZES
from m2bert.pretraining import corpus_writer
from m2bert.pretraining.corpus import open_corpus
from tests.helpers.commands import contents
from tests.helpers.pickles import Bomb, object_array
from tests.helpers.synthetic import write_corpus


def random_songs(lengths=(3, 1, 700), seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, ORDINARY_SIZES, (length, 4)).astype(np.uint8) for length in lengths]


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=8))
@settings(max_examples=25)
def test_corpus_has_the_songs_that_were_written(tmp_path_factory, lengths):
    folder, songs = tmp_path_factory.mktemp("corpus"), random_songs(lengths)
    write_corpus(folder, "some", songs)
    files = ["some.json", "some.npy", "some.offsets.npy"]
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == files
    corpus = open_corpus(folder, "some")
    assert len(corpus) == len(songs)
    for index, song in enumerate(songs):
        np.testing.assert_array_equal(corpus.song(index), song)
    assert corpus.song_names() == [f"song_{index}.mid" for index in range(len(songs))]
    np.testing.assert_array_equal(np.load(folder / "some.npy"), np.concatenate(songs))


def test_corpus_record_lists_skipped_files(tmp_path):
    with corpus_writer.write_corpus(tmp_path, "some", "inputs") as writer:
        writer.add("a.mid", random_songs()[0])
        writer.skip("b.mid", "not 4/4", "3/4")
        writer.skip("c.mid", "unreadable", "EOFError")
    facts = json.loads((tmp_path / "some.json").read_text())
    assert (facts["songs"], facts["notes"]) == (1, 3)
    assert facts["skipped_by_reason"] == {"not 4/4": 1, "unreadable": 1}
    assert facts["skipped"][1] == {"file": "c.mid", "reason": "unreadable", "detail": "EOFError"}


def test_corpus_stays_as_it_was_if_writing_another_fails(tmp_path):
    write_corpus(tmp_path, "some", random_songs())
    before = contents(tmp_path)
    with (
        suppress(KeyboardInterrupt),
        corpus_writer.write_corpus(tmp_path, "some", "other", overwrite=True) as writer,
    ):
        writer.add("a.mid", random_songs()[0])
        raise KeyboardInterrupt
    assert contents(tmp_path) == before


def notes(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("file", "damage", "named"),
    [
        ("some.npy", 1000, "some.npy"),
        ("some.npy", 0, "some.npy"),
        ("some.npy", None, "some.npy"),
        ("some.npy", object_array([Bomb(os.mkdir, "boom")]), "some.npy"),
        ("some.npy", notes(704, 4, dtype=float), "float64"),
        ("some.npy", notes(704, 3), "704, 3"),
        ("some.npy", notes(4, 704).T, "some.npy"),
        ("some.npy", notes(703, 4), "703"),
        ("some.json", None, "some.json"),
        ("some.offsets.npy", None, "some.offsets.npy"),
        ("some.offsets.npy", 140, "some.offsets.npy"),
        ("some.offsets.npy", np.array([0, 4, 3, 704]), "some.offsets.npy"),
        ("some.offsets.npy", np.array([1, 3, 704]), "some.offsets.npy"),
        ("some.offsets.npy", np.array([0, 3, 705]), "705"),
        ("some.offsets.npy", np.array([0.0, 704.0]), "float64"),
        ("some.offsets.npy", np.array([]), "some.offsets.npy"),
    ],
)
def test_open_corpus_names_damaged_files(tmp_path, monkeypatch, file, damage, named):
    """A file is cut to so many bytes, removed (None), or replaced by another array."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, "some", random_songs())
    if damage is None:
        (tmp_path / file).unlink()
    elif isinstance(damage, int):
        os.truncate(tmp_path / file, damage)
    else:
        np.save(tmp_path / file, damage)
    with pytest.raises(UserError, match=r"data_creation\.prepare_pretrain") as caught:
        open_corpus(tmp_path, "some")
    assert named in str(caught.value)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"files": ["one"]}'])
def test_song_names_rejects_a_damaged_record(tmp_path, content):
    write_corpus(tmp_path, "some", random_songs())
    (tmp_path / "some.json").write_text(content)
    corpus = open_corpus(tmp_path, "some")
    with pytest.raises(UserError, match=r"some\.json"):
        corpus.song_names()


def save_published(folder, songs):
    array = object_array([song.tolist() for song in songs])
    np.save(folder / "some.npy", array, allow_pickle=True)


def test_open_corpus_converts_a_published_corpus_once(tmp_path, capsys):
    songs = random_songs()
    save_published(tmp_path, songs)
    for times_printed in (1, 0, 0):
        corpus = open_corpus(tmp_path, "some")
        assert capsys.readouterr().out.count("published form") == times_printed
        for index, song in enumerate(songs):
            np.testing.assert_array_equal(corpus.song(index), song)
    assert pickle.loads(pickle.dumps(corpus)).song(2).tolist() == songs[2].tolist()
    save_published(tmp_path, songs[:2])
    assert len(open_corpus(tmp_path, "some")) == 2


def test_open_corpus_rejects_ids_outside_the_vocabulary(tmp_path):
    songs = random_songs()
    songs[1][0, 2] = 86
    save_published(tmp_path, songs)
    for _ in range(2):
        with pytest.raises(UserError, match="song 1"):
            open_corpus(tmp_path, "some")
    songs[1][0, 2] = 85
    save_published(tmp_path, songs)
    assert len(open_corpus(tmp_path, "some")) == 3
