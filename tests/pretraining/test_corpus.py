"""Corpora: written song by song, opened, damaged in every way."""

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
from m2bert.pretraining.corpus_writer import CorpusWriter
from tests.helpers.pickles import Bomb, object_array
from tests.helpers.synthetic import write_corpus


def random_songs(lengths=(3, 1, 700), seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, ORDINARY_SIZES, (length, 4)).astype(np.uint8) for length in lengths]


def contents(folder):
    """The files of a folder but for the empty ones by which processes lock each other out."""
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix != ".lock")
    return {path.name: path.read_bytes() for path in files}


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=8))
@settings(max_examples=25)
def test_what_is_written_is_read(tmp_path_factory, lengths):
    folder, songs = tmp_path_factory.mktemp("corpus"), random_songs(lengths)
    write_corpus(folder, "some", songs)
    assert sorted(contents(folder)) == ["some.json", "some.npy", "some.offsets.npy"]
    corpus = open_corpus(folder, "some")
    assert len(corpus) == len(songs)
    for index, song in enumerate(songs):
        np.testing.assert_array_equal(corpus.song(index), song)
    assert corpus.song_names() == [f"song_{index}.mid" for index in range(len(songs))]
    np.testing.assert_array_equal(np.load(folder / "some.npy"), np.concatenate(songs))


def test_what_was_skipped_is_told(tmp_path):
    with CorpusWriter(tmp_path, "some", "inputs") as writer:
        writer.add("a.mid", random_songs()[0])
        writer.skip("b.mid", "not 4/4", "3/4")
        writer.skip("c.mid", "unreadable", "EOFError")
        assert (writer.songs, writer.notes, writer.done) == (1, 3, 3)
        writer.finish()
    facts = json.loads((tmp_path / "some.json").read_text())
    assert (facts["songs"], facts["notes"]) == (1, 3)
    assert facts["skipped_by_reason"] == {"not 4/4": 1, "unreadable": 1}
    assert facts["skipped"][1] == {"file": "c.mid", "reason": "unreadable", "detail": "EOFError"}


# Damage


def cut(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


def notes(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("file", "damage", "named"),
    [
        ("some.npy", 1000, "some.npy"),
        ("some.npy", 60, "some.npy"),
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
def test_damage_is_named_with_what_to_do(tmp_path, monkeypatch, file, damage, named):
    """A file is cut to so many bytes, removed (None), or replaced by another array."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, "some", random_songs())
    if damage is None:
        (tmp_path / file).unlink()
    elif isinstance(damage, int):
        cut(tmp_path / file, damage)
    else:
        np.save(tmp_path / file, damage)
    with pytest.raises(UserError, match=r"data_creation\.prepare_pretrain") as caught:
        open_corpus(tmp_path, "some")
    assert named in str(caught.value)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"files": ["one"]}'])
def test_damaged_names_are_an_error_when_they_are_asked_for(tmp_path, content):
    write_corpus(tmp_path, "some", random_songs())
    (tmp_path / "some.json").write_text(content)
    corpus = open_corpus(tmp_path, "some")
    with pytest.raises(UserError, match=r"some\.json"):
        corpus.song_names()


# The published form


def save_published(folder, songs):
    array = object_array([song.tolist() for song in songs])
    np.save(folder / "some.npy", array, allow_pickle=True)


def test_a_published_corpus_is_flattened_once(tmp_path, capsys):
    songs = random_songs()
    save_published(tmp_path, songs)
    for times_said in (1, 0, 0):
        corpus = open_corpus(tmp_path, "some")
        assert capsys.readouterr().out.count("published form") == times_said
        for index, song in enumerate(songs):
            np.testing.assert_array_equal(corpus.song(index), song)
    assert pickle.loads(pickle.dumps(corpus)).song(2).tolist() == songs[2].tolist()
    save_published(tmp_path, songs[:2])
    assert len(open_corpus(tmp_path, "some")) == 2


def test_a_published_corpus_with_foreign_ids_is_refused(tmp_path):
    songs = random_songs()
    songs[1][0, 2] = 86
    save_published(tmp_path, songs)
    for _ in range(2):
        with pytest.raises(UserError, match="song 1"):
            open_corpus(tmp_path, "some")
    songs[1][0, 2] = 85
    save_published(tmp_path, songs)
    assert len(open_corpus(tmp_path, "some")) == 3


# Interruptions


def begin(folder, songs, inputs="inputs"):
    """Write some songs and leave without finishing, as after Ctrl-C."""
    with CorpusWriter(folder, "some", inputs) as writer:
        for index, song in enumerate(songs):
            writer.add(f"song_{index}.mid", song)


def test_a_journal_torn_anywhere_continues_from_its_last_whole_line(tmp_path):
    songs = random_songs()
    write_corpus(tmp_path / "whole", "some", songs)
    begin(tmp_path / "begun", songs[:2])
    with pytest.raises(UserError):
        open_corpus(tmp_path / "begun", "some")
    begun = contents(tmp_path / "begun")
    journal = begun[".some.partial.jsonl"]
    for size in (*range(0, len(journal), 3), len(journal)):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / ".some.partial.npy").write_bytes(begun[".some.partial.npy"] + b"torn")
        (folder / ".some.partial.jsonl").write_bytes(journal[:size])
        with CorpusWriter(folder, "some", "inputs") as writer:
            assert writer.done == max(0, journal[:size].count(b"\n") - 1)
        write_corpus(folder, "some", songs)
        assert contents(folder) == contents(tmp_path / "whole")


@pytest.mark.parametrize("size", [0, 128, 140, 143])
def test_a_journal_ahead_of_the_notes_is_not_believed(tmp_path, size):
    begin(tmp_path, random_songs())
    cut(tmp_path / ".some.partial.npy", size)
    with CorpusWriter(tmp_path, "some", "inputs") as writer:
        assert writer.done == (size - 128 >= 12) + (size - 128 >= 16)


def test_other_inputs_start_anew_and_the_old_corpus_stays_until_the_end(tmp_path):
    write_corpus(tmp_path, "some", random_songs())
    old = contents(tmp_path)
    begin(tmp_path, random_songs([5]), "other inputs")
    with CorpusWriter(tmp_path, "some", "inputs again") as writer:
        assert writer.done == 0
    assert old.items() <= contents(tmp_path).items()
    assert len(open_corpus(tmp_path, "some")) == 3


def test_two_writers_of_one_corpus_do_not_mix(tmp_path):
    with (
        CorpusWriter(tmp_path, "some", "inputs"),
        pytest.raises(UserError, match="another process"),
    ):
        CorpusWriter(tmp_path, "some", "inputs")


@pytest.mark.parametrize("steps_before_the_kill", range(12))
def test_killed_while_files_take_their_places(tmp_path, monkeypatch, steps_before_the_kill):
    write_corpus(tmp_path, "some", random_songs([9, 9]))
    write_corpus(tmp_path / "new", "some", random_songs(), "new")
    begin(tmp_path, random_songs(), "new")

    steps = iter(range(steps_before_the_kill))

    def kill_at(function):
        def wrapped(*arguments, **keywords):
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return function(*arguments, **keywords)

        return wrapped

    done_at_the_end = [
        (np, "save"),
        (corpus_writer, "write_json"),
        (corpus_writer, "flush_to_disk"),
        (corpus_writer.Path, "replace"),
        (corpus_writer.Path, "unlink"),
    ]
    writer = CorpusWriter(tmp_path, "some", "new")
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt), writer:
        for owner, name in done_at_the_end:
            patch.setattr(owner, name, kill_at(getattr(owner, name)))
        writer.finish()

    # What a reader sees now is the old corpus, the new one, or a clear refusal.
    if (tmp_path / ".some.partial.json").exists():
        with pytest.raises(UserError, match="half-way"):
            open_corpus(tmp_path, "some")
    else:
        expected = 2 if steps_before_the_kill < 5 else 3
        assert len(open_corpus(tmp_path, "some")) == expected
    write_corpus(tmp_path, "some", random_songs(), "new")
    assert contents(tmp_path) == contents(tmp_path / "new")
