import mido
import numpy as np
import pytest
import symusic
import torch
from miditoolkit import MidiFile

from m2bert.finetuning.data import LabelledSegments
from m2bert.model.classifiers import Classifier
from m2bert.model.transposition import PITCH
from m2bert.notes.cp import PAD, PITCHES, cp_notes, cp_notes_of_beats, order_by_onset
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song
from m2bert.notes.windows import WINDOW, cut_notes
from m2bert.tasks import TASKS, place_in_fifths
from tests.helpers.midi_files import END, FOUR_FOUR, midi_bytes, off, on, program, write_midi
from tests.helpers.synthetic import random_song
from tests.helpers.task_files import new_classifier
from tests.helpers.trainers import finetuner


def new_model(task: str, seed: int = 0) -> Classifier:
    """A model of random weights, large enough to tell notes apart."""
    model = new_classifier(task, seed)
    for weight in model.parameters():
        weight.data.mul_(3)
    return model.eval()


def random_notes(notes: int) -> list[tuple[int, int, int]]:
    """Notes (start, end, pitch) in chords of three, some of them too short for models of pieces; no
    pitch overlaps itself."""
    rng = np.random.default_rng(0)
    place = np.arange(notes)
    start = place // 3 * 100
    pitch = (place * 37) % 97 + 16
    return np.stack([start, start + rng.integers(10, 800, notes), pitch], axis=1).tolist()


def in_order(song: Song, values: np.ndarray) -> np.ndarray:
    """Values of the notes, by onset and pitch."""
    return values[np.lexsort((song.notes.pitch, song.notes.start))]


def segments_of(song: Song, task: str) -> np.ndarray:
    """The CP segments that the benchmark makes of an item with the song's notes."""
    notes = song.notes
    if TASKS[task].level == "piece":
        cp = cp_notes(notes.start, notes.end, notes.pitch, notes.track, notes.ticks_per_beat)
    else:
        item = np.stack([notes.start / 480, notes.end / 480, notes.pitch], axis=1)
        cp = cp_notes_of_beats(item[order_by_onset(item)])
    return cut_notes(cp, TASKS[task].segment_length)


@pytest.mark.parametrize("name", ["melody", "composer"])
def test_predict_equals_the_benchmark_on_its_windows(tmp_path, name):
    song = read_song(write_midi(tmp_path / "song.mid", random_notes(2060)))
    model, task = new_model(name), TASKS[name]
    segments = torch.from_numpy(segments_of(song, name))
    shape = segments.shape[:2] if task.level == "note" else segments.shape[:1]
    data = LabelledSegments(segments, torch.zeros(shape, dtype=torch.int16))
    expected = finetuner(model).evaluate(data).predictions.numpy()
    assert len(segments) > 2
    with pytest.raises(ValueError, match=r"stride 1025 is not in 1\.\.1024"):
        model.predict(song, stride=1025)
    found = model.predict(song, stride=1024)
    if task.level == "note":
        clipped = np.clip(song.notes.pitch, 22, 107)
        label = found.label[np.lexsort((clipped, song.notes.start))]
        np.testing.assert_array_equal(label, expected.reshape(-1)[: len(song)])
        assert len(set(label)) > 1
    else:
        np.testing.assert_array_equal(found.windows.argmax(1), expected)
        assert found.name == task.classes[found.label]


def read_by_half_windows(model: Classifier, song: Song) -> dict[int, np.ndarray]:
    """The probabilities of each window alone, by the windows' starts, half a window apart."""
    length = model.task.segment_length
    cp = np.concatenate([*segments_of(song, model.task.name), np.full((length, 4), PAD, np.uint8)])
    notes = np.count_nonzero(cp[:, 0] != PAD[0])
    starts = range(0, notes - length // 2, length // 2)
    windows = {start: torch.from_numpy(cp[start : start + length]) for start in starts}
    return {n: model(w[None])[0].softmax(-1).detach().numpy() for n, w in windows.items()}


def test_predict_reads_notes_in_windows_that_overlap_by_half(tmp_path):
    song = read_song(write_midi(tmp_path / "song.mid", random_notes(2060)))
    model = new_model("melody")
    sums, weights = np.zeros((1536 + WINDOW, len(model.classes))), np.zeros((1536 + WINDOW, 1))
    nearness = np.minimum(np.arange(1, WINDOW + 1), np.arange(WINDOW, 0, -1))[:, np.newaxis]
    for start, values in (alone := read_by_half_windows(model, song)).items():
        sums[start : start + WINDOW] += nearness * values
        weights[start : start + WINDOW] += nearness
    assert list(alone) == [0, 512, 1024, 1536]
    clipped = np.clip(song.notes.pitch, 22, 107)
    found = model.predict(song).probabilities[np.lexsort((clipped, song.notes.start))]
    np.testing.assert_allclose(found, (sums / weights)[: len(song)], atol=1e-6)


def test_predict_reads_pieces_in_windows_that_overlap_by_half(tmp_path):
    song = read_song(write_midi(tmp_path / "song.mid", random_notes(2060)))
    model = new_model("composer")
    alone = list(read_by_half_windows(model, song).values())
    assert len(alone) > 3
    np.testing.assert_allclose(model.predict(song).windows, alone, atol=1e-6)


def test_predict_in_bf16_is_near_fp32(tmp_path):
    path = write_midi(tmp_path / "song.mid", random_notes(300))
    of_bf16, exact = (
        new_model("melody").predict(path, precision=precision).probabilities
        for precision in ("bf16", "fp32")
    )
    assert 0 < np.abs(of_bf16 - exact).max() < 0.1


def track(notes: list, channel: int) -> bytes:
    events = [(end, off, pitch) for _, end, pitch in notes]
    events += [(start, on, pitch) for start, _, pitch in notes]
    now, data = 0, FOUR_FOUR + program(0, 40 * (channel % 9), channel)
    for tick, event, pitch in sorted(events, key=lambda event: event[0]):
        data += event(tick - now, pitch, channel)
        now = tick
    return data + END


def test_predict_reads_textures_track_by_track_without_drums(tmp_path):
    notes = random_notes(90)
    parts = notes[::3], notes[1::3], notes[2::3]
    drums = 9
    (tmp_path / "all.mid").write_bytes(midi_bytes(*map(track, parts, (0, 1, drums))))
    song, model = read_song(tmp_path / "all.mid"), new_model("texture")
    found = model.predict(song)
    assert (found.was_read == ~song.is_drum).all()
    assert found.was_read.sum() == 60
    for channel, part in enumerate(parts[:2]):
        (tmp_path / "one.mid").write_bytes(midi_bytes(track(part, channel)))
        alone = read_song(tmp_path / "one.mid")
        mine = found.probabilities[song.notes.track == channel]
        np.testing.assert_allclose(mine, model.predict(alone).probabilities, atol=1e-6)
    model.task = TASKS["melody"]  # reads all tracks together, as if they were one
    together = model.predict(song).probabilities
    assert np.nanmax(np.abs(together - found.probabilities)) > 1e-3
    one = read_song(write_midi(tmp_path / "one.mid", [*parts[0], *parts[1]]))
    of_one = in_order(one, model.predict(one).probabilities)
    of_all = in_order(song, together)
    np.testing.assert_allclose(of_one, of_all[~np.isnan(of_all[:, 0])], atol=1e-6)


def forget_octaves(model: Classifier) -> Classifier:
    """Let the encoder read all octaves of a pitch alike."""
    pitch_ids = np.arange(PITCHES)
    embedding = model.backbone.word_emb[PITCH]["lut"].weight.data
    embedding[pitch_ids] = embedding[pitch_ids % 12].clone()
    return model


def pitch_and_mode(model: Classifier, label: int) -> tuple[int, bool]:
    fifths, is_minor = place_in_fifths(model.classes[label]) or (0, False)
    return 7 * fifths % 12, is_minor


@pytest.mark.parametrize("name", ["chordroot", "localkey"])
def test_mean_over_transpositions_moves_labels_with_the_song(name):
    rng = np.random.default_rng(0)
    song = random_song(rng, WINDOW + 300)
    song[:, PITCH] = rng.integers(30, 50, len(song))
    model, higher = forget_octaves(new_model(name)), song + np.array([0, 0, 5, 0], np.uint8)
    model.classifier[0].bias.data[0] = -100  # padding is not predicted
    found, of_higher = model.probabilities([song, higher], transpositions=12)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found.max(1), of_higher.max(1), atol=1e-5)
    labels = set(zip(found.argmax(1), of_higher.argmax(1), strict=True))
    assert len(labels) > 3
    for label, moved in labels:
        pitch, mode = pitch_and_mode(model, label)
        assert pitch_and_mode(model, moved) == ((pitch + 5) % 12, mode)


def test_mean_over_transpositions_has_the_spelling_of_the_song_and_stays_in_range():
    rng, model = np.random.default_rng(0), new_model("chordroot")
    song = random_song(rng, 40)
    pitches = [pitch_and_mode(model, label)[0] for label in range(1, len(model.classes))]
    for lowest, highest in ((0, PITCHES - 1), (20, 50)):
        song[:2, PITCH], song[2:, PITCH] = (lowest, highest), rng.integers(20, 50, 38)
        own, found = (model.probabilities([song], transpositions=t)[0][:, 1:] for t in (1, 12))
        alone = []
        for pitch in range(12):
            names = np.flatnonzero(np.equal(pitches, pitch))
            spelling = own[:, names].argmax(1)
            assert (np.count_nonzero(found[:, names], axis=1) == 1).all()
            np.testing.assert_array_equal(found[:, names].argmax(1), spelling)
            alone.append(np.allclose(found[:, names].sum(1), own[:, names].sum(1), atol=1e-6))
        assert all(alone) == (highest == PITCHES - 1)  # where no transposition is possible


def test_transpositions_change_no_other_task(tmp_path):
    path, model = write_midi(tmp_path / "song.mid", random_notes(60)), new_model("melody")
    expected = model.predict(path).probabilities
    np.testing.assert_array_equal(model.predict(path, transpositions=12).probabilities, expected)
    with pytest.raises(ValueError, match=r"transpositions 13 is not in 1\.\.12"):
        model.predict(path, transpositions=13)


class PrettyMidi:
    """As pretty_midi writes a song."""

    def __init__(self, path):
        self.path = path

    def write(self, file):
        mido.MidiFile(self.path).save(file=file)


def midi_objects(path):
    found = [str(path), PrettyMidi(path), MidiFile(path), mido.MidiFile(path)]
    return [*found, symusic.Score(path), symusic.Score(path).to("quarter")]


def test_predict_and_embed_take_objects_of_midi_libraries_and_lists(tmp_path):
    path = write_midi(tmp_path / "song.mid", random_notes(60))
    music = midi_objects(path)
    model = new_model("melody")
    expected = model.predict(path).probabilities
    for found in model.predict(music):
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    vectors = model.backbone.embed(music)
    assert len(vectors) == len(music)
    for vector in vectors:
        np.testing.assert_allclose(vector, model.backbone.embed(path), atol=1e-5)
    with pytest.raises(TypeError, match="symusic, not int"):
        model.predict(5)
