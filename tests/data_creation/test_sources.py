"""POP909 and the benchmark's arrays from their sources."""

import json
import pickle
import shutil
import subprocess
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from miditoolkit import MidiFile, Note

from data_creation.benchmark.parts import convert_part
from data_creation.benchmark.sets import DATA_SETS
from data_creation.benchmark.sources import augnet, midi, pm2s, pop909, tnua
from data_creation.benchmark.sources.pieces import Piece, item_in_bars, outer_bars
from data_creation.benchmark.sources.table import SOURCES
from data_creation.build_from_sources import _attempt, build
from m2bert.base.errors import UserError
from m2bert.notes.object_arrays import read_items, read_labels, read_note_lists, read_pickle
from m2bert.notes.reader import read_song
from m2bert.tasks import CHORD_ROOTS
from tests.helpers import source_files
from tests.helpers.midi_files import write_midi
from tests.helpers.pickles import Bomb
from tests.helpers.shared import GOLDEN, REPOSITORY, SHARED, same_as_original


def read_all(name: str, folder: Path) -> list:
    """The items of each piece, or why it is omitted."""
    return [_attempt(partial(SOURCES[name].read, folder), p) for p in SOURCES[name].pieces(folder)]


def make(name: str, folder: Path, output_dir: Path, **more) -> dict:
    build(
        name, folder, output_dir, **{"num_workers": 1, "strict": False, "overwrite": False} | more
    )
    return json.loads((output_dir / f"{name}.json").read_text())


def write_source(name: str, folder: Path) -> Path:
    getattr(source_files, f"write_{name}")(folder / name)
    return folder / name


# Readers


def test_bps_motif_reads_bars_of_three_beats(tmp_path):
    items = read_all("bps_motif", write_source("bps_motif", tmp_path))
    assert len(items) == 32
    ((notes, labels, _),) = items[0]
    # the pickup is in a bar before the first, as long as it; the note without duration is omitted
    expected = [[8 / 3, 4, 60], [4, 6, 62], [10, 14, 64]]
    np.testing.assert_allclose(notes, expected)
    assert labels["mnid"].tolist() == [2, 1, 1]


def test_orch_reads_textures_of_instruments(tmp_path):
    folder = write_source("orch", tmp_path)
    parts = [piece.part for piece in SOURCES["orch"].pieces(folder)]
    assert "".join(part[:2] for part in parts) == "tevatrtrtevatrtrtrteva"
    first, second = read_all("orch", folder)[0]
    np.testing.assert_allclose(first.notes, [[0, 4 / 3, 60], [4, 8, 62]])
    assert first.labels["texture"].tolist() == [0, 0]
    assert second.labels["texture"].tolist() == [0, 4]


def test_augnet_reads_chords_of_a_score(tmp_path):
    ((notes, labels, _),) = read_all("augnet", write_source("augnet", tmp_path))[0]
    # a tied note is two notes, a grace note none; one bar is before the first bar line, at 1
    expected = [[8 / 3, 4, 67], [4, 16 / 3, 60], [16 / 3, 8, 62], [8, 28 / 3, 62], [28 / 3, 12, 64]]
    np.testing.assert_allclose(notes, expected)
    c, g = CHORD_ROOTS.index("C") + 1, CHORD_ROOTS.index("G") + 1
    assert labels["chordroot"].tolist() == [c, c, c, g, g]
    assert labels["localkey"].tolist() == [4] * 5


def test_pm2s_reads_beats_of_a_performance(tmp_path):
    ((notes, labels, repaired),) = read_all("pm2s", write_source("pm2s", tmp_path))[0]
    np.testing.assert_allclose(
        notes[:, :2] * 0.5, [[0.02, 0.52], [0.52, 1.02], [0.52, 1.02], [0.8, 1.3]]
    )
    assert notes[:, 2].tolist() == [60, 62, 64, 65]
    assert labels["beat"].tolist() == [2, 2, 2, 1]
    assert labels["downbeat"].tolist() == [2, 1, 1, 1]
    assert repaired == 2  # the original has no beat and no downbeat at 0.02 s


def test_tnua_reads_fingerings(tmp_path):
    ((notes, labels, _),) = read_all("tnua", write_source("tnua", tmp_path))[0]
    assert notes.tolist() == [[-0.25, 0, 62], [0, 0.75, 62], [0.5, 0.75, 64]]
    assert labels["violin_all"].tolist() == [10 + 2 + 2, 1 + 2, 0]
    numbers = [piece.part for piece in tnua.pieces(tmp_path)]
    assert [numbers.count(part) for part in ("train", "valid", "test")] == [36, 6, 9]


def test_tagatraum_reads_the_first_files_of_each_genre(tmp_path, monkeypatch):
    monkeypatch.setitem(DATA_SETS["tagatraum"].most_per_class, "train", 2)
    folder = write_source("tagatraum", tmp_path)
    pieces = SOURCES["tagatraum"].pieces(folder)
    names = [piece.name for piece in pieces]
    assert names[:3] == ["train_clean/0/0.mid", "train_clean/0/1.mid", "train_clean/1/0.mid"]
    labels = [piece.label for piece in pieces if piece.part == "train"]
    assert labels == np.repeat(range(5), 2).tolist()
    assert sum(piece.part == "test" for piece in pieces) == 15
    ((notes, labels, _),) = read_all("tagatraum", folder)[0]
    assert notes.shape == (8, 3)
    assert labels["genre"] == 0


def test_emopia_divides_each_class_into_folds(tmp_path):
    for number in range(7):
        write_midi(tmp_path / f"{('train', 'test')[number % 2]}/Q1_{number}.mid")
    write_midi(tmp_path / "valid/Q3_x.mid")
    write_midi(tmp_path / "valid/other.mid")
    pieces = SOURCES["emopia"].pieces(tmp_path)
    assert [(Path(p.name).stem, p.part, p.label) for p in pieces] == [
        *(("Q1_1", "fold_0", 0), ("Q1_3", "fold_0", 0), ("Q1_5", "fold_1", 0)),
        *(("Q1_0", "fold_2", 0), ("Q1_2", "fold_2", 0), ("Q1_4", "fold_3", 0)),
        *(("Q1_6", "fold_4", 0), ("Q3_x", "fold_0", 2)),
    ]


def test_pop909_reads_melody_and_velocity(tmp_path):
    source_files.write_pop909(tmp_path, "005")
    ((_, file, _),) = pop909.align(tmp_path, pop909.pieces(tmp_path)[0])
    file.instruments[1].notes.append(Note(127, 61, 0, 29))  # shorter than a 64th
    (tmp_path / "train").mkdir()
    file.dump(tmp_path / "train/005.mid")
    (item,) = midi.pop909(tmp_path, Piece("train", "005", ("train/005.mid",)))
    assert item.notes[:4].tolist() == [[0, 0.5, 60]] * 3 + [[1, 1.5, 61]]
    assert item.labels["melody"].tolist() == [1, 2, 3] * 8
    assert item.labels["velocity"][::3].tolist() == [3, 3, 3, 3, 4, 4, 4, 4]  # 60 to 67


# Rules


@st.composite
def bars_with_notes(draw):
    lengths = draw(st.lists(st.sampled_from([0.5, 1, 2, 3, 4.5]), min_size=1, max_size=6))
    lines = np.cumsum([draw(st.integers(-5, 5)), *lengths])
    bar = np.array(draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=20)))
    place = np.array([draw(st.sampled_from([0, 0.125, 0.5, 0.75])) for _ in bar])
    beats = np.array([draw(st.sampled_from([0.5, 1, 4, 7])) for _ in bar])
    return lines, bar, place, beats


@given(bars_with_notes())
def test_item_in_bars_gives_every_bar_four_beats(drawn):
    lines, bar, place, beats = drawn
    length = np.diff(lines)[bar]
    notes = np.stack([lines[bar] + place * length, beats * length / 4, np.arange(len(bar))])
    item = item_in_bars(notes, lines, number=np.arange(len(bar)))
    number = item.labels["number"]
    assert number.tolist() == sorted(range(len(bar)), key=lambda i: bar[i])
    np.testing.assert_allclose(item.notes[:, 0], (4 * (bar + place))[number])
    np.testing.assert_allclose(item.notes[:, 1], (4 * (bar + place) + beats)[number])
    assert item.notes[:, 2].tolist() == number.tolist()


@pytest.mark.parametrize("onset", [-0.5, 6.0])
def test_item_in_bars_rejects_notes_outside_the_bars(onset):
    notes = np.array([[1.0, onset], [1, 1], [60, 60]])
    with pytest.raises(
        UserError, match=f"1 notes, the first at {onset:g}, outside the bars, 0 to 6"
    ):
        item_in_bars(notes, np.array([0.0, 3, 6]))


def test_bar_lines_extends_an_annotation():
    lines = augnet.bar_lines(np.arange(8.0), np.array([0, 1, 1, 1, 2, 1, 2, 3]))
    assert lines.tolist() == [-2, 1, 4, 7, 10]
    with pytest.raises(UserError, match="0 bar lines"):
        augnet.bar_lines(np.arange(3.0), np.zeros(3))
    assert outer_bars(np.array([0.0, 3, 5]), before=1).tolist() == [-3, 0, 3, 5, 7]


@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=12),
    st.lists(st.floats(0, 3), min_size=1, max_size=12),
)
def test_beats_are_marked_as_on_the_original_grid_but_for_early_ones(onset, beats):
    def marked(repairs: bool) -> np.ndarray:
        grid = np.zeros(400, int)
        for beat in beats:
            first, last = (int(np.round((beat + reach) / 0.01)) for reach in (-0.07, 0.07))
            grid[max(first, 0) if repairs else first : last + 1] = 1
        return grid[[int(np.round(t / 0.01)) for t in onset]]

    labels, repaired = pm2s.on_beats(np.array(onset), np.sort(beats))
    assert (labels - 1).tolist() == marked(repairs=True).tolist()
    assert repaired == (marked(repairs=True) != marked(repairs=False)).sum()


# POP909


def song_of(file, folder):
    file.dump(folder / "song.mid")
    return read_song(folder / "song.mid")


def test_aligned_notes_belong_to_their_beats(tmp_path):
    file = MidiFile(ticks_per_beat=480)
    source = source_files
    file.instruments = [source.Instrument(0, False, name) for name in ("MELODY", "BRIDGE")]
    file.tempo_changes = [source.TempoChange(60, 0)]  # a beat of 480 ticks takes a second
    seconds = [
        (0.85, 1.0),  # more than 0.1 s early: dropped
        (0.95, 1.1),  # 0.05 s early, but shorter than 0.2 s: dropped
        (0.95, 2.0),  # early and long enough: at the first beat, with its end
        (2.0, 3.0),  # on the second beat, so at the end of the first, which is half as long
        (3.25, 3.75),  # in the second beat, of two seconds: 2.5 16ths round to 2
        (5.0, 9.0),  # in the last, which counts as long as the one before
        (6.125, 6.2),  # rounds to no length
        (7.1, 8.0),  # more than a beat after the last: dropped
    ]
    file.instruments[1].notes = [
        Note(64, pitch, round(480 * start), round(480 * end))
        for pitch, (start, end) in enumerate(seconds, 60)
    ]
    beats = np.array([1.0, 2, 4, 5])
    notes = pop909.aligned_notes(song_of(file, tmp_path), beats, 960)
    assert notes[0].tolist() == [0, 0, 0, 0]
    expected = [[960, 1440], [1440, 1920], [1440 + 240, 1440 + 360], [2400, 4320]]
    assert notes[1:3].T.tolist() == expected


def test_aligned_notes_on_one_key_end_the_softest_first(tmp_path):
    file = MidiFile(ticks_per_beat=480)
    file.tempo_changes = [source_files.TempoChange(60, 0)]
    file.instruments = [source_files.Instrument(0, False, "MELODY")]
    file.instruments[0].notes = [Note(90, 60, 481, 720), Note(30, 60, 482, 960)]
    notes = pop909.aligned_notes(song_of(file, tmp_path), np.array([1.0, 2, 3]), 0)
    assert notes[1:].T.tolist() == [[0, 240, 60, 30], [0, 480, 60, 90]]


@same_as_original
def test_songs_are_aligned_as_by_the_original(tmp_path):
    for processed in sorted((GOLDEN / "pop909").glob("*_processed.mid")):
        song = processed.name[:3]
        folder = source_files.write_pop909(tmp_path, song)
        shutil.copy(processed.with_name(f"{song}_raw.mid"), folder / f"{song}.mid")
        shutil.copy(processed.with_name(f"{song}_beat_audio.txt"), folder / "beat_audio.txt")
    for piece in pop909.pieces(tmp_path):
        made = tmp_path / f"{piece.name}.mid"
        pop909.align(tmp_path, piece)[0][1].dump(made)
        processed = GOLDEN / f"pop909/{piece.name}_processed.mid"
        ours, theirs = (read_song(path).notes for path in (made, processed))
        for field in ("start", "end", "pitch", "velocity", "track"):
            assert getattr(ours, field).tolist() == getattr(theirs, field).tolist()
        tempos = [
            [(change.time, change.tempo) for change in MidiFile(str(path)).tempo_changes]
            for path in (made, processed)
        ]
        assert tempos[0] == tempos[1]


def test_pop909_divides_songs_by_meter_and_split(tmp_path):
    for song, meter in (("001", 4), ("011", 4), ("021", 4), ("034", 3), ("062", 5)):
        source_files.write_pop909(tmp_path, song, meter=meter)
    parts = {piece.name: piece.part for piece in pop909.pieces(tmp_path)}
    assert parts == {"001": "train", "011": "test", "021": "valid", "034": "train_3beat"}


# Bad input


def text(old: str, new: str):
    """A function that replaces a text in a file."""

    def replace(path: Path) -> None:
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    return replace


def content(data: bytes):
    """A function that replaces the content of a file."""
    return lambda path: path.write_bytes(data)


def without_rows(path: Path) -> None:
    path.write_text(path.read_text().splitlines()[0] + "\n")


def zeros(path: Path) -> None:
    np.save(path, np.zeros((3, 2, 3)))


NOT_OF_THIS_KIND = "damaged or of another kind"
MALFORMED = [
    ("bps_motif", "notes/01-1.csv", text("type", "typ"), "01-1.csv has no column type"),
    ("bps_motif", "notes/01-1.csv", without_rows, "01-1.csv has no rows"),
    ("bps_motif", "notes/01-1.csv", text("-1.0", "-4"), "1 notes, the first at -4, outside"),
    ("bps_motif", "downbeats/1/dBeats.xlsx", content(b"x"), NOT_OF_THIS_KIND),
    ("bps_motif", "downbeats/1/dBeats.xlsx", Path.unlink, "there is no dBeats.xlsx"),
    ("orch", "midi/p0.npy", zeros, "p0.npy does not have 0 or 1"),
    ("orch", "midi/p0.mid", content(b"x"), "p0.mid is unreadable"),
    ("orch", "dbeats/p0.csv", text("3.0", "x"), f"{NOT_OF_THIS_KIND} (ValueError)"),
    ("augnet", "scores/raw/p0.musicxml", content(b"<x"), "raw/p0.musicxml is damaged"),
    ("augnet", "dataset/training/p0.tsv", without_rows, "p0.tsv has no rows"),
    ("augnet", "dataset/training/p0.tsv", text("\tG\t", "\tH\t"), "no class for the label 'H'"),
    ("pm2s", "R_test.pkl", content(pickle.dumps([1, 2])), f"R_test.pkl is {NOT_OF_THIS_KIND}"),
    ("pm2s", "R_test.pkl", content(pickle.dumps(Bomb(print))), "files that name code are not read"),
    ("tnua", "vio10_mozart2_1.csv", text("5,1,3,2", "5,6,3,2"), "no class for the fingering"),
    ("tagatraum", "train_clean/0/0.mid", content(b"x"), "0.mid is unreadable"),
]


@pytest.mark.parametrize(("name", "file", "damage", "why"), MALFORMED)
def test_malformed_piece_is_omitted_with_the_reason(tmp_path, name, file, damage, why):
    folder = write_source(name, tmp_path)
    damage(folder / file)
    read = read_all(name, folder)
    assert len(read) == len(SOURCES[name].pieces(folder)) > 1
    (omitted,) = (result for result in read if isinstance(result, UserError))
    assert why in str(omitted)


@pytest.mark.parametrize(
    ("file", "damage", "why"),
    [
        ("beat_audio.txt", content(b"0.5 1.0\n"), "beat_audio.txt has 1 beats"),
        ("beat_audio.txt", text("1.5\t3.0", "0.7\t3.0"), "beats of beat_audio.txt do not ascend"),
        ("001.mid", write_midi, "the tracks of 001.mid are not MELODY, BRIDGE, PIANO"),
        ("001.mid", content(b"x"), "001.mid is unreadable"),
        ("beat_midi.txt", Path.unlink, "there is no beat_midi.txt"),
    ],
)
def test_malformed_song_is_omitted_with_the_reason(tmp_path, file, damage, why):
    damage(source_files.write_pop909(tmp_path, "001") / file)
    (omitted,) = read_all("pop909_processed", tmp_path)
    assert why in str(omitted)


def test_read_pickle_reads_dicts_and_runs_no_code(tmp_path):
    path = tmp_path / "x.pkl"
    value = ([1, "a"], {"beats": np.arange(3.0), "n": np.float64(2)})
    for protocol in (2, 3, 4):
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        assert read_pickle(path) == ([1, "a"], {"beats": [0, 1, 2], "n": 2})
    path.write_bytes(pickle.dumps({"a": Bomb(open, str(tmp_path / "flag"), "w")}))
    with pytest.raises(UserError, match="files that name code are not read"):
        read_pickle(path)
    assert not (tmp_path / "flag").exists()


# Whole commands


def test_build_makes_arrays_once(tmp_path, capsys):
    folder = write_source("pm2s", tmp_path)
    output_dir = tmp_path / "SMC" / DATA_SETS["pm2s"].folder
    (folder / "R_valid.pkl").rename(tmp_path / "kept")
    with pytest.raises(UserError, match="valid failed: 1 of its pieces cannot be used"):
        make("pm2s", folder, output_dir)
    assert "R_valid: there is no R_valid.pkl" in capsys.readouterr().out
    assert not list(output_dir.glob("pm2s_valid*"))

    (tmp_path / "kept").rename(folder / "R_valid.pkl")
    record = make("pm2s", folder, output_dir)
    assert capsys.readouterr().out.count("up to date") == 1  # train
    assert set(record["made"]) == {"train", "valid", "test"}
    test = record["made"]["test"]
    assert set(test["sources"]) == {"metadata.csv", "R_test.pkl"}
    assert test["counts"]["notes"] == 4
    converted = convert_part(DATA_SETS["pm2s"], "test", tmp_path / "SMC", as_published=False)
    assert converted.counts["notes"] == 4
    array = np.load(output_dir / "pm2s_test.npy", allow_pickle=True)
    assert (array.dtype, array.shape) == (object, (1,))
    assert [type(value) for value in array[0][0]] == [float, float, int]
    assert read_items(output_dir / "pm2s_test_beatans.npy") == [[2, 2, 2, 1]]

    make("pm2s", folder, output_dir)
    assert capsys.readouterr().out.count("up to date") == 3
    (folder / "R_test.pkl").write_bytes((folder / "R_test.pkl").read_bytes() + b" ")
    make("pm2s", folder, output_dir)
    assert capsys.readouterr().out.count("up to date") == 2

    shutil.rmtree(output_dir)
    output_dir.mkdir()
    (output_dir / "pm2s_test.npy").write_text("of a user")
    with pytest.raises(UserError, match=r"pm2s_test\.npy was not written by this program"):
        make("pm2s", folder, output_dir)


def test_build_strict_rejects_a_malformed_piece(tmp_path, capsys):
    folder, output_dir = write_source("tagatraum", tmp_path), tmp_path / "SMC"
    (folder / "test_clean/0/0.mid").write_bytes(b"x")
    record = make("tagatraum", folder, output_dir)
    assert list(record["made"]["test"]["omitted"]) == ["test_clean/0/0.mid"]
    labels = read_items(output_dir / "tagatraum_test_genreans.npy")
    assert labels == np.repeat(range(5), 3)[1:].tolist()
    with pytest.raises(UserError, match="test failed: 1 of its pieces cannot be used"):
        make("tagatraum", folder, output_dir, strict=True)
    assert "1 of 15 pieces are omitted" in capsys.readouterr().out


def test_build_scripts_align_songs_and_make_arrays(tmp_path):
    for song in ("001", "011", "021", "034"):
        source_files.write_pop909(tmp_path / "POP909", song, meter=3 if song == "034" else 4)
    (tmp_path / "sources").mkdir()

    def run(script: str, *words: str) -> subprocess.CompletedProcess:
        command = ["bash", str(REPOSITORY / "scripts" / script), *words, "--num_workers", "1"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    done = run("preprocess_pop909.sh")
    assert done.returncode == 0, done.stderr
    assert "train: 1 songs, 24 notes" in done.stdout
    folder = tmp_path / "dataset_dir/pop909_processed"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    songs = ("train/001.mid", "test/011.mid", "valid/021.mid", "train_3beat/034.mid")
    assert names == {*songs, "pop909_processed.json", ".m2bert_files"}
    done = run("build_smc_benchmark.sh", "sources", "SMC", "--dataset", "pop909", "pm2s")
    assert done.returncode == 1
    assert "error: pm2s is missing: there is no sources/pm2s\n" in done.stderr
    assert "failed, at least in part: pm2s" in done.stderr
    (notes,) = read_note_lists(tmp_path / "SMC/downstream_note/pop909_valid.npy")
    assert notes.shape == (24, 3)


# The published arrays

needs_data = pytest.mark.skipif(
    not (SHARED / "data/src_tnua.tar.gz").exists(), reason="data that may not be redistributed"
)


@same_as_original
@needs_data
@pytest.mark.parametrize(
    ("name", "part", "chosen"),
    [
        ("bps_motif", "fold_4", ["30-1", "32-1"]),
        ("orch", "valid", ["k543-1"]),
        ("tnua", "test", ["vio10_wind", "vio8_wind"]),
        ("augnet", "test", ["keymodt-reger-45a", "mps-k332-2", "wirwtc-bach-wtc-i-3"]),
    ],
)
def test_items_equal_the_published_ones(tmp_path, name, part, chosen):
    data_set = DATA_SETS[name]
    for archive in (f"src_{name}", f"smc_{name}"):
        with tarfile.open(SHARED / f"data/{archive}.tar.gz") as file:
            file.extractall(tmp_path, filter="data")
    files = [tmp_path / "smc/downstream_note" / file for file in data_set.files(part)]
    published = list(zip(read_note_lists(files[0]), *map(read_labels, files[1:]), strict=True))
    listed = json.loads((SHARED / "data/smc_items.json").read_text())[f"{name}_{part}"]
    of_piece = {}
    for item, expected in zip(listed, published, strict=True):
        of_piece.setdefault(Path(item.split("#")[0]).stem, []).append(expected)
    pieces = SOURCES[name].pieces(tmp_path / name)
    for piece in (piece for piece in pieces if Path(piece.name).stem in chosen):
        items = SOURCES[name].read(tmp_path / name, piece)
        expected = of_piece[Path(piece.name).stem]
        assert len(items) == len(expected)
        for item, (notes, *labels) in zip(items, expected, strict=True):
            np.testing.assert_allclose(item.notes, notes, rtol=0, atol=1e-9)
            for task, its in zip(data_set.tasks, labels, strict=True):
                assert item.labels[task.name].tolist() == its.tolist()
