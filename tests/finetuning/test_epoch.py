"""Training a classifier without the command around it, and what is told of its epochs."""

import copy
from dataclasses import replace

import pytest
import torch

from m2bert.base.processes import Processes
from m2bert.base.recipes import Recipe
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer, new_optimiser, with_states
from m2bert.finetuning.run import best_epoch, commonest_label
from m2bert.model.classifiers import CLASSIFIERS, Classifier
from m2bert.tasks import TASKS
from tests.helpers.classifier_gradients import labelled
from tests.helpers.task_files import SMALL

CPU = Processes(torch.device("cpu"))
RECIPE = Recipe(epochs=2, lr=1e-2)


def new_model(name: str) -> Classifier:
    torch.manual_seed(0)
    return CLASSIFIERS[TASKS[name].level](replace(SMALL, dropout=0.0), TASKS[name].classes)


def new_trainer(model: Classifier, name: str, recipe: Recipe = RECIPE) -> ClassifierTrainer:
    return ClassifierTrainer(
        model, TASKS[name], batch_size=4, recipe=recipe, seed=1, processes=CPU, precision="fp32"
    )


def quietly(batches, _title):
    return iter(batches)


@pytest.mark.parametrize("name", ["melody", "composer"])
def test_kept_states_of_a_frozen_encoder_train_the_same_head(name):
    model = new_model(name)
    model.backbone.requires_grad_(False)
    (group,) = new_optimiser(model, RECIPE).param_groups
    assert all(weight.requires_grad for weight in group["params"])
    before = copy.deepcopy(model.state_dict())
    trained = []
    for keeps in (True, False):
        model.load_state_dict(before)
        trainer, data = new_trainer(model, name), labelled(name)
        if keeps:
            data = with_states(model, data, CPU, "fp32")
        scores = [trainer.train_epoch(data, epoch, quietly) for epoch in (1, 2)]
        scores.append(trainer.evaluate(data, "", quietly))
        trained.append((copy.deepcopy(model.state_dict()), scores))
    (kept, kept_scores), (computed, computed_scores) = trained
    for key, weight in before.items():
        changed = not torch.equal(kept[key], weight)
        assert changed == (not key.startswith("backbone.")), key
        torch.testing.assert_close(kept[key], computed[key], rtol=0, atol=2e-3)
    for mine, theirs in zip(kept_scores, computed_scores, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=2e-3)


def test_the_encoder_may_learn_at_a_rate_of_its_own():
    model, before = new_model("melody"), new_model("melody").state_dict()
    recipe = replace(RECIPE, lr=1e-2, encoder_lr=0.0, weight_decay=0.0)
    new_trainer(model, "melody", recipe).train_epoch(labelled("melody"), 1, quietly)
    for key, weight in model.state_dict().items():
        assert torch.equal(weight, before[key]) == key.startswith("backbone."), key


def test_the_rate_follows_the_schedule(monkeypatch):
    recipe = replace(RECIPE, schedule="cosine", warmup_steps=2)
    trainer, data = new_trainer(new_model("melody"), "melody", recipe), labelled("melody")
    factors: list[float] = []
    monkeypatch.setattr(trainer.optimiser, "step", factors.append)
    for epoch in (1, 2):  # of three batches each
        trainer.train_epoch(data, epoch, quietly)
    assert factors == [recipe.factor(step, 6) for step in range(6)]


def test_a_batch_without_labelled_notes_changes_no_weight():
    trainer, data = new_trainer(new_model("texture"), "texture"), labelled("texture")
    data.labels[1:] = 0  # only one of the three batches teaches anything
    trainer.train_epoch(data, 1, quietly)
    assert trainer.optimiser.param_groups[0]["step"] == 1


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
