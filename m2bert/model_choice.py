"""The pre-trained model that a command is given: `--ckpt`, `--preset` and `--index_layer`."""

from dataclasses import replace
from pathlib import Path

from m2bert.checkpoint import Backbone, load_backbone
from m2bert.errors import UserError
from m2bert.model import PRESETS, M2BertConfig, check_index_layer


def choose_model(
    ckpt: Path | None, preset: str | None, index_layer: int
) -> tuple[M2BertConfig, Backbone | None]:
    """The configuration of the model, and the pre-trained encoder, if any.

    ckpt: as for `load_backbone`; preset: the size of a `.ckpt` or of a model without one ("base").
    Raises `UserError` if they contradict each other or there is no such layer.
    """
    wanted = PRESETS[preset or "base"]
    backbone = load_backbone(ckpt, wanted) if ckpt else None
    config = backbone.config if backbone else wanted
    if preset and replace(config, pianoroll=wanted.pianoroll) != wanted:
        raise UserError(
            f"--preset {preset} is not what {backbone.path} was built from "
            f"({config.num_hidden_layers} layers of width {config.hidden_size}): leave it away"
        )
    try:
        check_index_layer(config, index_layer)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    return config, backbone
