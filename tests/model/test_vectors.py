"""Vectors of pieces, bars and notes, compared with states computed window by window."""

import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.model.config import M2BertConfig
from m2bert.model.encoder import M2BertModel
from m2bert.model.vectors import embed_songs
from m2bert.notes.reader import read_song
from m2bert.notes.tokens import tokenise
from tests.helpers.midi_files import write_midi
from tests.helpers.synthetic import random_song
from tests.reference.reference_vectors import reference_vectors

CONFIG = M2BertConfig(16, 24, 3, 2, local_attention=16, dropout=0.5)  # dropout has no effect


@pytest.fixture(scope="module")
def model() -> M2BertModel:
    torch.manual_seed(0)
    return M2BertModel(CONFIG)


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    """Songs of all kinds of lengths; one begins inside a bar."""
    rng = np.random.default_rng(0)
    songs = [random_song(rng, notes) for notes in (700, 1, 1024, 1025, 1700)]
    songs[0][0, 0] = 1
    return songs


@pytest.mark.parametrize(
    ("level", "index_layer", "stride", "batch_size"),
    [("piece", 12, 512, 4), ("bar", 11, 512, 3), ("note", 12, 400, 1), ("note", 9, 1024, 5)],
)
def test_embed_songs_equals_a_reference_implementation(
    model, songs, level, index_layer, stride, batch_size
):
    found = embed_songs(model, songs, level, index_layer, stride=stride, batch_size=batch_size)
    for notes, vectors in zip(songs, found, strict=True):
        assert vectors.dtype == np.float32
        expected = reference_vectors(model, notes, level, index_layer, stride)
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)


def test_embed_songs_in_bf16_is_near_fp32(model, songs):
    of_bf16, exact = (
        np.stack(list(embed_songs(model, songs, precision=precision)))
        for precision in ("bf16", "fp32")
    )
    assert 0 < np.abs(of_bf16 - exact).max() < 0.03


@pytest.mark.parametrize("level", ["piece", "note"])
@pytest.mark.parametrize(("lowest", "shifts"), [(20, range(-6, 6)), (3, range(-3, 6))])
def test_embed_is_the_mean_of_the_transpositions_in_range(model, level, lowest, shifts):
    rng = np.random.default_rng(0)
    song = random_song(rng, 1100)
    song[:, 2] = rng.permutation(np.arange(1100) % 30) + lowest
    copies = [song + np.array([0, 0, semitones, 0]) for semitones in shifts]
    expected = np.mean(model.embed(copies, level), axis=0)
    found = model.embed(song, level, transpositions=12)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_embed_takes_files_and_notes(model, tmp_path):
    path = write_midi(tmp_path / "waltz.mid", signatures=[(3, 4)])
    song = tokenise(read_song(path))
    assert song.has_other_meter
    shapes = {"piece": (16,), "bar": (2, 16), "note": (8, 16)}
    for level, shape in shapes.items():
        vectors = model.train().embed(path, level)
        assert vectors.shape == shape
        (expected,) = embed_songs(model, [song.notes], level)
        np.testing.assert_array_equal(vectors, expected.reshape(shape))
        np.testing.assert_array_equal(model.embed(song.notes, level), vectors)


@pytest.mark.parametrize(
    ("song", "level", "index_layer", "error", "words"),
    [
        ("gone.mid", "piece", 12, UserError, "gone.mid cannot be used: .*there is no such file"),
        (__file__, "piece", 12, UserError, "test_vectors.py cannot be used: unreadable"),
        (np.zeros((0, 4), np.uint8), "piece", 12, ValueError, "at least one note"),
        (np.full((3, 4), 64), "piece", 12, ValueError, r"ids below \(2, 16, 86, 64\)"),
        (np.zeros((3, 4), np.uint8), "song", 12, ValueError, "none of piece, bar, note"),
        (np.zeros((3, 4), np.uint8), "piece", 13, ValueError, "index_layer 13"),
    ],
)
def test_embed_rejects_bad_input(model, song, level, index_layer, error, words):
    with pytest.raises(error, match=words):
        model.embed(song, level, index_layer)
