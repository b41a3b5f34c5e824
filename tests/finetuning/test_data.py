from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.finetuning.data import LabelledSegments, doubts, has_data, read_parts, split
from m2bert.notes.cp import PAD, real_notes
from m2bert.tasks import TASKS
from tests.helpers.pickles import Bomb, object_array
from tests.helpers.task_files import write_task, write_unscorable_grid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("melody", "composer"):
        write_task(tmp_path, name)
    return tmp_path


def test_read_parts_reads_arrays_of_any_integers_and_objects(folder):
    notes_path, labels_path = folder / "pop909_valid.npy", folder / "pop909_valid_melodyans.npy"
    np.save(notes_path, np.load(notes_path).astype(np.int64))
    np.save(labels_path, object_array(np.load(labels_path).astype(int).tolist()))
    parts = read_parts(TASKS["melody"], [folder])
    assert list(parts) == ["train", "valid", "test"]
    for name, part in parts.items():
        notes = np.load(folder / f"pop909_{name}.npy")
        labels = np.load(folder / f"pop909_{name}_melodyans.npy", allow_pickle=True).tolist()
        assert (part.notes.dtype, part.labels.dtype) == (torch.uint8, torch.int16)
        np.testing.assert_array_equal(part.notes, notes)
        np.testing.assert_array_equal(part.labels, labels)
        np.testing.assert_array_equal(part.lengths, (notes[..., 0] != PAD[0]).sum(1))


def test_pieces_end_with_padding():
    notes = torch.zeros(6, 4, 4, dtype=torch.uint8)
    for segment in (0, 3, 4):
        notes[segment, -1] = torch.tensor(PAD)
    pieces = LabelledSegments(notes, torch.zeros(6, 4)).pieces
    assert pieces.tolist() == [0, 1, 1, 1, 2, 3]


def test_read_parts_takes_the_first_folder_that_has_a_file(folder, tmp_path):
    other = tmp_path / "pieces"
    other.mkdir()
    for path in folder.glob("pianist8_*"):
        path.rename(other / path.name)
    assert len(read_parts(TASKS["composer"], [folder, other])) == 5
    assert has_data(TASKS["composer"], [folder, other])
    assert not has_data(TASKS["composer"], [folder])


def test_split_rotates_the_folds(folder):
    task = TASKS["composer"]
    parts = read_parts(task, [folder])
    folds = [part.notes for part in parts.values()]
    for fold in range(5):
        data = split(task, parts, fold)
        following = (fold + 1) % 5
        others = [k for k in range(5) if k not in (fold, following)]
        expected = {"test": folds[fold], "valid": folds[following]}
        expected |= {"train": torch.cat([folds[k] for k in others])}
        assert data.keys() == expected.keys()
        assert all(torch.equal(data[name].notes, notes) for name, notes in expected.items())


@pytest.mark.parametrize(("segments", "moved"), [(8, 2), (2400, 500)])
def test_split_moves_the_end_of_training_to_validation(segments, moved):
    rows = torch.arange(segments)
    notes = torch.zeros(segments, 1, 4, dtype=torch.uint8)
    train = LabelledSegments(notes, (1 + rows % 2)[:, None].to(torch.int16))
    other = train.each(lambda tensor: tensor[:4])
    parts = {"train": train, "valid": other, "test": other}
    data = split(TASKS["beat"], parts, None)
    assert len(data["train"]) == segments - moved
    assert torch.equal(data["valid"].labels, torch.cat([other.labels, train.labels[-moved:]]))
    untouched = replace(TASKS["beat"], moved_to_validation=0)
    assert split(untouched, parts, None)["train"] is train


@pytest.mark.parametrize("part", ["valid", "train"])
def test_split_rejects_a_set_without_labels(folder, part):
    task = TASKS["texture"]
    write_task(folder, "texture")
    labels = folder / f"orch_{part}_textureans.npy"
    np.save(labels, np.zeros_like(np.load(labels)))
    with pytest.raises(UserError, match=f"the {part} set .* none of their notes counts"):
        split(task, read_parts(task, [folder]), None)


def test_doubts_reports_notes_with_the_label_of_padding(folder):
    task, labels = TASKS["melody"], folder / "pop909_train_melodyans.npy"
    assert doubts(task, read_parts(task, [folder])) == []
    np.save(labels, np.maximum(np.load(labels).astype(int) - 1, 0))
    parts = read_parts(task, [folder])
    zeros = int(((parts["train"].labels == 0) & real_notes(parts["train"].notes)).sum())
    (sentence,) = doubts(task, parts)
    assert f"{zeros} of the {parts['train'].lengths.sum()} notes of train" in sentence
    assert doubts(replace(task, classes=("low", *task.classes[1:])), parts) == []


@pytest.mark.parametrize(
    ("name", "one", "other", "counts"),
    [
        ("melody", "pop909_train", "pop909_test", "3 of 8 in train, 3 of 8 in test"),
        ("composer", "pianist8_fold_1", "pianist8_fold_4", "3 of 8 in fold_1, 3 of 8 in fold_4"),
    ],
)
def test_doubts_counts_segments_in_several_parts(folder, name, one, other, counts):
    notes = np.load(folder / f"{other}.npy")
    notes[2:5] = np.load(folder / f"{one}.npy")[:3]
    np.save(folder / f"{other}.npy", notes)
    parts = read_parts(TASKS[name], [folder])
    found = [sentence for sentence in doubts(TASKS[name], parts) if "several parts" in sentence]
    assert [counts in sentence for sentence in found] == [True]


def test_split_rejects_a_grid_score_of_0_over_0(folder):
    task = TASKS["localkey"]
    write_task(folder, "localkey")
    write_unscorable_grid(folder, "test")
    words = "the test set .* none of their notes counts for 16th-grid accuracy"
    with pytest.raises(UserError, match=words):
        split(task, read_parts(task, [folder]), None)


def planted_code(_: np.ndarray) -> np.ndarray:
    return object_array([Bomb(Path.touch, Path("bomb"))])


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("pianist8_fold_3.npy", None, r"there is no pianist8_fold_3\.npy in .*own_task\.md"),
        ("pop909_test_melodyans.npy", lambda a: a[:-1], r"labels \(7, 24\) .* of pop909_test\.npy"),
        ("pop909_test_melodyans.npy", lambda a: a[:, :-1], r"has labels \(8, 23\)"),
        ("pop909_train_melodyans.npy", lambda a: a + 4, r"label [4-7] at \[0, 0\], outside 0\.\.3"),
        ("pop909_train_melodyans.npy", lambda a: a + 0.5, r"float64 values instead of whole"),
        ("pianist8_fold_0_composerans.npy", lambda a: a.astype(int) - 9, r"-\d at \[\d+\], outs"),
        ("pop909_train_melodyans.npy", planted_code, "files that name code are not read"),
        ("pop909_train.npy", lambda a: a + 100, r"token \d+ at \[0, 0, 0\], outside 0\.\.2"),
        ("pop909_train.npy", lambda a: a[:, ::-1], r"segment \d+ .* then only rows of padding"),
        ("pop909_train.npy", lambda a: a[..., :3], r"has the shape \(8, 24, 3\) instead of"),
        ("pop909_train.npy", b"notes", r"pop909_train\.npy is not a \.npy file"),
        ("pop909_train.npy", 300, r"pop909_train\.npy cannot be read"),
    ],
)
def test_read_parts_names_malformed_files(folder, monkeypatch, file, spoil, message):
    """spoil: None removes the file, a number truncates it, bytes or a function replace it."""
    monkeypatch.chdir(folder)
    path = folder / file
    if spoil is None:
        path.unlink()
    elif isinstance(spoil, int | bytes):
        path.write_bytes(path.read_bytes()[:spoil] if isinstance(spoil, int) else spoil)
    else:
        np.save(path, spoil(np.load(path)))
    with pytest.raises(UserError, match=message):
        read_parts(TASKS["melody" if "pop909" in file else "composer"], [folder])
    assert not (folder / "bomb").exists()
