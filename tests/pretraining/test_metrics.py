"""Records of epochs."""

import pytest
import torch

from m2bert.pretraining.metrics import epoch_record


def test_epoch_record_scores_rounded_accuracies_by_vocabulary():
    metrics = torch.tensor([5.4321, 1, 2, 3, 4, 500, 0.99961, 0.75042, 0.25061, 0.1234])
    record = epoch_record(metrics.double(), metrics.double())
    assert record["valid_loss"] == 5.432
    assert record["valid_acc"] == [1.0, 0.75, 0.251, 0.123]
    expected = (1.0 * 4 + 0.75 * 18 + 0.251 * 88 + 0.123 * 66) / 176
    assert record["score"] == pytest.approx(expected, abs=1e-12)
    assert record["valid"]["pianoroll_loss"] == 500
