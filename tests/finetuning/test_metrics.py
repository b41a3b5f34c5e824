import json
import math
from math import nan

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from m2bert.finetuning.epoch import counted_in_loss, segment_losses
from m2bert.finetuning.metrics import METRICS
from m2bert.notes.cp import PAD
from m2bert.tasks import TASKS
from tests.helpers.shared import GOLDEN, same_as_original
from tests.helpers.synthetic import random_segments
from tests.reference.reference_grid import reference_grid_accuracy

CASES = 250


def random_case(rng: np.random.Generator, classes: int) -> tuple[np.ndarray, ...]:
    """Segments, labels and predictions; sometimes a single note, only padding or few classes."""
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


def test_grid_accuracy_equals_the_reference_implementation():
    rng = np.random.default_rng(1)
    for _ in range(CASES):
        case = random_case(rng, classes=4)
        batch_size = int(rng.integers(1, 5))
        tensors = [torch.from_numpy(array) for array in case]
        published = METRICS["grid_accuracy"].score(*tensors, batch_size).item()
        clean = METRICS["grid_accuracy"].clean_score(*tensors, batch_size).item()
        assert published == pytest.approx(reference_grid_accuracy(*case, batch_size), nan_ok=True)
        assert clean == pytest.approx(reference_grid_accuracy(*case, 1, clean=True), nan_ok=True)


def test_labelled_scores_equal_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    for _ in range(50):
        notes, labels, predictions = random_case(rng, classes=5)
        marked = (notes[..., 0] != PAD[0]) & (labels > 0)
        true, predicted = labels[marked], predictions[marked]
        expected = f1_of_present(true, predicted), np.mean(true == predicted) if len(true) else nan
        got = [score(n, notes, labels, predictions) for n in ("macro_f1", "labelled_accuracy")]
        assert got == pytest.approx(expected, nan_ok=True)
        pieces = labels[:, 0], predictions[:, 0]
        assert score("macro_f1", notes, *pieces) == pytest.approx(f1_of_present(*pieces))


def f1_of_present(true: np.ndarray, predicted: np.ndarray) -> float:
    options = {"labels": np.unique(true), "average": "macro", "zero_division": 0}
    return f1_score(true, predicted, **options) if len(true) else nan


@pytest.mark.parametrize("name", [name for name in METRICS if name != "piece_accuracy"])
def test_metrics_do_not_count_padding(name):
    rng = np.random.default_rng(3)
    notes = random_segments(rng, 4, 30, shortest=10)
    labels, predictions = rng.integers(0, 3, (2, 4, 30))
    padding = notes[..., 0] == PAD[0]
    assert padding.any()
    before = score(name, notes, labels, predictions)
    labels[padding], predictions[padding] = 2, 1
    assert score(name, notes, labels, predictions) == before
    nothing = score(name, np.full_like(notes, PAD), labels, predictions)
    assert nothing == 0 if name == "f1" else math.isnan(nothing)


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


def test_segment_losses_weight_classes():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 3), torch.randint(0, 3, (2, 5))
    counted, weight = torch.rand(2, 5) < 0.7, torch.tensor([1, 0.5, 2.5])
    sums, counts = segment_losses(logits, labels, counted, weight)
    for segment in range(2):
        of_notes = torch.nn.functional.cross_entropy(
            logits[segment], labels[segment], weight, reduction="none"
        )
        torch.testing.assert_close(sums[segment], of_notes[counted[segment]].sum())
    assert counts.tolist() == counted.sum(1).tolist()
