"""Where the original's figures lie, which are not part of the repository."""

from pathlib import Path

import pytest

from m2bert.model.config import M2BertConfig
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.original import load_published

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
GOLDEN = SHARED / "golden"

needs_golden = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason=f"the reference implementation's figures are not at {GOLDEN}"
)

GOLDEN_CONFIG = M2BertConfig(
    hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4
)


def golden_model() -> M2BertForPreTraining:
    """The small model whose outputs and training the original's figures are of."""
    model = M2BertForPreTraining(GOLDEN_CONFIG)
    load_published(GOLDEN / "tiny_reference.ckpt", model)
    return model
