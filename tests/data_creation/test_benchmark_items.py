"""CP notes of benchmark items, compared with MIDI files and with the original's arrays."""

import json

import numpy as np
import pytest

from data_creation.benchmark.items import cp_notes_of_piece, global_beats, order_as_published
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.object_arrays import read_items, read_note_lists
from m2bert.notes.reader import read_song
from m2bert.notes.windows import cut_labels, cut_notes
from tests.helpers.midi_files import read_cp_notes, write_midi
from tests.helpers.shared import GOLDEN, golden_unpublished, same_as_original
from tests.reference.reference_conversion import reference_edges


@pytest.mark.parametrize("ticks_per_beat", [96, 220, 384, 480, 1000])
def test_cp_notes_of_piece_equal_its_midi_file(tmp_path, ticks_per_beat):
    rng = np.random.default_rng(ticks_per_beat)
    start = np.sort(rng.integers(0, 60 * ticks_per_beat, 400))
    end = start + rng.integers(1, 3 * ticks_per_beat, 400)
    pitch = rng.permutation(400) % 128  # a pitch never overlaps itself within 3 beats
    notes = np.stack([start, end, pitch], axis=1).tolist()
    path = write_midi(tmp_path / "a.mid", notes, ticks_per_beat=ticks_per_beat)
    np.testing.assert_array_equal(cp_notes_of_piece(beats_of_midi(path)), read_cp_notes(path))


def beats_of_midi(path):
    midi = read_song(path).notes
    order = np.lexsort((midi.pitch, midi.start))
    columns = (midi.start / midi.ticks_per_beat, midi.end / midi.ticks_per_beat, midi.pitch)
    return np.stack(columns, axis=1)[order]


def as_published(item, *labels):
    """The original's segments of an item, and of its labels."""
    order = order_as_published(item)
    cut = [cut_labels(np.array(each)[: len(order)], 1024) for each in labels]
    return [cut_notes(cp_notes_of_beats(item[order]), 1024), *cut]


@same_as_original
@pytest.mark.parametrize("name", ["sorted_two_items", "tail_of_piece", "unsorted_and_negative"])
def test_segments_as_published_equal_the_originals(name):
    source = GOLDEN / "smc"
    items = zip(
        read_note_lists(source / f"{name}.npy"),
        read_items(source / f"{name}_labels.npy"),
        strict=True,
    )
    words, ys = zip(*(as_published(*item) for item in items), strict=True)
    expected = np.load(source / f"{name}_expected.npz")
    np.testing.assert_array_equal(np.concatenate(words), expected["words"])
    np.testing.assert_array_equal(np.concatenate(ys), expected["ys"])


@same_as_original
def test_order_as_published_keeps_the_originals_bars():
    manifest = json.loads((GOLDEN / "smc" / "manifest.json").read_text())
    for last_offset, bars in manifest["bars_kept_by_last_offset"]:
        if last_offset > 0.5:  # a bar in which nothing lies cannot be seen
            assert len(reference_edges(np.array([[0, last_offset, 60]]))) - 1 == bars
            onsets = np.arange(0, last_offset, 0.125)
            item = np.stack([onsets, np.full_like(onsets, last_offset), onsets * 0 + 60], axis=1)
            assert item[order_as_published(item), 0].max() // 4 + 1 == bars


@golden_unpublished
def test_violin_equals_the_originals_two_routes(golden):
    expected = np.load(golden / "violin" / "vio1_bach1_expected.npz")
    item, labels = expected["smc_items"], expected["smc_labels"]
    order = order_as_published(item)
    np.testing.assert_array_equal(cp_notes_of_beats(item[order]), expected["words_through_smc"])
    np.testing.assert_array_equal(labels[: len(order)], expected["labels_through_smc"])
    beats = global_beats(item)
    order = order_by_onset(beats)
    np.testing.assert_array_equal(cp_notes_of_beats(beats[order]), expected["words_direct"])
    np.testing.assert_array_equal(labels[order], expected["labels_direct"])


@same_as_original
@pytest.mark.parametrize("piece", ["001", "002", "003"])
def test_pop909_equals_the_originals_two_routes(piece):
    expected = np.load(GOLDEN / "pop909" / f"{piece}_expected.npz")
    song = read_cp_notes(GOLDEN / "pop909" / f"{piece}_processed.mid")
    np.testing.assert_array_equal(song, expected["pretrain"])
    item = expected["smc_items"].astype(float)
    arrays = as_published(item, expected["smc_melody"], expected["smc_velocity"])
    for name, array in zip(("words", "melody", "velocity"), arrays, strict=True):
        np.testing.assert_array_equal(array, expected[f"{name}_through_smc"])


@golden_unpublished
def test_pieces_equal_the_originals_segments(golden):
    segments = [
        cut_notes(cp_notes_of_piece(beats_of_midi(golden / "midi" / f"{name}.mid")), 512)
        for name in ("pianist8_bethel_0", "pianist8_einaudi_7")
    ]
    expected = np.load(golden / "sequence_chunks" / "composer_bethel_einaudi.npz")
    np.testing.assert_array_equal(np.concatenate(segments), expected["words"])
    labels = np.repeat([0, 2], [len(part) for part in segments])
    np.testing.assert_array_equal(labels, expected["labels"])
