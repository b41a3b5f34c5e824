"""Models and training states on disk, and the original's checkpoints in both directions.

Nothing here can run code: safetensors, JSON, and torch's weights-only reader.

    python -m m2bert.checkpoint FOLDER OUT.ckpt      writes a checkpoint for the original's code
"""

import argparse
import hashlib
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from m2bert.errors import UserError, run_command
from m2bert.files import read_json, replacing, write_json
from m2bert.model import M2BertConfig, M2BertForPreTraining, M2BertModel

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FORMAT_VERSION = 1

BACKBONE_PREFIX = "backbone."
HEADS_PREFIX = "mask_lm."
FINAL_NORM = "note_bert1.final_norm.weight"
"""In the original's checkpoints, never trained and read by nothing: dropped, written as ones."""


# Tensors and JSON in one file ----------------------------------------------------------------


def save_tensors(path: Path | str, tensors: dict[str, Tensor], record: dict) -> None:
    """Write tensors and a JSON record as one safetensors file, in one step as seen by a reader."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(contiguous, temporary, metadata={"record": json.dumps(record)})
            temporary.chmod(mode)  # safetensors makes files that only their owner can read
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict]:
    """Read what `save_tensors` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get("record", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (SafetensorError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or no safetensors file ({error}): restore it, or remove it"
        ) from error


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


# Model folders -------------------------------------------------------------------------------


def save_model(folder: Path | str, model: M2BertForPreTraining, record: dict) -> None:
    """Write a model as a folder of `config.json` and `model.safetensors`.

    record: how it was trained (epoch, losses, accuracies); it is kept with the weights.
    """
    folder = Path(folder)
    config = {"format_version": FORMAT_VERSION, **asdict(model.config)}
    write_json(folder / CONFIG_FILE, config)
    save_tensors(folder / WEIGHTS_FILE, model.state_dict(), record)


def load_model(folder: Path | str) -> tuple[M2BertForPreTraining, dict]:
    """Read a folder written by `save_model`; returns the model and the record kept with it."""
    folder = Path(folder)
    model = M2BertForPreTraining(read_config(folder))
    tensors, record = load_tensors(folder / WEIGHTS_FILE)
    load_strictly(model, tensors, folder / WEIGHTS_FILE)
    return model, record


def read_config(folder: Path) -> M2BertConfig:
    """Read a model folder's configuration."""
    path = folder / CONFIG_FILE
    if not path.exists():
        raise UserError(
            f"{folder} holds no model: there is no {CONFIG_FILE} in it (a run's models are in its "
            "folders model_best and model)"
        )
    values = read_values(path)
    if "task" in values:
        raise UserError(f"{folder} is a fine-tuned model; the pre-trained one is needed")
    return build_config(values, path)


def read_values(path: Path) -> dict:
    """Read a `config.json` without its format version, which must be ours."""
    values = read_json(path)
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}, this code reads {FORMAT_VERSION}: "
            "use the release that wrote it"
        )
    return values


def build_config(values: dict, path: Path) -> M2BertConfig:
    """Make the configuration that the entries of the file at `path` describe."""
    try:
        return M2BertConfig(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is no configuration of an M2BERT model ({error})") from error


def load_strictly(
    module: nn.Module,
    tensors: dict[str, Tensor],
    source: Path | str,
    advice: str = "choose the --preset and --pianoroll that it was trained with",
) -> None:
    """Copy `tensors` into `module`; the names and shapes must be exactly the module's.

    advice: what the user can do about tensors that don't fit.
    """
    refuse_misfits(module, tensors, source, advice)
    module.load_state_dict(tensors)


def refuse_misfits(
    module: nn.Module, tensors: dict[str, Tensor], source: Path | str, advice: str
) -> None:
    """Raise `UserError` unless names and shapes of `tensors` are exactly the module's."""
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - wanted.keys())
    reshaped = [
        f"{name} is {tuple(tensors[name].shape)} where {tuple(wanted[name].shape)} is needed"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    problems = (
        [f"{name} is missing" for name in missing]
        + [f"{name} is unknown" for name in unknown]
        + reshaped
    )
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise UserError(
            f"{source} does not fit the model: {'; '.join(problems[:3])}{more}: {advice}"
        )


# The original's checkpoints ------------------------------------------------------------------


def load_published(path: Path | str, model: M2BertForPreTraining) -> dict:
    """Copy the weights of a `.ckpt` of the original's pre-training into `model`.

    Returns its record: epoch, best_acc, valid_acc, valid_loss, train_loss. Its optimiser's state
    is not used: the original does not resume either.
    """
    checkpoint = read_published(path)
    backbone = dict(checkpoint.pop("state_dict"))
    backbone.pop(FINAL_NORM, None)
    heads = checkpoint.pop("mask_lm")
    tensors = {BACKBONE_PREFIX + name: tensor for name, tensor in backbone.items()}
    tensors |= {HEADS_PREFIX + name: tensor for name, tensor in heads.items()}
    load_strictly(model, tensors, path)
    checkpoint.pop("optimizer", None)
    return checkpoint


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
    except (RuntimeError, EOFError, OSError, ValueError) as error:
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


def load_initial_weights(path: Path | str, model: M2BertForPreTraining) -> None:
    """Start `model` from a folder written by `save_model` or from a `.ckpt` of the original."""
    if not Path(path).is_dir():
        load_published(path, model)
        return
    tensors, _ = load_tensors(Path(path) / WEIGHTS_FILE)
    load_strictly(model, tensors, path)


@dataclass(frozen=True)
class Backbone:
    """A pre-trained encoder without its heads.

    Attributes:
        config: what its model is built from.
        tensors: its weights, by the names of `M2BertModel`.
        path: the file or folder they come from.
        epoch: epochs of pre-training, if it says so.
        sha256: of the file of weights, in hexadecimal digits.
    """

    config: M2BertConfig
    tensors: dict[str, Tensor]
    path: Path
    epoch: int | None
    sha256: str


def load_backbone(path: Path | str, config: M2BertConfig) -> Backbone:
    """Read the encoder of a pre-trained model.

    path: a model folder, the folder of a run that has `model_best`, a `.ckpt` of the original, or a
        folder with `model_best.ckpt` in it.
    config: what a `.ckpt` is to be built as; a model folder says so itself.
    """
    path = _find_model(Path(path))
    if path.is_dir():
        weights = path / WEIGHTS_FILE
        config = read_config(path)
        tensors, record = load_tensors(weights)
        backbone = with_prefix(tensors, BACKBONE_PREFIX)
        advice = f"restore {CONFIG_FILE} and {WEIGHTS_FILE} of the same model"
    else:
        weights = path
        record = read_published(path)
        backbone = dict(record["state_dict"])
        backbone.pop(FINAL_NORM, None)
        advice = "choose the --preset that it was trained with"
    with torch.device("meta"):  # only names and shapes are looked at
        refuse_misfits(M2BertModel(config), backbone, path, advice)
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Backbone(config, backbone, path, record.get("epoch"), sha256)


def _find_model(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    if path.is_dir() and not (path / CONFIG_FILE).exists():
        for name in ("model_best", "model_best.ckpt"):
            if (path / name).exists():
                return path / name
    return path


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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.checkpoint",
        description="Write a pre-trained model as a checkpoint that the original's code loads.",
    )
    parser.add_argument("folder", type=Path, help="a model folder, e.g. SAVE_DIR/model_best")
    parser.add_argument("out", type=Path, help="the file to write, e.g. model_best.ckpt")
    args = parser.parse_args()
    model, record = load_model(args.folder)
    save_published(args.out, model, record)
    print(f"wrote {args.out} ({args.out.stat().st_size:,} bytes)")


if __name__ == "__main__":
    run_command(main)
