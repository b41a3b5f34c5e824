"""What a run starts from: a model folder, the folder of a run, or a checkpoint of the original."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.model.config import PRESETS, M2BertConfig, check_index_layer
from m2bert.model.encoder import BACKBONE_PREFIX, M2BertForPreTraining, M2BertModel
from m2bert.model.folder import WEIGHTS_FILE, find_model, model_in, read_config, read_record
from m2bert.model.original import PUBLISHED_FILE, read_published
from m2bert.model.tensors import load_strictly, load_tensors, with_prefix, without_weights

PRE_TRAINED = dict.fromkeys(("M2BertForPreTraining", "M2BertModel"))
"""The architectures that fine-tuning starts from."""


def load_initial_weights(path: Path | str, model: M2BertForPreTraining) -> None:
    """Start `model` from a model folder (or that of a run) or from a `.ckpt` of the original."""
    if Path(path).is_dir():
        path = find_model(path)
        read_config(path, model.prefixes())
        tensors, _ = load_tensors(path / WEIGHTS_FILE)
    else:
        tensors, _ = read_published(path)
    load_strictly(model, tensors, path)


def checksum_of_weights(path: Path) -> str:
    """The SHA-256 of the weights in a model folder, that of a run, or a `.ckpt`. Raises `UserError`
    if there are none."""
    if path.is_dir():
        return sha256(find_model(path) / WEIGHTS_FILE)
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    return sha256(path)


@dataclass(frozen=True)
class Backbone:
    """A pre-trained encoder without its heads.

    Attributes:
        config: what its model is built from.
        tensors: its weights, by the names of `M2BertModel`.
        path: the file or folder they come from.
        epoch: how many epochs it was pre-trained for; None if that was not recorded.
        datasets: the corpora it was pre-trained on; None if they were not recorded.
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
        read_config(path, PRE_TRAINED)
        model, record, weights = M2BertModel.check(path), read_record(path), path / WEIGHTS_FILE
    else:
        model = without_weights(lambda: M2BertModel(config))
        (tensors, record), weights = read_published(path), path
        advice = (
            "choose the --preset that it was trained with, or if it is of no preset's size, name a "
            f"folder that `python -m m2bert.checkpoint {path} FOLDER` makes of it"
        )
        load_strictly(model, with_prefix(tensors, BACKBONE_PREFIX), path, advice)
    datasets = record.get("training", {}).get("datasets")
    epoch, checksum = record.get("epoch"), sha256(weights)
    return Backbone(model.config, model.state_dict(), path, epoch, datasets, checksum)


def find_checkpoint(path: Path) -> Path:
    """The `.ckpt` or model folder that `path`, as for `load_backbone`, stands for."""
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

    ckpt: as for `load_backbone`; preset: the size of a `.ckpt` or of a random model (None: "base").
    Raises `UserError` if they contradict each other or there is no such layer.
    """
    wanted = config = PRESETS[preset or "base"]
    backbone = None if ckpt is None else load_backbone(ckpt, wanted)
    if backbone is not None:
        config = backbone.config
        if preset and replace(config, pianoroll=wanted.pianoroll) != wanted:
            raise UserError(
                f"--preset {preset} is not what {backbone.path} was built from "
                f"({config.num_hidden_layers} layers of width {config.hidden_size}): leave it out"
            )
    try:
        check_index_layer(config, index_layer)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    return config, backbone
