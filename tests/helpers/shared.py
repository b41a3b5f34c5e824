"""The folders with the original's results (`tests/golden/README.md`), and marks for the tests that
compare with them and take the folder as `golden`."""

from pathlib import Path

import pytest

from m2bert.model.config import M2BertConfig

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests" / "golden"
SHARED = REPOSITORY.parent / "shared"
# Results on music that may not be redistributed.
UNPUBLISHED = SHARED / "golden"

same_as_original = pytest.mark.same_as_original

_published = pytest.param(GOLDEN, id="published", marks=same_as_original)
_unpublished = pytest.param(
    UNPUBLISHED,
    id="unpublished",
    marks=[
        same_as_original,
        pytest.mark.skipif(
            not UNPUBLISHED.is_dir(), reason="needs music that may not be redistributed"
        ),
    ],
)
golden_all = pytest.mark.parametrize("golden", [_published, _unpublished])
golden_unpublished = pytest.mark.parametrize("golden", [_unpublished])

GOLDEN_CONFIG = M2BertConfig(
    hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4
)


def golden_model():
    """The small model that the original's results are of."""
    # not imported above, as worker processes of tests import this module and need no torch
    from m2bert.model.encoder import M2BertForPreTraining
    from m2bert.model.pretrained import load_initial_weights

    model = M2BertForPreTraining(GOLDEN_CONFIG)
    load_initial_weights(GOLDEN / "tiny_reference.ckpt", model)
    return model
