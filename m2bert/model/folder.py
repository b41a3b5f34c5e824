"""Model folders: `config.json`, `model.safetensors` and a model card, `README.md`.

Reading them runs no code of theirs: they are JSON and safetensors. docs/METHOD.md, "Model folders",
has the formats.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Self

from torch import Tensor, nn

import m2bert
from m2bert.base.errors import UserError
from m2bert.base.files import read_json, write_json, write_text
from m2bert.base.outputs import sha256
from m2bert.base.settings import differences
from m2bert.model.card import LIBRARY, model_card
from m2bert.model.config import M2BertConfig, config_from
from m2bert.model.tensors import (
    load_strictly,
    load_tensors,
    refuse_not_finite,
    save_tensors,
    with_prefix,
    without_weights,
)
from m2bert.notes.cp import VOCABULARY

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
MODELS_OF_A_RUN = ("model_best", "model")
_INSTALLED = Path(m2bert.__file__).with_name("models")
SHIPPED_MODELS = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "models"
"""The models that come with the code: in an installed package, else beside it in its repository."""

ENCODER = SHIPPED_MODELS / "encoder"
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

# Models --------------------------------------------------------------------------------------


class SavedModel(nn.Module):
    """A model that can be written to a folder and read from it."""

    def __init__(self, config: M2BertConfig):
        super().__init__()
        self.config = config

    def entries(self) -> dict:
        """What the model is built from, for `config.json`."""
        return asdict(self.config)

    @classmethod
    def from_entries(cls, entries: dict) -> Self:
        """Build the model, with random weights, from what `entries` gave."""
        return cls(config_from(entries))

    @classmethod
    def prefixes(cls) -> dict[str, str]:
        """The `ARCHITECTURES` whose folders it can be read from, each with what the names of its
        tensors begin with there."""
        return {cls.__name__: ""}

    def save_pretrained(self, folder: Path | str, record: dict | None = None) -> None:
        """Write the model's folder.

        record: how it was trained (epoch, scores, ...); it is kept with the weights and told by the
            card.

        The old card is removed first and the new one written last, so that there is never a card
        with the checksum of other weights.
        """
        _write(Path(folder), type(self).__name__, self.entries(), self.state_dict(), record or {})

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read a model from its folder, or the best one (else the last) of a run from the run's
        folder; in evaluation mode, on the CPU.

        Raises `UserError` if there is no model that this class reads, or a damaged one.
        """
        model = cls.check(folder)
        refuse_not_finite(model.state_dict(), find_model(folder) / WEIGHTS_FILE)
        return model.float().eval()

    @classmethod
    def check(cls, folder: Path | str) -> Self:
        """The model, whose weights are memory-mapped and not read yet. Raises `UserError` where
        `from_pretrained` would, except for weights that are not finite."""
        folder = find_model(folder)
        architecture, entries = read_config(folder, cls.prefixes())
        try:
            model = without_weights(lambda: cls.from_entries(entries))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise UserError(
                f"{folder / CONFIG_FILE} is no configuration of an M2BERT model ({reason})"
            ) from error
        weights = folder / WEIGHTS_FILE
        tensors = with_prefix(load_tensors(weights)[0], cls.prefixes()[architecture])
        load_strictly(model, tensors, weights, ADVICE)
        return model


def save_half(source: Path, folder: Path, facts: dict) -> None:
    """Write a copy of the model in `source` (or of the run in it) with weights in bfloat16: half
    the size, for passing on.

    facts: what its record and card say besides (`card.FACTS`).
    """
    source = find_model(source)
    architecture, entries = read_config(source, ARCHITECTURES)
    tensors, record = load_tensors(source / WEIGHTS_FILE)
    refuse_not_finite(tensors, source / WEIGHTS_FILE)
    half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    _write(folder, architecture, entries, half, record | facts)


def _write(
    folder: Path, architecture: str, entries: dict, tensors: dict[str, Tensor], record: dict
) -> None:
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder for the model")
    config = {
        "format_version": MODEL_FORMAT,
        "model_type": MODEL_TYPE,
        "architectures": [architecture],
        "vocabulary": VOCABULARY,
        **entries,
    }
    _remove_card(folder)
    write_json(folder / CONFIG_FILE, config)
    save_tensors(folder / WEIGHTS_FILE, tensors, record)
    checksum = sha256(folder / WEIGHTS_FILE)
    write_text(folder / CARD_FILE, model_card(architecture, entries, record, checksum))


def _remove_card(folder: Path) -> None:
    card = folder / CARD_FILE
    if not card.exists():
        return
    if f"library_name: {LIBRARY}" not in card.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{card} is no card of such a model: save the model in another folder")
    card.unlink()


def read_record(folder: Path | str) -> dict:
    """How the model in `folder` (or of the run in it, `find_model`) was trained.

    Of a pre-trained model: epoch, step, losses, accuracies, score, and its run's settings as
    `training`. Of a fine-tuned one: task, seed, fold, metric, best_epoch, valid_score, test_score
    and more (`finetuning.run.RECORDED`). Empty where nothing was recorded.
    """
    return load_tensors(find_model(folder) / WEIGHTS_FILE)[1]


def find_model(path: Path | str) -> Path:
    """The model folder that `path` is, or that of the best (else the last) model of a run, or, if
    there is no such folder, the model of this name that comes with the code."""
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
        shipped = model_in(SHIPPED_MODELS / path) if len(path.parts) == 1 else None
        if shipped:
            return shipped
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
