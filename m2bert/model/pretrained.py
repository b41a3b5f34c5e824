"""What a run starts from: a model folder, the folder of a run, or a checkpoint of the original."""

from dataclasses import dataclass, replace
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.model.config import PRESETS, M2BertConfig, check_index_layer
from m2bert.model.encoder import M2BertForPreTraining, M2BertModel
from m2bert.model.folder import (
    MODEL_FILES,
    WEIGHTS_FILE,
    find_model,
    model_in,
    not_a_folder,
    read_record,
)
from m2bert.model.original import PUBLISHED_FILE, load_published
from m2bert.model.tensors import load_strictly


def find_checkpoint(path: Path | str) -> Path:
    """The model folder or `.ckpt` that `path` stands for: a model folder, the folder of a run, a
    `.ckpt` of the original, or a folder with `model_best.ckpt` in it."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    if not path.is_dir():
        if path.name in MODEL_FILES or path.suffix == ".safetensors":
            raise not_a_folder(path)
        return path
    published = path / PUBLISHED_FILE
    return published if published.exists() and not model_in(path) else find_model(path)


def checksum_of_weights(path: Path | str) -> str:
    """The SHA-256 of the file of weights that `find_checkpoint` finds."""
    path = find_checkpoint(path)
    return sha256(path / WEIGHTS_FILE if path.is_dir() else path)


def load_initial_weights(path: Path | str, model: M2BertForPreTraining) -> None:
    """Start `model` from the weights at `path`, as for `find_checkpoint`."""
    path = find_checkpoint(path)
    if path.is_dir():
        start = M2BertForPreTraining.from_pretrained(path)
    else:
        start, _ = load_published(path, model.config.num_attention_heads)
    load_strictly(model, start.state_dict(), path)


@dataclass(frozen=True)
class Backbone:
    """A pre-trained encoder without its heads.

    Attributes:
        model: in fp32, on the CPU.
        path: the model folder or `.ckpt` that it was read from.
        epoch: how many epochs it was pre-trained for; None if that was not recorded.
        datasets: the corpora it was pre-trained on; None if they were not recorded.
        sha256: of the file of weights, in hexadecimal digits.
    """

    model: M2BertModel
    path: Path
    epoch: int | None
    datasets: list[str] | None
    sha256: str

    @property
    def config(self) -> M2BertConfig:
        return self.model.config


def load_backbone(path: Path | str, attention_heads: int | None = None) -> Backbone:
    """Read the encoder of a model, pre-trained or fine-tuned.

    path: as for `find_checkpoint`; attention_heads: of a `.ckpt`, as for `load_published`.
    """
    path = find_checkpoint(path)
    if path.is_dir():
        model, record = M2BertModel.from_pretrained(path), read_record(path)
    else:
        published, record = load_published(path, attention_heads)
        model = published.backbone
    datasets = record.get("training", {}).get("datasets")
    epoch, checksum = record.get("epoch"), checksum_of_weights(path)
    return Backbone(model, path, epoch, datasets, checksum)


def choose_model(
    ckpt: Path | None, preset: str | None, index_layer: int
) -> tuple[M2BertConfig, Backbone | None]:
    """The configuration of the model, and the pre-trained encoder, if any.

    ckpt: as for `find_checkpoint`; preset: the size of a random model (None: "base").
    Raises `UserError` if they contradict each other or there is no such layer.
    """
    config, backbone = PRESETS[preset or "base"], None
    if ckpt is not None:
        backbone = load_backbone(ckpt, config.num_attention_heads if preset else None)
        if preset and replace(backbone.config, pianoroll=config.pianoroll) != config:
            raise UserError(
                f"--preset {preset} is not what {backbone.path} was built from "
                f"({backbone.config.num_hidden_layers} layers of width "
                f"{backbone.config.hidden_size}): omit it"
            )
        config = backbone.config
    try:
        check_index_layer(config, index_layer)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    return config, backbone
