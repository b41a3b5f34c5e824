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
    for task, labels, commonest in (
        ("melody", [0, 2, 2, 2, 0], 2),
        ("melody", [0, 0, 0, 2, 0], 0),
        ("texture", [0, 0, 0, 2, 0], 2),
    ):
        train = LabelledSegments(notes, torch.tensor([labels], dtype=torch.int16))
        assert commonest_label(TASKS[task], train) == commonest
