"""From SMCBenchmark's files to fine-tuning data, part by part and through the command line."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_creation import prepare_smc
from data_creation.benchmark.items import cp_notes_of_piece
from data_creation.benchmark.parts import convert_part
from data_creation.benchmark.sets import DATA_SETS
from m2bert.base.errors import UserError
from m2bert.notes.windows import cut_notes
from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import SEGMENT_LENGTHS, TASKS
from tests.helpers.benchmark_files import random_item, random_labels, write_data_set, write_part
from tests.helpers.commands import call, contents, run_here
from tests.helpers.pickles import Bomb, object_array
from tests.reference.reference_conversion import reference_part

MOTIF, VIOLIN = DATA_SETS["bps_motif"], DATA_SETS["tnua"]


def prepare(smc, output, *words):
    return run_here(prepare_smc.main, "--smc_dir", smc, "--output_dir", output, *words)


@pytest.fixture(scope="module")
def smc(tmp_path_factory):
    """All data sets but the genre's."""
    folder = tmp_path_factory.mktemp("smc")
    for name in {TASKS[name].corpus for name in BENCHMARK_TASKS} - {"tagatraum"}:
        tasks = tuple(task for task in DATA_SETS[name].tasks if task.name in BENCHMARK_TASKS)
        write_data_set(folder, replace(DATA_SETS[name], tasks=tasks))
    return folder


# 24 parts of a beat: 16ths, triplets and all ties between 16ths and between 32nds.
TIMES = st.integers(-150, 600).map(lambda part: part / 24)
LENGTHS = st.one_of(st.integers(0, 300).map(lambda part: part / 24), st.floats(0, 20))
NOTES = st.builds(lambda on, length, p: [on, on + length, p], TIMES, LENGTHS, st.integers(0, 127))
ITEMS = st.lists(st.lists(NOTES, min_size=1, max_size=40), min_size=1, max_size=4)


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("data_set", [DATA_SETS["augnet"], VIOLIN], ids=["augnet", "violin"])
@given(items=ITEMS)
def test_convert_part_equals_a_reference_implementation(
    tmp_path, monkeypatch, data_set, as_published, items
):
    monkeypatch.setitem(SEGMENT_LENGTHS, "note", 16)
    labels = random_labels(data_set, items)
    write_part(tmp_path, data_set, "train", items, labels)
    expected = reference_part(data_set, items, labels, as_published)
    if not expected:
        with pytest.raises(UserError, match="keeps no note; omit --as_published"):
            convert_part(data_set, "train", tmp_path, as_published)
        return
    converted = convert_part(data_set, "train", tmp_path, as_published)
    for array, wanted in zip([converted.notes, *converted.labels], expected, strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, wanted)
    counts = {"notes": int((converted.notes[..., 0] != 2).sum()), "segments": len(converted.notes)}
    assert converted.counts == {"items": len(items), **counts}


def test_convert_part_counts_errors_of_the_published_way(tmp_path):
    early = [[-1.0, 0.0, 60], [0.0, 1.0, 60], [1.0, 2.0, 60]]  # one lost in front: labels move
    late = [[0.0, 1.0, 60], [4.0, 4.25, 60], [4.25, 4.5, 60]]  # two lost at the end
    mixed = [[1.0, 2.0, 60], [0.0, 1.0, 60], [2.0, 3.0, 60]]
    labels = [[[1, 2, 2], [1, 1, 2], [2, 1, 1]]]
    write_part(tmp_path, MOTIF, "fold_0", [early, late, mixed], labels)
    for as_published, kept in ((False, 9), (True, 6)):
        converted = convert_part(MOTIF, "fold_0", tmp_path, as_published)
        assert converted.counts["notes"] == kept
        assert converted.published == {
            "notes before beat 0 lost": 1,
            "notes of the last bar lost": 2,
            "mnid labels wrong": 3,
        }


def test_convert_part_gives_each_segment_the_label_of_its_piece(tmp_path):
    rng, data_set, classes = np.random.default_rng(6), DATA_SETS["emopia"], [3, 0, 1, 2]
    items = [random_item(rng, notes) for notes in (512, 513, 2000, 1)]
    write_part(tmp_path, data_set, "fold_3", items, [classes])
    converted = convert_part(data_set, "fold_3", tmp_path, False)
    cp = [cut_notes(cp_notes_of_piece(np.array(rows, float)), 512) for rows in items]
    np.testing.assert_array_equal(converted.notes, np.concatenate(cp))
    assert converted.labels[0].tolist() == np.repeat(classes, [len(part) for part in cp]).tolist()
    assert converted.counts["segments"] == len(converted.notes)


def test_convert_part_uses_the_first_pieces_of_each_genre(tmp_path):
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


GOOD = [[0.0, 1.0, 60], [1.0, 2.0, 62]]


@pytest.mark.parametrize(
    ("item", "labels", "words"),
    [
        ([], [], "has no notes"),
        (GOOD, [1], "has 1 labels for 2 notes"),
        (GOOD, [1, 3], "has the label 3; those of mnid are 0 to 2"),
        (GOOD, [1, -1], "has the label -1"),
        (GOOD, [1, 1.5], "neither a whole number nor a list"),
        (GOOD, 1, "is a number; labels of mnid are lists"),
        ([[float("nan"), 1.0, 60]], [1], r"note 0, \[nan, 1.0, 60.0\], has an onset"),
        ([*GOOD, [1.0, float("inf"), 60]], [1, 1, 1], "note 2, .* not a time in beats"),
        ([[1e300, 1e301, 60]], [1], "not a time in beats"),
        ([*GOOD, [3.0, 2.5, 60]], [1, 1, 1], "note 2, .* ends before it begins"),
        ([[0.0, 1.0, 128]], [1], r"not a whole number from 0 to 127"),
        ([[0.0, 1.0, 60.5]], [1], r"not a whole number from 0 to 127"),
        ([[0.0, 1.0]], [1], "not a list of notes"),
    ],
)
def test_convert_part_names_a_malformed_item(tmp_path, item, labels, words):
    write_part(tmp_path, MOTIF, "fold_0", [GOOD, item], [[[1, 1], labels]])
    with pytest.raises(UserError, match=words) as caught:
        convert_part(MOTIF, "fold_0", tmp_path, as_published=False)
    place = f"item 1 (counted from 0) of {tmp_path}/downstream_note/bps_motif_fold_0"
    assert place in str(caught.value)


def test_convert_part_cuts_labels_only_as_published(tmp_path):
    write_part(tmp_path, MOTIF, "fold_0", [GOOD], [[[1, 2, 1]]])
    converted = convert_part(MOTIF, "fold_0", tmp_path, as_published=True)
    assert converted.labels[0][0, :3].tolist() == [1, 2, 0]
    with pytest.raises(UserError, match="has 3 labels for 2 notes"):
        convert_part(MOTIF, "fold_0", tmp_path, as_published=False)


@pytest.mark.parametrize(
    ("name", "items", "labels", "words"),
    [
        ("emopia", [GOOD], [4], "has the label 4; those of emotion are 0 to 3"),
        ("emopia", [[[0.0, 0.01, 60]]], [1], "no note is as long as a 64th"),
        ("emopia", [GOOD], object_array([[1]]), "labels of emotion are one number per piece"),
        ("bps_motif", [GOOD, GOOD], [[1, 1]], "bps_motif_fold_0_mnidans.npy ends after 1"),
        ("bps_motif", [GOOD], [[1, 1], [1, 1]], "bps_motif_fold_0.npy ends after 1"),
        ("bps_motif", [], [], "bps_motif_fold_0.npy contains no items"),
    ],
)
def test_convert_part_names_a_malformed_part(tmp_path, name, items, labels, words):
    write_part(tmp_path, DATA_SETS[name], "fold_0", items, [labels])
    with pytest.raises(UserError, match=words):
        convert_part(DATA_SETS[name], "fold_0", tmp_path, False)


def test_prepare_smc_script_makes_all_data_sets_and_names_the_missing_one(tmp_path, smc):
    done = call("bash", "scripts/prepare_smc_benckmark.sh", smc, tmp_path)
    assert done.returncode == 1
    assert "tagatraum is missing: there is no" in done.stderr
    assert "tagatraum_train.npy" in done.stderr
    made = set(contents(tmp_path))
    assert "pop909_test_velocityans.npy" in made
    for task in map(TASKS.get, BENCHMARK_TASKS):
        for part in task.parts:
            assert made.issuperset(task.file_names(part)) == (task.name != "genre")
            if task.name == "genre":
                continue
            notes, labels = (np.load(tmp_path / name) for name in task.file_names(part))
            assert notes.dtype == labels.dtype == np.uint8
            assert notes.shape[1:] == (task.segment_length, 4)
            assert labels.shape == (notes.shape[:2] if task.level == "note" else notes.shape[:1])
            assert labels.max() < len(task.classes)
            padded = notes[..., 0] == 2
            assert (notes[padded] == (2, 16, 86, 64)).all()
            assert task.level == "piece" or (labels[padded] == 0).all()


def test_prepare_smc_makes_the_other_tasks_of_a_data_set(tmp_path, smc):
    copy = shutil.copytree(smc, tmp_path / "smc")
    (copy / "downstream_note/pop909_valid_velocityans.npy").unlink()
    done = prepare(copy, tmp_path / "out", "--dataset", "pop909")
    assert done.returncode == 1
    assert "error: pop909 has no labels of velocity: there is no" in done.stderr
    wanted = {
        name for part in DATA_SETS["pop909"].parts for name in TASKS["melody"].file_names(part)
    }
    assert contents(tmp_path / "out").keys() == {"pop909.json", ".m2bert_files"} | wanted
    assert prepare(smc, tmp_path / "out", "--dataset", "pop909").returncode == 0
    assert (tmp_path / "out/pop909_valid_velocityans.npy").exists()


def test_prepare_smc_keeps_a_complete_data_set_until_overwrite(tmp_path, smc):
    done = prepare(smc, tmp_path, "--dataset", "tnua")
    assert done.returncode == 0, done.stderr
    assert "violin_all labels wrong" in done.stdout
    record = json.loads((tmp_path / "tnua.json").read_text())
    entry, shape = record["parts"]["valid"], np.load(tmp_path / "tnua_valid.npy").shape
    assert (entry["items"], entry["segments"]) == (3, shape[0])
    first, times = contents(tmp_path), [path.stat().st_mtime_ns for path in tmp_path.iterdir()]

    again = prepare(smc, tmp_path, "--dataset", "tnua")
    assert again.returncode == 0
    assert "tnua: complete" in again.stdout
    other_way = prepare(smc, tmp_path, "--dataset", "tnua", "--as_published")
    assert other_way.returncode == 1
    assert "was made with another --as_published" in other_way.stderr
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == times

    prepare_smc.make_data_set(VIOLIN, smc, tmp_path, as_published=True, overwrite=True)
    assert contents(tmp_path) != first


def test_prepare_smc_uses_the_named_items_only(tmp_path, smc):
    items, out = tmp_path / "items.json", tmp_path / "out"
    items.write_text('{"tnua_train": [0, 2], "pop909_train": [0]}')
    whole = prepare_smc.make_data_set(VIOLIN, smc, tmp_path / "whole")["parts"]
    made = prepare(smc, out, "--dataset", "tnua", "--items", str(items))
    assert made.returncode == 0, made.stderr
    record = json.loads((out / "tnua.json").read_text())
    assert record["items"] == {"train": [0, 2]}
    assert record["parts"]["train"]["items"] == 2 < whole["train"]["items"]
    assert record["parts"]["valid"] == whole["valid"]
    names = ("tnua_train.npy", "tnua_train_violin_allans.npy")
    for part, of_whole in ((np.load(out / n), np.load(tmp_path / "whole" / n)) for n in names):
        first, last = part[0], part[-1]
        assert (first == of_whole[0]).all()
        assert any((last == segment).all() for segment in of_whole)
    with pytest.raises(UserError, match="made with another --items"):
        prepare_smc.make_data_set(VIOLIN, smc, out)
    with pytest.raises(UserError, match="--items names 99"):
        prepare_smc.make_data_set(VIOLIN, smc, tmp_path / "new", {"tnua_train": [0, 99]})
    for wrong, complaint in (("[2, 0]", "rising"), ('"all"', "not a list of whole numbers")):
        items.write_text(f'{{"tnua_train": {wrong}}}')
        with pytest.raises(UserError, match=complaint):
            prepare_smc.read_chosen(items)


def test_convert_part_stretches_times(tmp_path):
    generator = np.random.default_rng(1)
    items = [random_item(generator, notes) for notes in (5, 300, 80)]
    labels = random_labels(DATA_SETS["pm2s"], items)
    times = [[[a * f, b * f, pitch] for a, b, pitch in item] for item in items for f in (1, 0.8, 2)]
    copied = [[of_item for of_item in task for _ in range(3)] for task in labels]
    write_part(tmp_path / "few", DATA_SETS["pm2s"], "train", items, labels)
    write_part(tmp_path / "many", DATA_SETS["pm2s"], "train", times, copied)
    found = convert_part(DATA_SETS["pm2s"], "train", tmp_path / "few", False, None, [0.8, 2])
    expected = convert_part(DATA_SETS["pm2s"], "train", tmp_path / "many", False)
    assert found.counts == expected.counts
    np.testing.assert_array_equal(found.notes, expected.notes)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_prepare_smc_stretches_training_items_only(tmp_path, smc):
    whole = prepare_smc.make_data_set(VIOLIN, smc, tmp_path / "whole")["parts"]
    made = prepare(smc, tmp_path / "out", "--dataset", "tnua", "--stretch", "0.8", "1.25")
    assert made.returncode == 0, made.stderr
    record = json.loads((tmp_path / "out/tnua.json").read_text())
    assert record["stretch"] == [0.8, 1.25]
    assert record["parts"]["train"]["items"] == 3 * whole["train"]["items"]
    assert [record["parts"][part] == whole[part] for part in VIOLIN.parts] == [False, True, True]
    with pytest.raises(UserError, match="made with another --stretch"):
        prepare_smc.make_data_set(VIOLIN, smc, tmp_path / "out")


@pytest.mark.parametrize("missing", ["tnua.json", "tnua_test.npy"])
def test_make_data_set_completes_what_is_missing(tmp_path, smc, missing, capsys):
    prepare_smc.make_data_set(VIOLIN, smc, tmp_path)
    whole = contents(tmp_path)
    (tmp_path / missing).unlink()
    prepare_smc.make_data_set(VIOLIN, smc, tmp_path)
    assert contents(tmp_path) == whole
    assert "complete in" not in capsys.readouterr().out


def test_make_data_set_keeps_files_of_a_user(tmp_path, smc):
    np.save(tmp_path / "tnua_valid.npy", np.zeros((9, 1024, 4), np.int64))
    with pytest.raises(UserError, match=r"tnua_valid\.npy was not written by this program"):
        prepare_smc.make_data_set(VIOLIN, smc, tmp_path)
    prepare_smc.make_data_set(VIOLIN, smc, tmp_path, overwrite=True)

    (tmp_path / "tnua.json").write_text('{"songs": 3}')  # of a corpus for pre-training
    for overwrite in (False, True):
        with pytest.raises(UserError, match="something other than fine-tuning data"):
            prepare_smc.make_data_set(VIOLIN, smc, tmp_path, overwrite=overwrite)
        with pytest.raises(UserError, match="contains the data to convert"):
            prepare_smc.make_data_set(VIOLIN, smc, smc / VIOLIN.folder, overwrite=overwrite)


def test_prepare_smc_keeps_data_sets_and_makes_the_others(tmp_path, smc):
    copy, output, crater = tmp_path / "smc/downstream_note", tmp_path / "out", tmp_path / "crater"
    shutil.copytree(smc / "downstream_note", copy)
    for data_set in (MOTIF, VIOLIN):
        prepare_smc.make_data_set(data_set, smc, output)
    before = contents(output)
    (copy / "bps_motif_fold_3_mnidans.npy").unlink()
    np.save(copy / "tnua_valid.npy", object_array([Bomb(os.mkdir, str(crater))]))
    names = ("bps_motif", "tnua", "orch")
    failed = prepare(tmp_path / "smc", output, "--overwrite", "--dataset", *names)
    assert failed.returncode == 1
    assert "error: bps_motif is missing: there is no" in failed.stderr
    assert "tnua_valid.npy refers to" in failed.stderr
    assert "files that name code are not read" in failed.stderr
    assert "failed: bps_motif, tnua (see above)" in failed.stderr
    assert not crater.exists()
    after = contents(output)
    assert all(after[name] == before[name] for name in before if name != ".m2bert_files")
    assert (output / "orch.json").exists()


@pytest.mark.parametrize(
    ("folder", "words"),
    [("smc", "there is no data set pop99; there are augnet"), ("nowhere", "there is no folder")],
)
def test_prepare_smc_rejects_wrong_arguments(tmp_path, folder, words):
    (tmp_path / "smc").mkdir()
    failed = prepare(tmp_path / folder, tmp_path, "--dataset", "pop99")
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert words in failed.stderr
