"""Corpora: written song by song, opened without being read, damaged in every way."""

import json
import multiprocessing
import os
import pickle
import resource
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes.cp import ORDINARY_SIZES, PAD
from m2bert.pretraining import corpus_writer
from m2bert.pretraining.corpus import check_notes, open_corpus
from m2bert.pretraining.corpus_writer import CorpusWriter
from tests.helpers.pickles import Bomb, object_array


def random_songs(lengths=(3, 1, 700), seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, ORDINARY_SIZES, (length, 4)).astype(np.uint8) for length in lengths]


def write_corpus(folder, songs, name="some", inputs="inputs"):
    with CorpusWriter(folder, name, inputs) as writer:
        for index in range(writer.done, len(songs)):
            writer.add(f"{index}.mid", songs[index])
        writer.finish()


def contents(folder):
    """The files of a folder but for the empty ones by which processes lock each other out."""
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix != ".lock")
    return {path.name: path.read_bytes() for path in files}


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=8))
@settings(max_examples=25)
def test_what_is_written_is_read(tmp_path_factory, lengths):
    folder, songs = tmp_path_factory.mktemp("corpus"), random_songs(lengths)
    write_corpus(folder, songs)
    corpus = open_corpus(folder, "some")
    assert len(corpus) == len(songs)
    for index, song in enumerate(songs):
        np.testing.assert_array_equal(corpus.song(index), song)
    assert corpus.song_names() == [f"{index}.mid" for index in range(len(songs))]
    np.testing.assert_array_equal(np.load(folder / "some.npy"), np.concatenate(songs))


def test_a_corpus_is_three_files(tmp_path):
    with CorpusWriter(tmp_path, "some", "inputs") as writer:
        writer.add("a.mid", random_songs()[0])
        writer.skip("b.mid", "not 4/4", "3/4")
        writer.skip("c.mid", "not 4/4", "2/4")
        writer.skip("d.mid", "unreadable", "EOFError")
        assert (writer.songs, writer.notes, writer.done) == (1, 3, 4)
        writer.finish()
    assert sorted(contents(tmp_path)) == ["some.json", "some.npy", "some.offsets.npy"]
    facts = json.loads((tmp_path / "some.json").read_text())
    assert (facts["songs"], facts["notes"]) == (1, 3)
    assert facts["skipped_by_reason"] == {"not 4/4": 2, "unreadable": 1}
    assert facts["skipped"][2] == {"file": "d.mid", "reason": "unreadable", "detail": "EOFError"}


def test_opening_reads_no_notes(tmp_path):
    size = 1 << 36  # more than any memory; the file is a hole
    write_corpus(tmp_path, random_songs([1]))
    with (tmp_path / "some.npy").open("r+b") as file:
        file.write(corpus_writer._npy_header(size // 4))
        file.truncate(corpus_writer.HEADER_BYTES + size)
    np.save(tmp_path / "some.offsets.npy", np.array([0, size // 8, size // 4]))
    corpus = open_corpus(tmp_path, "some")
    assert corpus.song(1).shape == (size // 8, 4)
    assert not corpus.notes.flags.writeable


def first_song_where_nothing_is_copied(corpus):
    base = corpus.notes
    while isinstance(base.base, np.ndarray):
        base = base.base
    return corpus.song(0).tolist(), isinstance(base, np.memmap)


def test_worker_processes_open_the_corpus_anew(tmp_path):
    write_corpus(tmp_path, random_songs([100_000]))
    corpus = open_corpus(tmp_path, "some")
    assert len(pickle.dumps(corpus)) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        song, is_mapped = pool.apply(first_song_where_nothing_is_copied, (corpus,))
    assert song == corpus.song(0).tolist()
    assert is_mapped


# Damage


def save_notes(folder, array):
    np.save(folder / "some.npy", array)


def save_offsets(folder, *offsets):
    np.save(folder / "some.offsets.npy", np.array(offsets))


def cut(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: cut(folder / "some.npy", 1000), "some.npy"),
        (lambda folder: cut(folder / "some.npy", 60), "some.npy"),
        (lambda folder: cut(folder / "some.npy", 0), "some.npy"),
        (lambda folder: cut(folder / "some.offsets.npy", 140), "some.offsets.npy"),
        (lambda folder: (folder / "some.npy").unlink(), "some.npy"),
        (lambda folder: (folder / "some.offsets.npy").unlink(), "some.offsets.npy"),
        (lambda folder: (folder / "some.json").unlink(), "some.json"),
        (lambda folder: save_notes(folder, np.zeros((704, 4))), "float64"),
        (lambda folder: save_notes(folder, np.zeros((704, 3), np.uint8)), "704, 3"),
        (lambda folder: save_notes(folder, np.zeros((4, 704), np.uint8).T), "some.npy"),
        (lambda folder: save_notes(folder, np.zeros((703, 4), np.uint8)), "703"),
        (lambda folder: save_offsets(folder, 0, 4, 3, 704), "some.offsets.npy"),
        (lambda folder: save_offsets(folder, 1, 3, 704), "some.offsets.npy"),
        (lambda folder: save_offsets(folder, 0, 3, 705), "705"),
        (lambda folder: save_offsets(folder, 0.0, 704.0), "float64"),
        (lambda folder: save_offsets(folder), "some.offsets.npy"),
    ],
)
def test_damage_is_named_with_what_to_do(tmp_path, damage, named):
    write_corpus(tmp_path, random_songs())
    damage(tmp_path)
    with pytest.raises(UserError, match=r"data_creation\.prepare_pretrain") as caught:
        open_corpus(tmp_path, "some")
    assert named in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"files": ["one"]}'])
def test_damaged_names_are_an_error_when_they_are_asked_for(tmp_path, content):
    write_corpus(tmp_path, random_songs())
    (tmp_path / "some.json").write_text(content)
    corpus = open_corpus(tmp_path, "some")
    with pytest.raises(UserError, match=r"some\.json"):
        corpus.song_names()


def test_a_missing_corpus_is_named_with_its_folder(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        open_corpus(tmp_path, "some")


def test_a_pickle_bomb_does_not_go_off(tmp_path):
    np.save(tmp_path / "some.npy", object_array([Bomb(os.mkdir, str(tmp_path / "boom"))]))
    with pytest.raises(UserError, match=r"some\.npy"):
        open_corpus(tmp_path, "some")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("field", range(4))
def test_ids_outside_the_ordinary_vocabulary_are_found(field):
    song = random_songs([100])[0]
    check_notes(song, "a song")
    song[41, field] = PAD[field]
    with pytest.raises(UserError, match=r"a song .* at note 41"):
        check_notes(song, "a song")
    with pytest.raises(UserError):
        check_notes(song.reshape(2, 50, 4), "two segments")


# The published form


def save_published(folder, songs):
    array = np.empty(len(songs), object)
    array[:] = [song.tolist() for song in songs]
    np.save(folder / "some.npy", array, allow_pickle=True)


def test_a_published_corpus_is_flattened_once(tmp_path, capsys):
    songs = random_songs()
    save_published(tmp_path, songs)
    for times_said in (1, 0, 0):
        corpus = open_corpus(tmp_path, "some")
        assert capsys.readouterr().out.count("published form") == times_said
        assert [song.tolist() for song in map(corpus.song, range(3))] == [
            song.tolist() for song in songs
        ]
    assert pickle.loads(pickle.dumps(corpus)).song(2).tolist() == songs[2].tolist()
    save_published(tmp_path, songs[:2])
    assert len(open_corpus(tmp_path, "some")) == 2


def test_a_published_corpus_with_foreign_ids_is_refused(tmp_path):
    songs = random_songs()
    songs[1][0, 2] = 86
    save_published(tmp_path, songs)
    with pytest.raises(UserError, match="song 1"):
        open_corpus(tmp_path, "some")
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
            writer.add(f"{index}.mid", song)


def test_an_interrupted_corpus_is_continued(tmp_path):
    songs = random_songs()
    write_corpus(tmp_path / "whole", songs)
    folder = tmp_path / "interrupted"
    begin(folder, songs[:2])
    with pytest.raises(UserError):
        open_corpus(folder, "some")
    with CorpusWriter(folder, "some", "inputs") as writer:
        assert writer.done == 2
    write_corpus(folder, songs)
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_journal_torn_anywhere_continues_from_its_last_whole_line(tmp_path):
    songs = random_songs()
    write_corpus(tmp_path / "whole", songs)
    begin(tmp_path / "begun", songs[:2])
    begun = contents(tmp_path / "begun")
    journal = begun[".some.partial.jsonl"]
    for size in range(0, len(journal), 3):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / ".some.partial.npy").write_bytes(begun[".some.partial.npy"] + b"torn")
        (folder / ".some.partial.jsonl").write_bytes(journal[:size])
        with CorpusWriter(folder, "some", "inputs") as writer:
            assert writer.done == max(0, journal[:size].count(b"\n") - 1)
        write_corpus(folder, songs)
        assert contents(folder) == contents(tmp_path / "whole")


@pytest.mark.parametrize("size", [0, 128, 140, 143])
def test_a_journal_ahead_of_the_notes_is_not_believed(tmp_path, size):
    songs = random_songs()
    begin(tmp_path, songs)
    cut(tmp_path / ".some.partial.npy", size)
    with CorpusWriter(tmp_path, "some", "inputs") as writer:
        assert writer.done == (size - 128 >= 12) + (size - 128 >= 16)


def test_other_inputs_start_anew(tmp_path):
    begin(tmp_path, random_songs())
    with CorpusWriter(tmp_path, "some", "other inputs") as writer:
        assert writer.done == 0


def test_an_old_corpus_stays_until_the_new_one_is_complete(tmp_path):
    write_corpus(tmp_path, random_songs())
    old = contents(tmp_path)
    begin(tmp_path, random_songs([5]), "other inputs")
    assert old.items() <= contents(tmp_path).items()
    assert len(open_corpus(tmp_path, "some")) == 3


def test_two_writers_of_one_corpus_do_not_mix(tmp_path):
    with (
        CorpusWriter(tmp_path, "some", "inputs"),
        pytest.raises(UserError, match="another process"),
    ):
        CorpusWriter(tmp_path, "some", "inputs")


def test_a_full_disk_costs_nothing_that_was_made(tmp_path):
    write_corpus(tmp_path, random_songs())
    old = contents(tmp_path)
    songs = random_songs([100] * 5000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))  # no file grows beyond
    try:
        with pytest.raises(OSError, match="too large"):
            write_corpus(tmp_path, songs, inputs="new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert old.items() <= contents(tmp_path).items()
    write_corpus(tmp_path, songs, inputs="new")
    np.testing.assert_array_equal(open_corpus(tmp_path, "some").notes, np.concatenate(songs))


@pytest.mark.parametrize("steps_before_the_kill", range(12))
def test_killed_while_files_take_their_places(tmp_path, monkeypatch, steps_before_the_kill):
    write_corpus(tmp_path, random_songs([9, 9]))
    write_corpus(tmp_path / "new", random_songs(), inputs="new")

    class Killed(BaseException):
        pass

    steps = 0

    def kill_at(function):
        def wrapped(*arguments, **keywords):
            nonlocal steps
            if steps == steps_before_the_kill:
                raise Killed
            steps += 1
            return function(*arguments, **keywords)

        return wrapped

    writer = CorpusWriter(tmp_path, "some", "new")
    for index, song in enumerate(random_songs()):
        writer.add(f"{index}.mid", song)
    with monkeypatch.context() as patch:
        for owner, name in [
            (np, "save"),
            (corpus_writer, "write_json"),
            (corpus_writer, "flush_to_disk"),
            (corpus_writer.Path, "replace"),
            (corpus_writer.Path, "unlink"),
        ]:
            patch.setattr(owner, name, kill_at(getattr(owner, name)))
        with suppress(Killed):
            writer.finish()
    writer._lock.release()
    writer._journal.close()
    writer._data.close()

    # What a reader sees now is the old corpus, the new one, or a clear refusal.
    if (tmp_path / ".some.partial.json").exists():
        with pytest.raises(UserError, match="half-way"):
            open_corpus(tmp_path, "some")
    else:
        expected = 2 if steps_before_the_kill < 5 else 3
        assert len(open_corpus(tmp_path, "some")) == expected
    write_corpus(tmp_path, random_songs(), inputs="new")
    assert contents(tmp_path) == contents(tmp_path / "new")
