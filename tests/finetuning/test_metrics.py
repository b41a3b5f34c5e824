import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from m2bert.finetuning.epoch import counted_in_loss, segment_losses
from m2bert.finetuning.metrics import METRICS, clean_grid_accuracy, grid_accuracy
from m2bert.notes.cp import PAD
from m2bert.tasks import TASKS
from tests.helpers.shared import GOLDEN, same_as_original
from tests.helpers.slow_grid import slow_grid_accuracy
from tests.helpers.synthetic import random_segments

CASES = 1000


def random_case(rng: np.random.Generator, classes: int) -> tuple[np.ndarray, ...]:
    """Segments, labels and predictions; now and then with one note, padding only, few classes."""
    notes = random_segments(rng, int(rng.integers(1, 6)), int(rng.integers(1, 30)))
    if rng.random() < 0.1:
        notes[rng.integers(len(notes))] = PAD
    if rng.random() < 0.05:
        notes[:] = PAD
    if rng.random() < 0.1:
        notes = notes[:1, :1]
    used = rng.choice(classes, int(rng.integers(1, classes + 1)), replace=False)
    labels, predictions = rng.choice(used, (2, *notes.shape[:2]))
    predictions = np.where(rng.random(labels.shape) < 0.3, labels, predictions)
    return notes, labels, predictions


def score(name: str, notes, labels, predictions, batch_size: int = 6) -> float:
    tensors = (torch.from_numpy(np.asarray(array)) for array in (notes, labels, predictions))
    return METRICS[name].score(*tensors, batch_size).item()


def reference(metric, labels, predictions, counted, nothing, **more) -> float:
    """A score of scikit-learn, which wants something to count."""
    return metric(labels[counted], predictions[counted], **more) if counted.any() else nothing


def test_scores_are_scikit_learns_on_random_cases():
    rng, without_anything = np.random.default_rng(0), 0
    for _ in range(CASES):
        notes, *answers = random_case(rng, classes=3)
        real, of_piece = notes[..., 0] != PAD[0], [answer[:, 0] for answer in answers]
        starts = (notes[..., 0] == 0) & (answers[0] > 0)
        told = real & (answers[0] > 0) & (answers[1] > 0)
        expected = {
            "note_accuracy": reference(accuracy_score, *answers, real, math.nan),
            "bar_start_accuracy": reference(accuracy_score, *answers, starts, math.nan),
            "f1": reference(f1_score, *answers, told, 0.0, pos_label=2, zero_division=0.0),
        }
        for name, value in expected.items():
            assert score(name, notes, *answers) == pytest.approx(value, nan_ok=True)
        found = score("piece_accuracy", notes, *of_piece)
        assert found == pytest.approx(accuracy_score(*of_piece))
        without_anything += not real.any()
    assert without_anything > 10


def test_grid_accuracy_is_that_of_a_loop_that_writes_a_grid():
    rng = np.random.default_rng(1)
    for _ in range(CASES // 4):
        case = random_case(rng, classes=4)
        batch_size = int(rng.integers(1, 5))
        tensors = [torch.from_numpy(array) for array in case]
        published = grid_accuracy(*tensors, batch_size).item()
        clean = clean_grid_accuracy(*tensors, batch_size).item()
        assert published == pytest.approx(slow_grid_accuracy(*case, batch_size), nan_ok=True)
        assert clean == pytest.approx(slow_grid_accuracy(*case, 1, clean=True), nan_ok=True)


# The original's figures ------------------------------------------------------------------------


CASES_OF_ORIGINAL = json.loads((GOLDEN / "finetune/metrics.json").read_text())
EXPECTED = "expected_loss_and_metric_by_batch_size"


@same_as_original
@pytest.mark.parametrize(
    ("name", "batch_size"),
    [
        (name, int(size))
        for name, case in CASES_OF_ORIGINAL.items()
        if EXPECTED in case
        for size in case[EXPECTED]
    ],
)
def test_losses_and_scores_are_the_originals(name, batch_size):
    case = CASES_OF_ORIGINAL[name]
    task = TASKS[name.removesuffix("_all_predictions_class0")]
    labels, predictions = torch.tensor(case["labels"]), torch.tensor(case["predictions"])
    notes = torch.tensor(case.get("tokens", [[[0, 0, 0, 0]]] * len(labels)), dtype=torch.uint8)
    classes = case["class_num"]
    logits = 2.0 * torch.nn.functional.one_hot(predictions, classes) + 0.001 * torch.arange(classes)
    counted = counted_in_loss(notes, labels, task.loss_on)
    batches = zip(*(t.split(batch_size) for t in (logits, labels, counted)), strict=True)
    sums = [segment_losses(*batch) for batch in batches]
    loss = np.mean([(losses.sum() / counts.sum()).item() for losses, counts in sums])
    got = METRICS[task.metric].score(notes, labels, predictions, batch_size).item()
    expected_loss, expected_score = case[EXPECTED][str(batch_size)]
    assert round(float(loss), 4) == pytest.approx(expected_loss, abs=1e-4)
    assert round(got, 4) == expected_score
