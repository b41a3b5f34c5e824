"""Which epoch of a run is its best, and which label always to say."""

import torch

from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.run import best_epoch, commonest_label
from m2bert.tasks import TASKS


def test_of_equal_epochs_the_latest_is_best():
    epochs = [{"epoch": k, "valid_acc": v} for k, v in enumerate([0.1, 0.5, 0.3, 0.5, 0.2], 1)]
    assert best_epoch(epochs)["epoch"] == 4


def test_the_commonest_label_is_of_the_notes_that_are_trained_on():
    notes = torch.zeros(1, 5, 4, dtype=torch.uint8)
    notes[0, 4, 0] = 2  # padding
    labels = torch.tensor([[0, 0, 2, 2, 0]], dtype=torch.int16)
    labels[0, 1] = 2
    train = LabelledSegments(notes, labels)
    assert commonest_label(TASKS["melody"], train) == 2
    labels[0, :3] = 0
    assert commonest_label(TASKS["melody"], LabelledSegments(notes, labels)) == 0
    assert commonest_label(TASKS["texture"], LabelledSegments(notes, labels)) == 2
