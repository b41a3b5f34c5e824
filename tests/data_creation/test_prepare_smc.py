"""From SMCBenchmark's files to fine-tuning data, through the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.benchmark_conversion import notes_by_loops, published_edges
from data_creation import prepare_smc
from data_creation.benchmark.items import cp_notes_of_piece, global_beats
from data_creation.benchmark.parts import convert_part
from data_creation.benchmark.sets import DATA_SETS
from data_creation.prepare_smc import without_own_tasks
from m2bert.base.errors import UserError
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS
from tests.helpers.benchmark_files import (
    all_edges,
    object_array,
    random_item,
    write_data_set,
    write_part,
)
from tests.helpers.pickles import Bomb
from tests.helpers.shared import REPOSITORY

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
PAD = (2, 16, 86, 64)


def command(*arguments):
    return [sys.executable, "-m", "data_creation.prepare_smc", *map(str, arguments)]


def prepare(*arguments, cwd=REPOSITORY):
    return subprocess.run(
        command(*arguments), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def load(path):
    return np.load(path, allow_pickle=False)


@pytest.fixture(scope="module")
def smc(tmp_path_factory):
    """All data sets but the genre's."""
    folder = tmp_path_factory.mktemp("smc")
    for data_set in DATA_SETS.values():
        if data_set.is_published and data_set.name != "tagatraum":
            write_data_set(folder, without_own_tasks(data_set, keep=()))
    return folder


def test_every_task_has_its_files_in_one_data_set():
    assert sum(len(data_set.tasks) for data_set in DATA_SETS.values()) == len(TASKS)
    for task in TASKS.values():
        files = {part: DATA_SETS[task.corpus].files(part) for part in task.parts}
        for part in task.parts:
            assert set(task.file_names(part)) <= set(files[part])
    assert DATA_SETS["pop909"].files("test")[:3] == [
        "pop909_test.npy",
        "pop909_test_melodyans.npy",
        "pop909_test_velocityans.npy",
    ]


def test_the_script_makes_all_data_sets_and_names_the_missing_one(tmp_path, smc):
    script = ["bash", REPOSITORY / "scripts" / "prepare_smc_benckmark.sh", smc, tmp_path / "out"]
    done = subprocess.run(script, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "tagatraum is missing: there is no" in done.stderr
    assert "tagatraum_train.npy" in done.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    for task in map(TASKS.get, BENCHMARK_TASKS):
        for part in task.parts:
            assert made.issuperset(task.file_names(part)) == (task.name != "genre")
            if task.name == "genre":
                continue
            notes, labels = (load(tmp_path / "out" / name) for name in task.file_names(part))
            assert notes.dtype == labels.dtype == np.uint8
            assert notes.shape[1:] == (task.segment_length, 4)
            assert labels.shape == (notes.shape[:2] if task.level == "note" else notes.shape[:1])
            assert labels.max() < len(task.classes)
            padded = notes[..., 0] == 2
            assert (notes[padded] == PAD).all()
            if task.level == "note":
                assert (labels[padded] == 0).all()


def test_a_data_set_without_the_labels_of_one_task_is_made_for_the_others(tmp_path, smc):
    copy = tmp_path / "smc"
    shutil.copytree(smc, copy)
    (copy / "downstream_note/pop909_valid_velocityans.npy").unlink()
    words = ["--smc_dir", copy, "--output_dir", tmp_path / "out", "--dataset", "pop909"]
    done = prepare(*words)
    assert done.returncode == 1
    assert "error: pop909 has no labels of velocity: there is no" in done.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"pop909.json"} | {
        name for part in ("train", "valid", "test") for name in TASKS["melody"].file_names(part)
    }
    shutil.copytree(smc, copy, dirs_exist_ok=True)
    assert prepare(*words).returncode == 0
    assert (tmp_path / "out/pop909_valid_velocityans.npy").exists()


def converted_by_loops(data_set, items, labels, as_published):
    """Expected arrays of a note part, from loops over items, bars and notes."""
    arrays = [[] for _ in range(1 + len(labels))]
    for number, rows in enumerate(items):
        item = np.array(rows, float)
        if data_set.beats_in_bars and not as_published:
            item = global_beats(item)
        edges = published_edges(item) if as_published else all_edges(item)
        index, cp = notes_by_loops(item.tolist(), edges)
        index = range(len(index)) if as_published else index
        columns = [cp, *([task[number][i] for i in index] for task in labels)]
        for array, column, padding in zip(arrays, columns, [PAD, 0, 0], strict=False):
            fill = -len(column) % data_set.segment_length
            array += [*column, *[padding] * fill]
    length = data_set.segment_length
    return [np.array(a).reshape(-1, length, *np.shape(a)[1:]) for a in arrays]


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("name", ["augnet", "tnua"])
def test_note_parts_are_what_loops_over_all_notes_make(tmp_path, name, as_published):
    rng = np.random.default_rng(5)
    data_set = DATA_SETS[name]
    items = [random_item(rng, notes) for notes in (1, 3, 1024, 1300)]
    items[0] = [[1.0, 2.0, 60]]
    shuffled = items[1] + items[2]
    items.append([shuffled[i] for i in rng.permutation(len(shuffled))])
    labels = [
        [rng.integers(0, len(task.classes), len(item)).tolist() for item in items]
        for task in data_set.tasks
    ]
    write_part(tmp_path, data_set, "train", items, labels)
    converted = convert_part(data_set, "train", tmp_path, as_published)
    expected = converted_by_loops(data_set, items, labels, as_published)
    for array, wanted in zip([converted.notes, *converted.labels], expected, strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, wanted)
    real = int((converted.notes[..., 0] != 2).sum())
    assert converted.counts == {"items": 5, "notes": real, "segments": len(converted.notes)}


def test_what_the_published_way_loses_and_mixes_up_is_counted(tmp_path):
    data_set = DATA_SETS["bps_motif"]
    early = [[-1.0, 0.0, 60], [0.0, 1.0, 60], [1.0, 2.0, 60]]  # one lost in front: labels move
    late = [[0.0, 1.0, 60], [4.0, 4.25, 60], [4.25, 4.5, 60]]  # two lost at the end
    mixed = [[1.0, 2.0, 60], [0.0, 1.0, 60], [2.0, 3.0, 60]]
    labels = [[[1, 2, 2], [1, 1, 2], [2, 1, 1]]]
    write_part(tmp_path, data_set, "fold_0", [early, late, mixed], labels)
    for as_published, kept in ((False, 9), (True, 6)):
        converted = convert_part(data_set, "fold_0", tmp_path, as_published)
        assert converted.counts["notes"] == kept
        assert converted.published == {
            "notes before beat 0 lost": 1,
            "notes of the last bar lost": 2,
            "mnid labels wrong": 3,
        }


def test_pieces_give_each_segment_their_label(tmp_path):
    rng = np.random.default_rng(6)
    data_set = DATA_SETS["emopia"]
    items = [random_item(rng, notes) for notes in (512, 513, 2000, 1)]
    write_part(tmp_path, data_set, "fold_3", items, [[3, 0, 1, 2]])
    converted = convert_part(data_set, "fold_3", tmp_path, False)
    start = 0
    for rows, label in zip(items, [3, 0, 1, 2], strict=True):
        cp = cp_notes_of_piece(np.array(rows, float))
        count = -(-len(cp) // 512)
        segments = converted.notes[start : start + count].reshape(-1, 4)
        np.testing.assert_array_equal(segments[: len(cp)], cp)
        assert (segments[len(cp) :] == PAD).all()
        assert converted.labels[0][start : start + count].tolist() == [label] * count
        start += count
    assert start == len(converted.notes) == converted.counts["segments"]


def test_of_the_genres_only_the_first_pieces_of_each_class_are_used(tmp_path):
    assert DATA_SETS["tagatraum"].most_per_class == {"train": 500, "valid": 150}
    data_set = replace(DATA_SETS["tagatraum"], most_per_class={"train": 2})
    items = [[[0.0, 1.0, 60], [1.0, 2.0, 30 + number]] for number in range(7)]
    classes = [4, 0, 4, 4, 0, 1, 0]
    for part, kept in (("train", [0, 1, 2, 4, 5]), ("test", range(7))):
        write_part(tmp_path, data_set, part, items, [classes])
        converted = convert_part(data_set, part, tmp_path, False)
        assert converted.counts["items"] == len(kept)
        assert converted.notes[:, 1, 2].tolist() == [8 + number for number in kept]
        assert converted.labels[0].tolist() == [classes[number] for number in kept]


# ---- complete, interrupted, missing


def test_a_complete_data_set_is_left_alone_until_overwrite(tmp_path, smc):
    arguments = ("--smc_dir", smc, "--output_dir", tmp_path, "--dataset", "tnua")
    done = prepare(*arguments)
    assert done.returncode == 0, done.stderr
    assert "notes/s" in done.stdout
    assert "violin_all labels wrong" in done.stdout
    record = json.loads((tmp_path / "tnua.json").read_text())
    assert record["as_published"] is False
    entry = record["parts"]["valid"]
    shape = load(tmp_path / "tnua_valid.npy").shape
    assert entry["files"]["tnua_valid.npy"] == list(shape)
    assert entry["items"] == 3
    assert entry["segments"] == shape[0]
    first = contents(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    again = prepare(*arguments)
    assert again.returncode == 0
    assert "tnua: complete" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times

    other_way = prepare(*arguments, "--as_published")
    assert other_way.returncode == 1
    assert "was made without --as_published" in other_way.stderr
    assert contents(tmp_path) == first

    assert prepare(*arguments, "--as_published", "--overwrite").returncode == 0
    assert contents(tmp_path) != first
    assert "was made with --as_published" in prepare(*arguments).stderr


@pytest.mark.parametrize("damage", ["no record", "no file", "other shape"])
def test_what_is_not_whole_is_made_again(tmp_path, smc, damage, capsys):
    data_set = DATA_SETS["tnua"]
    prepare_smc.make_data_set(data_set, smc, tmp_path)
    whole = contents(tmp_path)
    if damage == "other shape":
        np.save(tmp_path / "tnua_test.npy", np.zeros((9, 1024, 4), np.uint8))
    else:
        (tmp_path / {"no record": "tnua.json", "no file": "tnua_test.npy"}[damage]).unlink()
    prepare_smc.make_data_set(data_set, smc, tmp_path)
    assert contents(tmp_path) == whole
    assert "complete" not in capsys.readouterr().out


def test_killed_and_started_again_finished_data_sets_are_kept(tmp_path):
    smc, output = tmp_path / "smc", tmp_path / "out"
    for name in ("tnua", "pop909"):
        write_data_set(smc, DATA_SETS[name], items=2 if name == "tnua" else 60)
    arguments = ("--smc_dir", smc, "--output_dir", output, "--dataset", "tnua", "pop909")
    process = subprocess.Popen(
        command(*arguments), cwd=REPOSITORY, env=ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    while not (output / "tnua.json").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (output / "pop909.json").exists()
    finished = (output / "tnua.json").stat().st_mtime_ns

    again = prepare(*arguments)
    assert again.returncode == 0, again.stderr
    assert "tnua: complete" in again.stdout
    assert (output / "tnua.json").stat().st_mtime_ns == finished
    prepare_smc.make_data_set(DATA_SETS["pop909"], smc, tmp_path / "uninterrupted")
    for path in (tmp_path / "uninterrupted").iterdir():
        assert (output / path.name).read_bytes() == path.read_bytes()


def test_a_file_that_was_not_made_here_is_not_replaced(tmp_path, smc):
    data_set = DATA_SETS["tnua"]
    np.save(tmp_path / "tnua_valid.npy", np.zeros((9, 1024, 4), np.int64))  # as others publish it
    with pytest.raises(UserError, match=r"tnua_valid\.npy is there, but was not made here"):
        prepare_smc.make_data_set(data_set, smc, tmp_path)
    prepare_smc.make_data_set(data_set, smc, tmp_path, overwrite=True)

    (tmp_path / "tnua.json").write_text('{"songs": 3}')  # of a corpus for pre-training
    for overwrite in (False, True):
        with pytest.raises(UserError, match="something other than fine-tuning data"):
            prepare_smc.make_data_set(data_set, smc, tmp_path, overwrite=overwrite)
        with pytest.raises(UserError, match="holds what is to be converted"):
            prepare_smc.make_data_set(data_set, smc, smc / data_set.folder, overwrite=overwrite)


def test_a_bad_data_set_loses_nothing_and_the_others_are_made(tmp_path):
    smc, output = tmp_path / "smc", tmp_path / "out"
    for name in ("tnua", "bps_motif"):
        write_data_set(smc, DATA_SETS[name])
    arguments = ("--smc_dir", smc, "--output_dir", output, "--dataset", "bps_motif", "tnua")
    assert prepare(*arguments[:-1]).returncode == 0
    before = contents(output)
    np.save(smc / "downstream_note" / "bps_motif_fold_3.npy", object_array([[], []]))
    (smc / "downstream_note" / "bps_motif_fold_3_mnidans.npy").unlink()
    failed = prepare(*arguments, "--overwrite")
    assert failed.returncode == 1
    assert "bps_motif is missing: there is no" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert before.items() <= contents(output).items()
    assert (output / "tnua.json").exists()


def test_wrong_arguments_are_one_sentence(tmp_path, smc):
    for arguments, words in [
        (("--smc_dir", tmp_path / "nowhere"), "there is no folder"),
        (("--smc_dir", smc, "--dataset", "pop99"), "there is no data set pop99; there are augnet"),
    ]:
        failed = prepare(*arguments, "--output_dir", tmp_path)
        assert failed.returncode != 0
        assert words in failed.stderr
        assert "Traceback" not in failed.stderr


# ---- bad input

GOOD = [[0.0, 1.0, 60], [1.0, 2.0, 62]]


@pytest.mark.parametrize(
    ("item", "labels", "words"),
    [
        ([], [], "has no notes"),
        (GOOD, [1], "has 1 labels for 2 notes"),
        (GOOD, [1, 2, 1], "has 3 labels for 2 notes"),
        (GOOD, [1, 3], "has the label 3; those of mnid are 0 to 2"),
        (GOOD, [1, -1], "has the label -1"),
        (GOOD, [1, 1.5], "neither a whole number nor a list"),
        (GOOD, [1, None], "neither a whole number nor a list"),
        (GOOD, 1, "is a number; labels of mnid are lists"),
        ([[float("nan"), 1.0, 60]], [1], r"note 0, \[nan, 1.0, 60.0\], has an onset"),
        ([*GOOD, [1.0, float("inf"), 60]], [1, 1, 1], "note 2, .* no time in beats"),
        ([[1e300, 1e301, 60]], [1], "no time in beats"),
        ([*GOOD, [3.0, 2.5, 60]], [1, 1, 1], "note 2, .* ends before it begins"),
        ([[0.0, 1.0, 128]], [1], r"no whole number from 0 to 127"),
        ([[0.0, 1.0, -1]], [1], r"no whole number from 0 to 127"),
        ([[0.0, 1.0, 60.5]], [1], r"no whole number from 0 to 127"),
        ([[0.0, 1.0]], [1], "not a list of notes"),
        ([["0", "1", "60"]], [1], "not a list of notes"),
        ([0.0, 1.0, 60], [1], "not a list of notes"),
    ],
)
def test_a_bad_item_is_one_sentence_with_file_and_item(tmp_path, item, labels, words):
    data_set = DATA_SETS["bps_motif"]
    write_part(tmp_path, data_set, "fold_0", [GOOD, item], [[[1, 1], labels]])
    for as_published in (False, True):
        if words == "has 3 labels for 2 notes" and as_published:
            continue
        with pytest.raises(UserError, match=words) as caught:
            convert_part(data_set, "fold_0", tmp_path, as_published)
        assert "item 1 (counted from 0) of " in str(caught.value)
        assert f"{tmp_path}/downstream_note/bps_motif_fold_0" in str(caught.value)


def test_the_published_way_cuts_labels_and_refuses_an_item_of_which_it_keeps_nothing(tmp_path):
    data_set = DATA_SETS["bps_motif"]
    write_part(tmp_path, data_set, "fold_0", [GOOD], [[[1, 2, 1]]])
    converted = convert_part(data_set, "fold_0", tmp_path, as_published=True)
    assert converted.labels[0][0, :3].tolist() == [1, 2, 0]
    write_part(tmp_path, data_set, "fold_0", [[[-1.0, 0.0, 60]]], [[[1]]])
    with pytest.raises(UserError, match="keeps no note"):
        convert_part(data_set, "fold_0", tmp_path, as_published=True)
    assert convert_part(data_set, "fold_0", tmp_path, as_published=False).counts["notes"] == 1


def test_a_piece_needs_one_label_and_a_note_that_is_long_enough(tmp_path):
    data_set = DATA_SETS["emopia"]
    for items, labels, words in [
        ([GOOD], [4], "has the label 4; those of emotion are 0 to 3"),
        ([[[0.0, 0.01, 60]]], [1], "no note lasts as long as a 64th"),
        ([GOOD], object_array([[1]]), "is a list; labels of emotion are one number a piece"),
    ]:
        write_part(tmp_path, data_set, "fold_0", items, [labels])
        with pytest.raises(UserError, match=words):
            convert_part(data_set, "fold_0", tmp_path, False)


def test_files_that_do_not_belong_together_are_named(tmp_path):
    data_set = DATA_SETS["bps_motif"]
    for items, labels, shorter in [
        ([GOOD, GOOD], [[1, 1]], "bps_motif_fold_0_mnidans.npy ends after 1"),
        ([GOOD], [[1, 1], [1, 1]], "bps_motif_fold_0.npy ends after 1"),
        ([], [], "bps_motif_fold_0.npy holds no items"),
    ]:
        write_part(tmp_path, data_set, "fold_0", items, [labels])
        with pytest.raises(UserError, match=shorter):
            convert_part(data_set, "fold_0", tmp_path, False)


def test_a_pickle_bomb_is_refused_and_does_not_go_off(tmp_path):
    smc, crater = tmp_path / "smc", tmp_path / "crater"
    write_data_set(smc, DATA_SETS["tnua"])
    bomb = np.array([Bomb(os.mkdir, str(crater))], object)
    np.save(smc / "downstream_note" / "tnua_valid.npy", bomb)
    arguments = ("--smc_dir", smc, "--output_dir", tmp_path / "out", "--dataset", "tnua")
    refused = prepare(*arguments)
    assert refused.returncode == 1
    assert "files that name code are not read" in refused.stderr
    assert "tnua_valid.npy" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not crater.exists()
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence(tmp_path, smc, monkeypatch):
    def no_space(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare_smc.np, "save", no_space)
    with pytest.raises(OSError, match=r"tnua_train\.npy could not be written"):
        prepare_smc.make_data_set(DATA_SETS["tnua"], smc, tmp_path)
    assert list(tmp_path.iterdir()) == []
