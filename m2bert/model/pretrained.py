"""What a run starts from: a model folder, the folder of a run, or a checkpoint of the original."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.model.config import PRESETS, M2BertConfig, check_index_layer, config_from
from m2bert.model.encoder import BACKBONE_PREFIX, M2BertForPreTraining, M2BertModel
from m2bert.model.folder import (
    ADVICE,
    WEIGHTS_FILE,
    build_from,
    find_model,
    model_in,
    read_config,
    sha256,
)
from m2bert.model.original import FINAL_NORM, PUBLISHED_FILE, load_published, read_published
from m2bert.model.tensors import (
    load_strictly,
    load_tensors,
    refuse_misfits,
    with_prefix,
    without_weights,
)

PRE_TRAINED = {"M2BertForPreTraining": BACKBONE_PREFIX, "M2BertModel": ""}
"""The models that fine-tuning starts from, and what the names of their encoder begin with."""


def load_initial_weights(path: Path | str, model: M2BertForPreTraining) -> None:
    """Start `model` from a model folder (or that of a run) or from a `.ckpt` of the original."""
    if not Path(path).is_dir():
        load_published(path, model)
        return
    folder = find_model(path)
    read_config(folder, {type(model).__name__: ""})
    tensors, _ = load_tensors(folder / WEIGHTS_FILE)
    load_strictly(model, tensors, folder)


@dataclass(frozen=True)
class Backbone:
    """A pre-trained encoder without its heads.

    Attributes:
        config: what its model is built from.
        tensors: its weights, by the names of `M2BertModel`.
        path: the file or folder they come from.
        epoch: epochs of pre-training, if it says so.
        datasets: corpora of pre-training, if it says so.
        sha256: of the file of weights, in hexadecimal digits.
    """

    config: M2BertConfig
    tensors: dict[str, Tensor]
    path: Path
    epoch: int | None
    datasets: list[str] | None
    sha256: str


def load_backbone(path: Path | str, config: M2BertConfig) -> Backbone:
    """Read the encoder of a pre-trained model.

    path: a model folder, the folder of a run, a `.ckpt` of the original, or a folder with
        `model_best.ckpt` in it.
    config: what a `.ckpt` is to be built as; a model folder says so itself.
    """
    path = find_checkpoint(Path(path))
    if path.is_dir():
        weights = path / WEIGHTS_FILE
        architecture, entries = read_config(path, PRE_TRAINED)
        config = build_from(config_from, entries, path)
        tensors, record = load_tensors(weights)
        backbone = with_prefix(tensors, PRE_TRAINED[architecture])
        datasets = record.get("training", {}).get("datasets")
        advice = ADVICE
    else:
        weights = path
        record = read_published(path)
        backbone = dict(record["state_dict"])
        backbone.pop(FINAL_NORM, None)
        datasets = None
        advice = (
            "choose the --preset that it was trained with, or if it is of no preset's size, name a "
            f"folder that `python -m m2bert.checkpoint {path} FOLDER` makes of it"
        )
    refuse_misfits(without_weights(lambda: M2BertModel(config)), backbone, path, advice)
    return Backbone(config, backbone, path, record.get("epoch"), datasets, sha256(weights))


def find_checkpoint(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    if not path.is_dir():
        return path
    published = path / PUBLISHED_FILE
    return published if published.exists() and not model_in(path) else find_model(path)


def choose_model(
    ckpt: Path | None, preset: str | None, index_layer: int
) -> tuple[M2BertConfig, Backbone | None]:
    """The configuration of the model, and the pre-trained encoder, if any.

    ckpt: as for `load_backbone`; preset: the size of a `.ckpt` or of a model without one ("base").
    Raises `UserError` if they contradict each other or there is no such layer.
    """
    if ckpt is not None:
        backbone = choose_backbone(ckpt, preset, index_layer)
        return backbone.config, backbone
    config = PRESETS[preset or "base"]
    _refuse_no_layer(config, index_layer)
    return config, None


def choose_backbone(ckpt: Path, preset: str | None, index_layer: int) -> Backbone:
    """The pre-trained encoder; arguments and errors as those of `choose_model`."""
    wanted = PRESETS[preset or "base"]
    backbone = load_backbone(ckpt, wanted)
    config = backbone.config
    if preset and replace(config, pianoroll=wanted.pianoroll) != wanted:
        raise UserError(
            f"--preset {preset} is not what {backbone.path} was built from "
            f"({config.num_hidden_layers} layers of width {config.hidden_size}): leave it away"
        )
    _refuse_no_layer(config, index_layer)
    return backbone


def _refuse_no_layer(config: M2BertConfig, index_layer: int) -> None:
    try:
        check_index_layer(config, index_layer)
    except ValueError as error:
        raise UserError(f"--{error}") from error
