"""What the runs of a command start from."""

import argparse

import pytest
import torch

from m2bert.base.errors import UserError
from m2bert.finetuning.plan import Setup, chosen_folds
from m2bert.model.config import LAST_LAYER
from m2bert.model.folder import ENCODER
from m2bert.model.pretrained import choose_model
from m2bert.tasks import TASKS


@pytest.mark.parametrize("device", ["cpu", "cuda"])  # the model is built before it is moved there
def test_new_model_has_the_bfloat16_weights_of_the_encoder_in_float32(device):
    args = argparse.Namespace(index_layer=LAST_LAYER)
    setup = Setup(args, torch.device(device), *choose_model(ENCODER, None, LAST_LAYER), {})
    model = setup.new_model(TASKS["melody"])
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    for name, tensor in setup.backbone.model.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor)


def test_folds_are_chosen_only_in_a_cross_validation():
    assert chosen_folds(TASKS["emotion"], None) == [0, 1, 2, 3, 4]
    assert chosen_folds(TASKS["emotion"], [1, 0]) == [0, 1]
    assert chosen_folds(TASKS["melody"], [1, 0]) == [None]
    with pytest.raises(UserError, match="emotion has folds 0 to 4, there is no fold 5"):
        chosen_folds(TASKS["emotion"], [0, 5])
