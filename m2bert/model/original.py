"""The original's checkpoints, read and written. No code in them can run."""

import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import placeholder_at, replacing
from m2bert.model.attention import HEAD_WIDTH
from m2bert.model.config import PIANOROLL_BINS, PRESETS, M2BertConfig
from m2bert.model.encoder import BACKBONE_PREFIX, M2BertForPreTraining
from m2bert.model.tensors import load_strictly, without_weights
from m2bert.notes.cp import FIELDS

PUBLISHED_FILE = "model_best.ckpt"
FINAL_NORM = "note_bert1.final_norm.weight"
"""A tensor of the original's checkpoints that was never trained and that nothing reads: it is
dropped on reading and written as ones."""

_HEADS_PREFIX = "mask_lm."

_METRICS: dict[str, tuple[str, Any]] = {
    "epoch": ("epoch", 0),
    "best_acc": ("score", 0.0),
    "valid_acc": ("valid_acc", [0.0] * len(FIELDS)),
    "valid_loss": ("valid_loss", 0.0),
    "train_loss": ("train_loss", 0.0),
}
"""Metrics by their names in the original's checkpoints: their names in records, and what is written
if a record lacks them."""


def load_published(
    path: Path | str, attention_heads: int | None = None
) -> tuple[M2BertForPreTraining, dict]:
    """Read a `.ckpt` of the original's pre-training. Its tensors give the model's size and kind.

    attention_heads: their number, which the tensors do not give; by default one per 64 units of
        width, as in all presets.
    Returns the model, in evaluation mode, and those of epoch, score, valid_acc, valid_loss and
    train_loss that the file has.
    """
    checkpoint = _read(path)
    try:
        tensors = {BACKBONE_PREFIX + name: t for name, t in checkpoint["state_dict"].items()}
        tensors |= {_HEADS_PREFIX + name: t for name, t in checkpoint["mask_lm"].items()}
        tensors.pop(BACKBONE_PREFIX + FINAL_NORM, None)
        sizes, pianoroll = _sizes(tensors)
        record: dict[str, Any] = {
            ours: torch.as_tensor(checkpoint[theirs], dtype=torch.float64).tolist()
            for theirs, (ours, _) in _METRICS.items()
            if theirs in checkpoint
        }
        record["epoch"] = int(record.get("epoch", 0))
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a pre-training checkpoint of the original, or is incomplete"
        ) from error
    width = sizes["hidden_size"]
    if not attention_heads and width % HEAD_WIDTH:
        raise UserError(
            f"{path} has a width of {width}, from which the number of attention heads does not "
            f"follow: give it to `python -m m2bert.checkpoint {path} FOLDER --num_attention_heads`"
        )
    heads = {"num_attention_heads": attention_heads or width // HEAD_WIDTH}
    # of a preset's size the dropout is the preset's
    like = next((p for p in PRESETS.values() if sizes.items() <= asdict(p).items()), M2BertConfig())
    try:
        config = replace(like, **sizes, **heads, pianoroll=pianoroll)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    model = without_weights(lambda: M2BertForPreTraining(config))
    load_strictly(model, tensors, path, "it may be incomplete")
    return model.float().eval(), record


def _read(path: Path | str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = placeholder_at(path) or "it contains more than weights, which could run code"
        raise UserError(f"{path} is not a checkpoint and was not read: {reason}") from error
    except Exception as error:  # depends on the bytes
        raise UserError(f"{path} is not a checkpoint, or is damaged") from error


def _sizes(tensors: dict[str, Tensor]) -> tuple[dict[str, int], str]:
    """The model's sizes, as `M2BertConfig` names them, and its kind of pianoroll."""
    encoder = f"{BACKBONE_PREFIX}note_bert1.layers."
    sizes = {
        "hidden_size": tensors[f"{BACKBONE_PREFIX}in_linear.weight"].shape[0],
        "intermediate_size": tensors[f"{encoder}0.mlp.Wo.weight"].shape[1],
        "num_hidden_layers": sum(name.endswith(".mlp.Wo.weight") for name in tensors),
    }
    outputs = len(tensors.get(f"{_HEADS_PREFIX}proj.{len(FIELDS)}.bias", ()))  # after the fields'
    kinds = {M2BertConfig(pianoroll=kind).pianoroll_width: kind for kind in PIANOROLL_BINS}
    return sizes, kinds[outputs]


def save_published(path: Path | str, model: M2BertForPreTraining, record: dict) -> None:
    """Write `model` as a `.ckpt` that the original's code loads.

    It gets every key that the original's own files have; the optimiser's state is empty.
    """
    backbone = dict(model.backbone.state_dict())
    backbone[FINAL_NORM] = torch.ones(model.config.hidden_size)
    heads = {f"proj.{name}": t for name, t in model.mask_lm["proj"].state_dict().items()}
    metrics = {theirs: record.get(ours, default) for theirs, (ours, default) in _METRICS.items()}
    weights = {"state_dict": backbone, "mask_lm": heads}
    checkpoint = metrics | weights | {"optimizer": {"state": {}, "param_groups": []}}
    with replacing(path) as temporary:
        try:
            torch.save(checkpoint, temporary)
        except RuntimeError as error:  # a full disk, among others
            raise OSError(str(error)) from error
