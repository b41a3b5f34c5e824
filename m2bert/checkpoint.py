"""The original's checkpoints in both directions, and what a run may start from.

Nothing here can run code: torch's weights-only reader.

    python -m m2bert.checkpoint FOLDER OUT.ckpt      writes a checkpoint for the original's code
    python -m m2bert.checkpoint IN.ckpt FOLDER       writes a model folder of one
"""

import argparse
import pickle
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import Tensor

from m2bert.arguments import count
from m2bert.cp import FIELDS
from m2bert.errors import UserError, run_command
from m2bert.files import replacing
from m2bert.model import (
    BACKBONE_PREFIX,
    PRESETS,
    M2BertConfig,
    M2BertForPreTraining,
    M2BertModel,
    config_from,
)
from m2bert.model_folder import (
    ADVICE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    adopt_tensors,
    build_from,
    find_model,
    load_strictly,
    load_tensors,
    model_in,
    read_config,
    read_record,
    refuse_misfits,
    sha256,
    with_prefix,
)
from m2bert.objectives import PIANOROLL_BINS

HEADS_PREFIX = "mask_lm."
FINAL_NORM = "note_bert1.final_norm.weight"
"""In the original's checkpoints, never trained and read by nothing: dropped, written as ones."""
PUBLISHED_FILE = "model_best.ckpt"

_FIGURES = {
    "epoch": "epoch",
    "best_acc": "score",
    "valid_acc": "valid_acc",
    "valid_loss": "valid_loss",
    "train_loss": "train_loss",
}
"""Entries of the original's checkpoints, and what records call them."""

PRE_TRAINED = {"M2BertForPreTraining": BACKBONE_PREFIX, "M2BertModel": ""}
"""The models that fine-tuning starts from, and what the names of their encoder begin with."""


# What runs start from --------------------------------------------------------------------------


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
    path = _find_checkpoint(Path(path))
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
    with torch.device("meta"):  # only names and shapes are looked at
        refuse_misfits(M2BertModel(config), backbone, path, advice)
    return Backbone(config, backbone, path, record.get("epoch"), datasets, sha256(weights))


def _find_checkpoint(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    if not path.is_dir():
        return path
    published = path / PUBLISHED_FILE
    return published if published.exists() and not model_in(path) else find_model(path)


# The original's checkpoints ------------------------------------------------------------------


def load_published(path: Path | str, model: M2BertForPreTraining) -> dict:
    """Copy the weights of a `.ckpt` of the original's pre-training into `model`.

    Returns its figures by our names: epoch, score, valid_acc, valid_loss, train_loss. Its
    optimiser's state is not used: the original does not resume either.
    """
    checkpoint = read_published(path)
    load_strictly(model, _tensors_by_our_names(checkpoint), path)
    return _figures(checkpoint, path)


def convert_published(
    path: Path | str, attention_heads: int | None = None
) -> tuple[M2BertForPreTraining, dict]:
    """Make a model of a `.ckpt` of the original, of the size and kind that its tensors say.

    attention_heads: their number, which no tensor says; None takes that of the preset of this size.
    Returns the model and its figures, as `load_published`.
    """
    checkpoint = read_published(path)
    config = _config_of(checkpoint, path, attention_heads)
    with init_empty_weights():
        model = M2BertForPreTraining(config)
    adopt_tensors(model, _tensors_by_our_names(checkpoint), path, "it may be incomplete")
    return model, _figures(checkpoint, path)


def _tensors_by_our_names(checkpoint: dict) -> dict[str, Tensor]:
    backbone, heads = checkpoint["state_dict"], checkpoint["mask_lm"]
    tensors = {BACKBONE_PREFIX + name: t for name, t in backbone.items() if name != FINAL_NORM}
    return tensors | {HEADS_PREFIX + name: t for name, t in heads.items()}


def _figures(checkpoint: dict, path: Path | str) -> dict:
    try:
        figures = {
            ours: torch.as_tensor(checkpoint[theirs], dtype=torch.float64).tolist()
            for theirs, ours in _FIGURES.items()
            if theirs in checkpoint
        }
        return figures | {"epoch": int(figures.get("epoch", 0))}
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} has figures that are no numbers ({error})") from error


def _config_of(checkpoint: dict, path: Path | str, attention_heads: int | None) -> M2BertConfig:
    backbone, heads = checkpoint["state_dict"], checkpoint["mask_lm"]
    layers = re.findall(r"note_bert1\.layers\.(\d+)\.", " ".join(backbone))
    try:
        sizes = {
            "hidden_size": backbone["in_linear.weight"].shape[0],
            "intermediate_size": backbone["note_bert1.layers.0.mlp.Wo.weight"].shape[1],
            "num_hidden_layers": 1 + max(map(int, layers)),
        }
    except (KeyError, IndexError) as error:
        raise UserError(
            f"{path} is no checkpoint of the original: its tensors do not tell the model's size "
            f"({error})"
        ) from error
    pianoroll = _pianoroll_of(heads, path)
    alike = [preset for preset in PRESETS.values() if sizes.items() <= asdict(preset).items()]
    if not alike and attention_heads is None:
        raise UserError(
            f"{path} is of no preset's size ({sizes['num_hidden_layers']} layers of width "
            f"{sizes['hidden_size']}), and its tensors do not tell the number of attention heads: "
            "give it with --num_attention_heads"
        )
    preset = alike[0] if alike else M2BertConfig()
    attention_heads = attention_heads or preset.num_attention_heads
    try:
        return replace(preset, **sizes, pianoroll=pianoroll, num_attention_heads=attention_heads)
    except ValueError as error:
        raise UserError(f"{path} is of no such model: {error}") from error


def _pianoroll_of(heads: dict[str, Tensor], path: Path | str) -> str:
    """The kind of pianoroll whose head comes after those of the fields."""
    head = heads.get(f"proj.{len(FIELDS)}.bias")
    outputs = 0 if head is None else len(head)
    for kind in PIANOROLL_BINS:
        if M2BertConfig(pianoroll=kind).pianoroll_width == outputs:
            return kind
    raise UserError(f"{path} has a pianoroll head of {outputs} outputs, which no kind of it has")


def read_published(path: Path | str) -> dict:
    """Read a `.ckpt` of the original with torch's reader for weights, which runs no code."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no torch checkpoint of weights alone and was not read: what else it holds "
            "could run code"
        ) from error
    except Exception as error:  # the reader raises whatever other bytes lead it to
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is no readable torch checkpoint ({reason})") from error
    if not (isinstance(checkpoint, dict) and {"state_dict", "mask_lm"} <= checkpoint.keys()):
        raise UserError(
            f"{path} is no pre-training checkpoint of the original: "
            "it lacks the keys state_dict and mask_lm"
        )
    for part in ("state_dict", "mask_lm"):
        weights = checkpoint[part]
        if not (isinstance(weights, dict) and all(map(torch.is_tensor, weights.values()))):
            raise UserError(f"{path} is no checkpoint of the original: {part} is not all tensors")
    return checkpoint


def save_published(path: Path | str, model: M2BertForPreTraining, record: dict) -> None:
    """Write `model` as a `.ckpt` that the original's code loads.

    It gets every key that the original's own files have; the optimiser's state is empty.
    """
    backbone = dict(model.backbone.state_dict())
    backbone[FINAL_NORM] = torch.ones(model.config.hidden_size)
    heads = {f"proj.{name}": t for name, t in model.mask_lm["proj"].state_dict().items()}
    checkpoint = {
        "epoch": record.get("epoch", 0),
        "state_dict": backbone,
        "mask_lm": heads,
        "best_acc": record.get("score", 0.0),
        "valid_acc": record.get("valid_acc", [0.0] * 4),
        "valid_loss": record.get("valid_loss", 0.0),
        "train_loss": record.get("train_loss", 0.0),
        "optimizer": {"state": {}, "param_groups": []},
    }
    with replacing(path) as temporary:
        try:
            torch.save(checkpoint, temporary)
        except RuntimeError as error:  # a full disk, among others
            raise OSError(str(error)) from error


def write_published(folder: Path, out: Path) -> None:
    """Write a model folder as a `.ckpt`."""
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a file for the checkpoint")
    save_published(out, M2BertForPreTraining.from_pretrained(folder), read_record(folder))
    print(f"wrote {out} ({out.stat().st_size:,} bytes)")


def write_folder(source: Path, folder: Path, attention_heads: int | None) -> None:
    """Write a `.ckpt` as a model folder."""
    model, figures = convert_published(source, attention_heads)
    model.save_pretrained(folder, figures | {"converted_from": source.name})
    config = model.config
    print(
        f"wrote {folder}: {config.num_hidden_layers} layers of width {config.hidden_size}, "
        f"{config.num_attention_heads} attention heads, pianoroll {config.pianoroll}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.checkpoint",
        description="Write a pre-trained model as a checkpoint that the original's code loads, or "
        "such a checkpoint as a model folder.",
    )
    add = parser.add_argument
    add("source", type=Path, help="a model folder, e.g. SAVE_DIR/model_best, or a .ckpt")
    add("out", type=Path, help="the .ckpt to write, or of a .ckpt the model folder")
    add("--num_attention_heads", type=count, help="of a .ckpt (that of the preset of its size)")
    args = parser.parse_args()
    source = _find_checkpoint(args.source)
    if source.is_dir():
        if args.num_attention_heads:
            parser.error(f"--num_attention_heads is for a .ckpt: {CONFIG_FILE} says it here")
        write_published(source, args.out)
    else:
        write_folder(source, args.out, args.num_attention_heads)


if __name__ == "__main__":
    run_command(main)
