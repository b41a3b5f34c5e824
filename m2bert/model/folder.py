"""Model folders: `config.json`, `model.safetensors` and, for people, a card (`README.md`).

No code in them can run: they are JSON and safetensors (docs/METHOD.md, "Model folders").
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Self

from torch import Tensor, nn

import m2bert
from m2bert.base.errors import UserError
from m2bert.base.files import read_json, write_json, write_text
from m2bert.base.outputs import sha256
from m2bert.model.card import LIBRARY, model_card
from m2bert.model.config import M2BertConfig, config_from
from m2bert.model.tensors import (
    check_finite,
    load_strictly,
    load_tensors,
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
BUNDLED_MODELS = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "models"
"""The bundled models: in an installed package, else beside it in its repository."""

FACTS_FILE = BUNDLED_MODELS / "facts.json"
"""`card.FACTS` of the bundled models, which replace those in their records."""

ENCODER = BUNDLED_MODELS / "encoder"
ADVICE = f"restore {CONFIG_FILE} and {WEIGHTS_FILE} of the same model"

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
        """Build the model, with random weights, from its `entries`."""
        return cls(config_from(entries))

    @classmethod
    def prefixes(cls) -> dict[str, str]:
        """The `ARCHITECTURES` that it can be read from, each with its tensors' prefix there."""
        return {cls.__name__: ""}

    def save_pretrained(self, folder: Path | str, record: dict | None = None) -> None:
        """Write the model to a folder; `write_card` adds the card.

        record: how it was trained, saved with the weights.
        """
        _write(Path(folder), type(self).__name__, self.entries(), self.state_dict(), record or {})

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read a model from its folder, or the best one (else the last) of a run from the run's
        folder; in evaluation mode, on the CPU.

        Raises `UserError` if there is no model that this class reads, or a damaged one.
        """
        folder = find_model(folder)
        architecture, entries = read_config(folder, cls.prefixes())
        try:
            model = without_weights(lambda: cls.from_entries(entries))
        except Exception as error:  # depends on what is wrong with the entries
            raise UserError(f"{folder / CONFIG_FILE} is damaged: {ADVICE}") from error
        weights = folder / WEIGHTS_FILE
        tensors = with_prefix(load_tensors(weights)[0], cls.prefixes()[architecture])
        load_strictly(model, tensors, weights, ADVICE)
        check_finite(model.state_dict(), weights)
        return model.float().eval()


def save_half(source: Path, folder: Path, facts: dict) -> None:
    """Write a copy of the model in `source` (or of the run in it) with weights in bfloat16, half
    the size, and with `card.FACTS` in its record."""
    source = find_model(source)
    architecture, entries = read_config(source, ARCHITECTURES)
    tensors, record = load_tensors(source / WEIGHTS_FILE)
    check_finite(tensors, source / WEIGHTS_FILE)
    half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    _write(folder, architecture, entries, half, record | facts)


def _write(
    folder: Path, architecture: str, entries: dict, tensors: dict[str, Tensor], record: dict
) -> None:
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder for the model")
    if _has_card(folder):  # of the weights that are replaced
        (folder / CARD_FILE).unlink()
    write_json(folder / CONFIG_FILE, _header(architecture) | entries)
    save_tensors(folder / WEIGHTS_FILE, tensors, record)


def _has_card(folder: Path) -> bool:
    """Whether there is a README, and it is a card and not the user's own text."""
    card = folder / CARD_FILE
    mark = f"library_name: {LIBRARY}"
    return card.is_file() and mark in card.read_text(encoding="utf-8", errors="replace")


def write_card(folder: Path) -> None:
    """Write the card of the model in `folder`."""
    architecture, entries = read_config(folder, ARCHITECTURES)
    weights = folder / WEIGHTS_FILE
    card = model_card(architecture, entries, read_record(folder), sha256(weights))
    write_text(folder / CARD_FILE, card)


def read_record(folder: Path | str) -> dict:
    """How the model in `folder` (or of the run in it, `find_model`) was trained; docs/METHOD.md,
    "Model folders", has the entries. Empty if nothing was recorded."""
    folder = find_model(folder).resolve()
    record = load_tensors(folder / WEIGHTS_FILE)[1]
    if folder.parent == BUNDLED_MODELS.resolve():
        record |= read_json(FACTS_FILE).get(folder.name, {})
    return record


def find_model(path: Path | str) -> Path:
    """The model folder `path`, or the best (else the last) model of the run in it, or, if there is
    no such folder, the bundled model of this name."""
    path = Path(path)
    if folder := model_in(path):
        return folder
    if path.is_file():
        raise not_a_folder(path)
    if path.exists():
        raise UserError(
            f"{path} contains no model: there is no {CONFIG_FILE} in it, or in its subfolders "
            f"{' and '.join(MODELS_OF_A_RUN)}; give the folder of a model or of a run"
        )
    bundled = model_in(BUNDLED_MODELS / path) if len(path.parts) == 1 else None
    if not bundled:
        names = ", ".join(read_json(FACTS_FILE))
        raise UserError(f"there is no folder {path} and no bundled model of this name ({names})")
    return bundled


def model_in(path: Path) -> Path | None:
    """As `find_model`, but None if there is no model."""
    places = (path, *(path / name for name in MODELS_OF_A_RUN))
    return next((folder for folder in places if (folder / CONFIG_FILE).is_file()), None)


def not_a_folder(path: Path) -> UserError:
    """The error for a file in place of a model folder."""
    if path.suffix == ".ckpt":
        advice = f"convert it with `python -m m2bert.checkpoint {path} FOLDER`"
    elif (path.parent / CONFIG_FILE).is_file():
        advice = f"give its folder, {path.parent}"
    else:
        advice = f"give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
    return UserError(f"{path} is a file, not a model folder: {advice}")


# config.json ---------------------------------------------------------------------------------


def _header(architecture: str) -> dict:
    """The first entries of `config.json`."""
    return {
        "format_version": 1,
        "model_type": "m2bert",
        "architectures": [architecture],
        "vocabulary": VOCABULARY,
    }


def read_config(folder: Path, readable: Iterable[str]) -> tuple[str, dict]:
    """The architecture, and the entries that it is built from. Raises `UserError` if the file is
    damaged, of another format or vocabulary, or not of one of the `readable` architectures."""
    path = folder / CONFIG_FILE
    entries = read_json(path)
    architecture = (entries.get("architectures") or [""])[0]
    for name, ours in _header(architecture).items():
        if (theirs := entries.pop(name, None)) != ours:
            raise UserError(
                f"{path} has {name.replace('_', ' ')} {theirs!r}, not {ours!r}: it is not a model "
                "of this release of M2BERT"
            )
    if architecture not in readable:
        what = ARCHITECTURES.get(architecture, "an unknown kind of model")
        wanted = " or ".join(ARCHITECTURES[name] for name in readable)
        raise UserError(
            f"{folder} contains {what}, which {architecture}.from_pretrained reads; {wanted} is "
            "needed here"
        )
    return architecture, entries
