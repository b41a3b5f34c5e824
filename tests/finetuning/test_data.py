from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.finetuning.data import LabelledSegments, has_data, read_parts, split
from m2bert.notes.cp import PAD
from m2bert.tasks import TASKS
from tests.helpers.pickles import Bomb, object_array
from tests.helpers.task_files import write_task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("melody", "composer"):
        write_task(tmp_path, name)
    return tmp_path


def change(path: Path, function) -> None:
    np.save(path, function(np.load(path)))


def test_arrays_are_read_as_they_are(folder):
    parts = read_parts(TASKS["melody"], [folder])
    assert list(parts) == ["train", "valid", "test"]
    for name, part in parts.items():
        notes = np.load(folder / f"pop909_{name}.npy")
        labels = np.load(folder / f"pop909_{name}_melodyans.npy")
        assert part.notes.dtype == torch.uint8
        np.testing.assert_array_equal(part.notes, notes)
        np.testing.assert_array_equal(part.labels, labels)
        np.testing.assert_array_equal(part.lengths, (notes[..., 0] != PAD[0]).sum(1))


def test_the_originals_int64_and_object_arrays_give_the_same(folder):
    before = read_parts(TASKS["melody"], [folder])["valid"].summary()
    notes_path, labels_path = folder / "pop909_valid.npy", folder / "pop909_valid_melodyans.npy"
    notes, labels = np.load(notes_path), np.load(labels_path)
    np.save(notes_path, notes.astype(np.int64))
    objects = np.empty(len(labels), object)
    objects[:] = labels.astype(int).tolist()
    np.save(labels_path, objects)
    assert read_parts(TASKS["melody"], [folder])["valid"].summary() == before


def test_each_file_is_taken_from_the_first_folder_that_has_it(folder, tmp_path):
    other = tmp_path / "pieces"
    other.mkdir()
    for path in folder.glob("pianist8_*"):
        path.rename(other / path.name)
    assert len(read_parts(TASKS["composer"], [folder, other])) == 5
    assert has_data(TASKS["composer"], [folder, other])
    assert not has_data(TASKS["composer"], [folder])


def test_folds_take_turns(folder):
    task = TASKS["composer"]
    parts = read_parts(task, [folder])
    folds = [part.notes for part in parts.values()]
    for fold in range(5):
        data = split(task, parts, fold)
        following = (fold + 1) % 5
        others = [k for k in range(5) if k not in (fold, following)]
        assert torch.equal(data.test.notes, folds[fold])
        assert torch.equal(data.valid.notes, folds[following])
        assert torch.equal(data.train.notes, torch.cat([folds[k] for k in others]))


@pytest.mark.parametrize(("segments", "moved"), [(8, 2), (2400, 500)])
def test_beats_move_the_end_of_training_to_the_end_of_validation(segments, moved):
    rows = torch.arange(segments)
    notes = torch.zeros(segments, 1, 4, dtype=torch.uint8)
    train = LabelledSegments(notes, (1 + rows % 2)[:, None].to(torch.int16))
    other = train.take(slice(0, 4))
    data = split(TASKS["beat"], {"train": train, "valid": other, "test": other}, None)
    assert len(data.train) == segments - moved
    assert torch.equal(data.valid.labels, torch.cat([other.labels, train.labels[-moved:]]))
    untouched = replace(TASKS["beat"], moved_to_validation=0)
    data = split(untouched, {"train": train, "valid": other, "test": other}, None)
    assert len(data.train) == segments


def test_a_set_without_anything_to_score_is_refused(folder):
    task = TASKS["texture"]
    write_task(folder, "texture")
    change(folder / "orch_valid_textureans.npy", np.zeros_like)
    with pytest.raises(UserError, match=r"texture: the valid set .* none of their notes counts"):
        split(task, read_parts(task, [folder]), None)


BAD_FILES = {
    "a missing fold": (
        "composer",
        "pianist8_fold_3.npy",
        Path.unlink,
        r"there is no pianist8_fold_3\.npy in .*prepare_smc_benckmark",
    ),
    "labels of too few segments": (
        "melody",
        "pop909_test_melodyans.npy",
        lambda path: change(path, lambda labels: labels[:-1]),
        r"melodyans\.npy has labels \(7, 24\) .* \(8, 24\) of pop909_test\.npy",
    ),
    "labels of too short segments": (
        "melody",
        "pop909_test_melodyans.npy",
        lambda path: change(path, lambda labels: labels[:, :-1]),
        r"has labels \(8, 23\)",
    ),
    "a label of another task": (
        "melody",
        "pop909_train_melodyans.npy",
        lambda path: change(path, lambda labels: labels + 4),
        r"melodyans\.npy has the label [4-7] at \[0, 0\], outside 0\.\.3",
    ),
    "a negative label": (
        "composer",
        "pianist8_fold_0_composerans.npy",
        lambda path: change(path, lambda labels: labels.astype(int) - 9),
        r"has the label -\d at \[\d+\], outside 0\.\.7",
    ),
    "a token that is none": (
        "melody",
        "pop909_train.npy",
        lambda path: change(path, lambda notes: notes + 100),
        r"has the token \d+ at \[0, 0, 0\], outside 0\.\.2",
    ),
    "padding before notes": (
        "melody",
        "pop909_train.npy",
        lambda path: change(path, lambda notes: notes[:, ::-1]),
        r"segment \d+ begins with padding",
    ),
    "half a padding note": (
        "melody",
        "pop909_valid.npy",
        lambda path: change(path, lambda notes: np.where(np.arange(4) == 1, PAD[1], notes)),
        r"note 0 of segment 0 is \[\d, 16, \d+, \d+\], neither a note nor padding",
    ),
    "numbers with fractions": (
        "melody",
        "pop909_train_melodyans.npy",
        lambda path: change(path, lambda labels: labels + 0.5),
        r"holds float64 values instead of whole numbers",
    ),
    "notes of another shape": (
        "melody",
        "pop909_train.npy",
        lambda path: change(path, lambda notes: notes[..., :3]),
        r"holds \(8, 24, 3\) instead of",
    ),
    "a truncated file": (
        "melody",
        "pop909_train.npy",
        lambda path: path.write_bytes(path.read_bytes()[:300]),
        r"pop909_train\.npy cannot be read",
    ),
    "a file that is no array": (
        "melody",
        "pop909_train.npy",
        lambda path: path.write_bytes(b"notes"),
        r"pop909_train\.npy is not a \.npy file",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_named(folder, case):
    task, file, spoil, message = BAD_FILES[case]
    spoil(folder / file)
    with pytest.raises(UserError, match=message):
        read_parts(TASKS[task], [folder])


def test_a_pickle_that_names_code_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = object_array([Bomb(Path.touch, Path("bomb"))])
    np.save(folder / "pop909_train_melodyans.npy", bomb)
    with pytest.raises(UserError, match="files that name code are not read"):
        read_parts(TASKS["melody"], [folder])
    assert not (tmp_path / "bomb").exists()
