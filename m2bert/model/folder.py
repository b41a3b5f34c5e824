"""Model folders: `config.json`, `model.safetensors` and a model card, `README.md`.

Reading them runs no code of theirs: they are JSON and safetensors. The classes in `encoder.py` and
`classifiers.py` build models from the entries of `config.json`. docs/METHOD.md, "Model folders",
has the formats.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import nn

from m2bert.base.errors import UserError
from m2bert.base.files import read_json, write_json, write_text
from m2bert.base.settings import differences
from m2bert.model.card import LIBRARY, model_card
from m2bert.model.tensors import (
    Model,
    load_strictly,
    load_tensors,
    open_tensors,
    record_in,
    refuse_misfits,
    refuse_not_finite,
    save_tensors,
    stand_ins,
    with_prefix,
    without_weights,
)
from m2bert.notes.cp import VOCABULARY

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
MODELS_OF_A_RUN = ("model_best", "model")
ADVICE = f"restore {CONFIG_FILE} and {WEIGHTS_FILE} of the same model"

MODEL_FORMAT = 1
MODEL_TYPE = "m2bert"

ARCHITECTURES = {
    "M2BertModel": "an encoder without heads",
    "M2BertForPreTraining": "a pre-trained model",
    "NoteClassifier": "a model fine-tuned on a task of notes",
    "PieceClassifier": "a model fine-tuned on a task of pieces",
}
"""What a folder may hold, by the name of the class that reads it."""

Built = TypeVar("Built")


# Models --------------------------------------------------------------------------------------


def save_model(
    folder: Path | str, model: nn.Module, entries: dict, record: dict | None = None
) -> None:
    """Write a model's folder.

    entries: what the model is built from, for `config.json`.
    record: how it was trained (epoch, scores, ...); it is kept with the weights and told by the
        card.

    The old card is removed first and the new one written last, so that there is never a card with
    the checksum of other weights.
    """
    folder = Path(folder)
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder for the model")
    architecture = type(model).__name__
    config = {
        "format_version": MODEL_FORMAT,
        "model_type": MODEL_TYPE,
        "architectures": [architecture],
        "vocabulary": VOCABULARY,
        **entries,
    }
    record = record or {}
    _remove_card(folder)
    write_json(folder / CONFIG_FILE, config)
    save_tensors(folder / WEIGHTS_FILE, model.state_dict(), record)
    checksum = sha256(folder / WEIGHTS_FILE)
    write_text(folder / CARD_FILE, model_card(architecture, entries, record, checksum))


def _remove_card(folder: Path) -> None:
    card = folder / CARD_FILE
    if not card.exists():
        return
    if f"library_name: {LIBRARY}" not in card.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{card} is no card of such a model: save the model in another folder")
    card.unlink()


def load_model(
    folder: Path | str, build: Callable[[dict], Model], prefixes: Mapping[str, str]
) -> Model:
    """Read the model in `folder` (or of the run in it, `find_model`), in evaluation mode.

    build: makes the model from the entries of `config.json`.
    prefixes: the architectures that it can be read from, each with what the names of its tensors
        begin with there.

    Raises `UserError` if the folder holds no such model, or one that is damaged.
    """
    folder = find_model(folder)
    model, prefix = _described(folder, build, prefixes)
    weights = folder / WEIGHTS_FILE
    tensors = with_prefix(load_tensors(weights)[0], prefix)
    refuse_not_finite(tensors, weights)
    load_strictly(model, tensors, weights, ADVICE)
    return model.float().eval()


def check_model(
    folder: Path | str, build: Callable[[dict], nn.Module], prefixes: Mapping[str, str]
) -> None:
    """Raise `UserError` where `load_model` would, except for weights that are not finite: only
    their names and shapes are read."""
    folder = find_model(folder)
    model, prefix = _described(folder, build, prefixes)
    weights = folder / WEIGHTS_FILE
    refuse_misfits(model, with_prefix(stand_ins(weights), prefix), weights, ADVICE)


def _described(
    folder: Path, build: Callable[[dict], Model], prefixes: Mapping[str, str]
) -> tuple[Model, str]:
    """The model that the folder's `config.json` describes, and its prefix among `prefixes`."""
    architecture, entries = read_config(folder, prefixes)
    model = without_weights(lambda: build_from(build, entries, folder))
    return model, prefixes[architecture]


def read_record(folder: Path | str) -> dict:
    """How the model in `folder` (or of the run in it, `find_model`) was trained.

    Of a pre-trained model: epoch, step, losses, accuracies, score, and its run's settings as
    `training`. Of a fine-tuned one: task, seed, fold, metric, best_epoch, valid_score, test_score
    and more (`finetuning.run.RECORDED`). Empty where nothing was recorded.
    """
    with open_tensors(find_model(folder) / WEIGHTS_FILE) as file:
        return record_in(file)


def find_model(path: Path | str) -> Path:
    """The model folder that `path` is, or that of the best (else the last) model of a run."""
    path = Path(path)
    folder = model_in(path)
    if folder is not None:
        return folder
    if path.is_file():
        raise UserError(
            f"{path} is a file, not a model folder: of a checkpoint of the original, "
            f"`python -m m2bert.checkpoint {path} FOLDER` makes one"
        )
    if not path.exists():
        raise UserError(f"there is no folder {path}")
    raise UserError(
        f"{path} holds no model: there is no {CONFIG_FILE} in it, nor in its folders "
        f"{' and '.join(MODELS_OF_A_RUN)} if it is that of a run"
    )


def model_in(path: Path) -> Path | None:
    """As `find_model`, but None if there is no model."""
    places = (path, *(path / name for name in MODELS_OF_A_RUN))
    return next((folder for folder in places if (folder / CONFIG_FILE).is_file()), None)


# config.json ---------------------------------------------------------------------------------


def read_config(folder: Path, readable: Mapping[str, object]) -> tuple[str, dict]:
    """Read a folder's `config.json`: the architecture, and the entries that it is built from.

    Raises `UserError` if it is damaged, of another format or vocabulary, or not of one of the
    `readable` architectures.
    """
    path = folder / CONFIG_FILE
    entries = read_json(path)
    model_type = entries.pop("model_type", None)
    if model_type != MODEL_TYPE:
        raise UserError(
            f"{path} is of a model of the type {model_type!r}: only {MODEL_TYPE!r} is read here"
        )
    version = entries.pop("format_version", None)
    if version != MODEL_FORMAT:
        raise UserError(
            f"{path} has format version {version}, this code reads {MODEL_FORMAT}: "
            "use the release that wrote it"
        )
    vocabulary = {"vocabulary": entries.pop("vocabulary", None)}
    if differing := differences(vocabulary, {"vocabulary": VOCABULARY}):
        changes = "; ".join(f"{name} {theirs!r}, not {ours!r}" for name, theirs, ours in differing)
        raise UserError(
            f"{path} is of a model of another vocabulary of notes, which cannot be read here "
            f"({changes})"
        )
    named = entries.pop("architectures", None)
    architecture = next((name for name in ARCHITECTURES if named == [name]), None)
    if architecture is None:
        raise UserError(
            f"{path} names no model that this code knows (architectures must be one of "
            f"{', '.join(ARCHITECTURES)})"
        )
    if architecture not in readable:
        wanted = " or ".join(ARCHITECTURES[name] for name in readable)
        raise UserError(
            f"{folder} holds {ARCHITECTURES[architecture]}, which "
            f"{architecture}.from_pretrained reads; {wanted} is needed here"
        )
    return architecture, entries


def build_from(build: Callable[[dict], Built], entries: dict, folder: Path) -> Built:
    """What `build` makes of the entries of the folder's `config.json`."""
    try:
        return build(entries)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        lacking = isinstance(error, KeyError)
        reason = f"{error.args[0]} is missing" if lacking else error
        raise UserError(
            f"{folder / CONFIG_FILE} is no configuration of an M2BERT model ({reason})"
        ) from error


def sha256(path: Path) -> str:
    """A file's checksum, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
