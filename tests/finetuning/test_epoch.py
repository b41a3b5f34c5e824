"""Training of a classifier, without files."""

import copy
from dataclasses import replace

import pytest
import torch

from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import class_weights, with_states
from m2bert.finetuning.run import best_epoch, majority_label
from m2bert.tasks import TASKS
from tests.helpers.task_files import SMALL, new_classifier
from tests.helpers.trainers import CPU, finetuner, labelled

WITHOUT_DROPOUT = replace(SMALL, dropout=0.0)


@pytest.mark.parametrize("name", ["texture", "composer"])
def test_class_weights_balance_the_counted_labels(name):
    task, data = TASKS[name], labelled(name)
    of_piece = task.level == "piece"
    labels = data.labels if of_piece else data.labels[data.labels > 0]  # texture: labelled ones
    number = torch.bincount(labels.long(), minlength=len(task.classes))
    weights = class_weights(task, data, balance=True, last=None)
    assert weights[labels.long()].mean() == pytest.approx(1)
    of_class = (weights * number)[number > 0]
    torch.testing.assert_close(of_class, of_class[:1].expand_as(of_class))
    assert (weights[number == 0] == 1).all()
    last = class_weights(task, data, balance=False, last=2.5)
    assert last.tolist() == [1] * (len(task.classes) - 1) + [2.5]
    assert class_weights(task, data, balance=False, last=None) is None


@pytest.mark.parametrize("name", ["melody", "composer"])
def test_train_epoch_on_kept_states_trains_the_same_head(name):
    model = new_classifier(name, config=WITHOUT_DROPOUT)
    model.backbone.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    trained = []
    for keeps in (True, False):
        model.load_state_dict(before)
        trainer, data = finetuner(model), labelled(name)
        if keeps:
            data = with_states(model, {"train": data}, CPU, "fp32")["train"]
        scores = [trainer.train_epoch(data, epoch) for epoch in (1, 2)]
        scores.append(trainer.evaluate(data))
        trained.append((copy.deepcopy(model.state_dict()), scores))
    (kept, kept_scores), (computed, computed_scores) = trained
    for key, weight in before.items():
        changed = not torch.equal(kept[key], weight)
        assert changed == (not key.startswith("backbone.")), key
        torch.testing.assert_close(kept[key], computed[key], rtol=0, atol=2e-3)
    for mine, theirs in zip(kept_scores, computed_scores, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=2e-3)


def test_train_epoch_skips_batches_without_labelled_notes():
    trainer, data = finetuner(new_classifier("texture")), labelled("texture")
    data.labels[1:] = 0  # only one of the three batches has labels
    assert 0 < trainer.train_epoch(data, 1).loss < 10
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


def test_train_epoch_uses_bf16_only_in_the_model():
    trainers = [
        finetuner(new_classifier("melody", config=WITHOUT_DROPOUT), precision=precision)
        for precision in ("bf16", "fp32")
    ]
    loss, exact = (trainer.train_epoch(labelled("melody"), 1).loss for trainer in trainers)
    assert loss == pytest.approx(exact, rel=1e-2)
    assert loss != exact
    assert {weight.dtype for weight in trainers[0].model.parameters()} == {torch.float32}


def test_best_epoch_is_the_latest_of_equal_ones():
    epochs = [{"epoch": k, "valid_acc": v} for k, v in enumerate([0.1, 0.5, 0.3, 0.5, 0.2], 1)]
    assert best_epoch(epochs)["epoch"] == 4


def test_majority_label_counts_the_notes_of_the_loss():
    notes = torch.zeros(1, 5, 4, dtype=torch.uint8)
    notes[0, 4, 0] = 2  # padding
    for task, labels, majority in (
        ("melody", [0, 2, 2, 2, 0], 2),
        ("melody", [0, 0, 0, 2, 0], 0),
        ("texture", [0, 0, 0, 2, 0], 2),
    ):
        train = LabelledSegments(notes, torch.tensor([labels], dtype=torch.int16))
        assert majority_label(TASKS[task], train) == majority
