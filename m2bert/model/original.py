"""The original's checkpoints, read and written. Nothing here can run code: they are read by torch's
reader of weights."""

import pickle
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import placeholder_at, replacing
from m2bert.model.config import PIANOROLL_BINS, PRESETS, M2BertConfig
from m2bert.model.encoder import BACKBONE_PREFIX, M2BertForPreTraining
from m2bert.model.tensors import load_strictly, with_prefix, without_weights
from m2bert.notes.cp import FIELDS

HEADS_PREFIX = "mask_lm."
FINAL_NORM = "note_bert1.final_norm.weight"
"""A tensor of the original's checkpoints that was never trained and that nothing reads: it is
dropped on reading and written as ones."""
PUBLISHED_FILE = "model_best.ckpt"

_FIGURES = {
    "epoch": ("epoch", 0),
    "best_acc": ("score", 0.0),
    "valid_acc": ("valid_acc", [0.0] * len(FIELDS)),
    "valid_loss": ("valid_loss", 0.0),
    "train_loss": ("train_loss", 0.0),
}
"""Figures in the original's checkpoints, what records call them, and what is written for those that
a record lacks."""


def convert_published(
    path: Path | str, attention_heads: int | None = None
) -> tuple[M2BertForPreTraining, dict]:
    """Make a model of a `.ckpt` of the original, of the size and kind that its tensors say.

    attention_heads: their number, which no tensor says; None takes that of the preset of this size.
    Returns the model and the figures of `read_published`.
    """
    tensors, figures = read_published(path)
    config = _config_of(tensors, path, attention_heads)
    model = without_weights(lambda: M2BertForPreTraining(config))
    load_strictly(model, tensors, path, "it may be incomplete")
    return model.float().eval(), figures


def _config_of(
    tensors: dict[str, Tensor], path: Path | str, attention_heads: int | None
) -> M2BertConfig:
    backbone = with_prefix(tensors, BACKBONE_PREFIX)
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
    # the pianoroll's head comes after those of the fields
    outputs = len(tensors.get(f"{HEADS_PREFIX}proj.{len(FIELDS)}.bias", ()))
    kinds = [k for k in PIANOROLL_BINS if M2BertConfig(pianoroll=k).pianoroll_width == outputs]
    if not kinds:
        raise UserError(
            f"{path} has a pianoroll head of {outputs} outputs, which no kind of it has"
        )
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
        return replace(preset, **sizes, pianoroll=kinds[0], num_attention_heads=attention_heads)
    except ValueError as error:
        raise UserError(f"{path} is of no such model: {error}") from error


def read_published(path: Path | str) -> tuple[dict[str, Tensor], dict]:
    """Read a `.ckpt` of the original's pre-training with torch's reader for weights, which runs no
    code.

    Returns the tensors by the names of `M2BertForPreTraining`, and those figures that it has by our
    names: epoch, score, valid_acc, valid_loss, train_loss. The state of its optimiser is not used:
    the original does not resume either.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}") from error
    except pickle.UnpicklingError as error:
        if what := placeholder_at(path):
            raise UserError(f"{path} is no checkpoint: {what}") from error
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
    tensors = {BACKBONE_PREFIX + name: t for name, t in checkpoint["state_dict"].items()}
    tensors |= {HEADS_PREFIX + name: t for name, t in checkpoint["mask_lm"].items()}
    tensors.pop(BACKBONE_PREFIX + FINAL_NORM, None)
    try:
        figures: dict[str, Any] = {
            ours: torch.as_tensor(checkpoint[theirs], dtype=torch.float64).tolist()
            for theirs, (ours, _) in _FIGURES.items()
            if theirs in checkpoint
        }
        return tensors, figures | {"epoch": int(figures.get("epoch", 0))}
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} has figures that are no numbers ({error})") from error


def save_published(path: Path | str, model: M2BertForPreTraining, record: dict) -> None:
    """Write `model` as a `.ckpt` that the original's code loads.

    It gets every key that the original's own files have; the optimiser's state is empty.
    """
    backbone = dict(model.backbone.state_dict())
    backbone[FINAL_NORM] = torch.ones(model.config.hidden_size)
    heads = {f"proj.{name}": t for name, t in model.mask_lm["proj"].state_dict().items()}
    figures = {theirs: record.get(ours, lack) for theirs, (ours, lack) in _FIGURES.items()}
    weights = {"state_dict": backbone, "mask_lm": heads}
    checkpoint = figures | weights | {"optimizer": {"state": {}, "param_groups": []}}
    with replacing(path) as temporary:
        try:
            torch.save(checkpoint, temporary)
        except RuntimeError as error:  # a full disk, among others
            raise OSError(str(error)) from error
