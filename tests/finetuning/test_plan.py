"""Initial models of runs."""

import argparse
import copy
from dataclasses import replace

import pytest
import torch

from m2bert.finetuning.plan import Setup
from m2bert.model.pretrained import load_backbone
from m2bert.tasks import TASKS
from tests.helpers.task_files import SMALL, write_checkpoint


@pytest.mark.parametrize("name", ["melody", "composer"])
def test_new_model_has_the_same_encoder_on_cpu_and_gpu(tmp_path, name):
    backbone = load_backbone(write_checkpoint(tmp_path), SMALL)
    kept = copy.deepcopy(backbone.tensors)
    args = argparse.Namespace(index_layer=12)
    models = []
    for device in ("cpu", "cuda"):
        setup = Setup(args, torch.device(device), replace(SMALL), backbone, {})
        torch.manual_seed(0)
        models.append(setup.new_model(TASKS[name]))
    for (key, mine), other in zip(
        models[0].named_parameters(), models[1].parameters(), strict=True
    ):
        assert mine.shape == other.shape
        assert mine.requires_grad == other.requires_grad, key
        assert torch.equal(mine, other) == key.startswith("backbone."), key
    notes = torch.randint(0, 4, (2, 30, 4))
    for model in models:
        model.load_state_dict(models[0].state_dict())
        model.eval()
    assert torch.equal(models[0](notes), models[1](notes))
    assert all(torch.equal(kept[key], tensor) for key, tensor in backbone.tensors.items())
