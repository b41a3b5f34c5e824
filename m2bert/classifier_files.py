"""Fine-tuned models on disk: folders of `config.json` and `model.safetensors`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from m2bert.checkpoint import (
    CONFIG_FILE,
    FORMAT_VERSION,
    WEIGHTS_FILE,
    build_config,
    load_strictly,
    load_tensors,
    read_values,
    save_tensors,
)
from m2bert.classifiers import CLASSIFIERS, Classifier
from m2bert.errors import UserError
from m2bert.files import write_json

OWN_KEYS = ("task", "level", "index_layer", "id2label")


def save_classifier(
    folder: Path, classifier: Classifier, task: str, level: str, classes: Sequence[str]
) -> None:
    """Write a fine-tuned model; `task`, `level` and `classes` are those of `tasks.Task`."""
    config = {
        "format_version": FORMAT_VERSION,
        "task": task,
        "level": level,
        "index_layer": classifier.index_layer,
        "id2label": dict(enumerate(classes)),
        **asdict(classifier.config),
    }
    write_json(folder / CONFIG_FILE, config)
    save_tensors(folder / WEIGHTS_FILE, classifier.state_dict(), {"task": task})


def load_classifier(folder: Path) -> tuple[Classifier, str, tuple[str, ...]]:
    """Read what `save_classifier` wrote: the model, its task's name and the names of the classes.

    Raises `UserError` if the folder holds no such model, or one that is damaged.
    """
    path = folder / CONFIG_FILE
    values = read_values(path)
    try:
        task, level, index_layer, names = (values.pop(key) for key in OWN_KEYS)
        classes = tuple(names[str(label)] for label in range(len(names)))
        model = CLASSIFIERS[level](build_config(values, path), len(classes), index_layer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no configuration of a fine-tuned model ({error})") from error
    weights = folder / WEIGHTS_FILE
    tensors, _ = load_tensors(weights)
    load_strictly(model, tensors, weights, f"restore the {CONFIG_FILE} that belongs to it")
    return model, task, classes
