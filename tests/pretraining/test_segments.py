import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.base.errors import UserError
from m2bert.notes.cp import FIELDS, PAD
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.segments import (
    Batches,
    Songs,
    draw_segments,
    join_copies,
    load_batches,
    read_names,
    split_songs,
)
from tests.helpers.synthetic import random_song, write_corpus

LENGTHS = [1, 30, 64, 65, 66, 513, 1500]


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Songs:
    folder = tmp_path_factory.mktemp("corpora")
    rng = np.random.default_rng(0)
    write_corpus(folder, "one", [random_song(rng, n) for n in LENGTHS[:3]])
    write_corpus(folder, "two", [random_song(rng, n) for n in LENGTHS[3:]])
    return Songs([open_corpus(folder, name) for name in ("one", "two")])


@given(st.integers(1, 400), st.integers(0, 1000))
@settings(max_examples=30)
def test_split_songs_is_85_to_15_and_seeded(count, seed):
    songs = np.arange(count) * 3
    train, valid = split_songs(songs, seed)
    assert len(train) == int(0.85 * count)
    assert sorted([*train, *valid]) == songs.tolist()
    np.testing.assert_array_equal(train, split_songs(songs, seed)[0])
    if count > 50:
        assert train.tolist() != split_songs(songs, seed + 1)[0].tolist()


@pytest.mark.parametrize(
    ("stays", "train", "valid"),
    [
        ([0, 1], [0, 1, 2, 5], [4]),  # 5, a copy of 2, follows it
        ([2, 5], [0, 1, 2], [4, 5]),
        ([5], [0, 1], [4, 2, 5]),
        ([2], [0, 1, 2, 5], [4]),
    ],
)
def test_join_copies_moves_copies_unless_fixed(stays, train, valid):
    checksums = np.array([10, 11, 12, 13, 14, 12], np.uint64)
    fixed = np.isin(np.arange(6), stays)
    joined = join_copies(np.array([0, 1, 2]), np.array([4, 5]), checksums, fixed)
    assert [sorted(side.tolist()) for side in joined] == [sorted(train), sorted(valid)]


def test_draw_segments_draws_long_songs_more_often():
    lengths = np.array([1, 511, 512, 513, 1025, 512_000, 512_001, 9_000_000])
    draws = draw_segments(np.arange(8), lengths, 1024, seed=1, epoch=1, shuffle=True)
    assert np.bincount(draws["song"]).tolist() == [1, 1, 1, 2, 3, 1000, 1000, 1000]


def test_draw_segments_draws_the_starts_of_the_original():
    lengths = np.array([64, 65, 66, 70])
    starts = {length: set() for length in lengths.tolist()}
    for epoch in range(1, 200):
        draws = draw_segments(np.arange(4), lengths, 64, seed=1, epoch=epoch, shuffle=True)
        assert (draws["length"] == 64).all()
        for song, start in zip(draws["song"], draws["start"], strict=True):
            starts[int(lengths[song])].add(int(start))
    # of 66 notes windows could start at 0, 1 and 2; the last is never drawn
    assert starts == {64: {0}, 65: {0}, 66: {0, 1}, 70: set(range(6))}


def test_draw_segments_depends_on_seed_and_epoch():
    def draws(seed, epoch, shuffle=True):
        return draw_segments(np.arange(50), np.full(50, 2000), 64, seed, epoch, shuffle)

    np.testing.assert_array_equal(draws(1, 1), draws(1, 1))
    assert not np.array_equal(draws(1, 1), draws(1, 2))
    assert not np.array_equal(draws(1, 1), draws(2, 1))
    assert (np.diff(draws(1, 0, shuffle=False)["song"]) >= 0).all()
    assert len(np.unique(draws(1, 1)["key"])) == 200


@pytest.fixture
def draws(songs):
    return draw_segments(np.arange(7), songs.lengths, 64, seed=3, epoch=1, shuffle=True)


def test_batches_contain_the_drawn_notes(songs, draws):
    batches = Batches(songs, draws, 4, max_seq_len=64, mask_percent=0.3)
    seen = 0
    for batch in load_batches(batches, first=0, workers=1, pin_memory=False):
        assert batch["notes"].shape == (4, 64, 4)
        counted = int(batch["counted"].sum())
        for notes, key in zip(batch["notes"].numpy()[:counted], batch["keys"], strict=False):
            song, start, _, expected_key = draws[seen].tolist()
            corpus, index = songs.locate(song)
            expected = corpus.song(index)[start : start + 64]
            np.testing.assert_array_equal(notes[: len(expected)], expected)
            assert (notes[len(expected) :] == PAD).all()
            assert key == expected_key
            seen += 1
        assert batch["bars"] >= (batch["notes"][..., 0] == 0).sum(1).max()
    assert seen == len(draws)
    # the last batch is filled up with rows that do not count
    rest = len(draws) % 4
    assert rest
    assert batch["counted"].tolist() == [row < rest for row in range(4)]
    lengths = batches.draws_of(len(batches) - 1)["length"].tolist()
    assert batch["real"] == sum(lengths)
    assert batch["selected"] == sum(round(0.3 * length) for length in lengths)


@pytest.mark.parametrize("filled_to", [1, 3])
def test_batches_fill_the_last_up_to_a_multiple(songs, draws, filled_to):
    draws = draws[:7]
    full = Batches(songs, draws, 6, max_seq_len=64, mask_percent=0.3)
    batches = Batches(songs, draws, 6, max_seq_len=64, mask_percent=0.3, filled_to=filled_to)
    assert torch.equal(batches[0]["notes"], full[0]["notes"])
    assert batches[1]["counted"].tolist() == [row < 1 for row in range(filled_to)]
    for name in ("notes", "keys", "counted"):
        assert torch.equal(batches[1][name], full[1][name][:filled_to])
    for name in ("padded", "bars", "selected", "real"):
        assert batches[1][name] == full[1][name]


def test_batches_are_as_long_as_their_longest_segment(songs):
    draws = draw_segments(np.arange(7), songs.lengths, 200, seed=3, epoch=1, shuffle=True)
    lengths, padded = set(), set()
    for batch_size in (1, 2):
        batches = Batches(songs, draws, batch_size, max_seq_len=200, mask_percent=0.3)
        for step in range(len(batches)):
            batch, longest = batches[step], batches.draws_of(step)["length"].max()
            length = batch["notes"].shape[1]
            assert longest <= length < longest + 64
            assert length == 200 or length % 64 == 0
            assert batch["padded"] == (batch["notes"].numpy() == PAD).any()
            lengths.add(length)
            padded.add(batch["padded"])
    assert len(lengths) > 1
    assert padded == {True, False}


def test_excluded_finds_songs_by_their_names(songs, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("one/song_1.mid\n\n song_3.mid \n")
    assert np.flatnonzero(songs.excluded(read_names(names))).tolist() == [1, 6]
    for wrong, found in (("song_77.mid", "no song has"), ("song_1.mid", "2 songs have")):
        names.write_text(f"one/song_1.mid\n{wrong}\n")
        with pytest.raises(UserError, match=f"{found} the name {wrong}"):
            songs.excluded(read_names(names))


@pytest.mark.parametrize(("column", "field"), list(enumerate(FIELDS)))
def test_check_finds_values_outside_the_vocabulary(tmp_path, column, field):
    rng = np.random.default_rng(0)
    song = random_song(rng, 100)
    song[70, column] = PAD[column]
    write_corpus(tmp_path, "wrong", [random_song(rng, 50), song])
    songs = Songs([open_corpus(tmp_path, "wrong")])
    with pytest.raises(UserError, match=f"{field} {PAD[column]} at note 120"):
        songs.check()
