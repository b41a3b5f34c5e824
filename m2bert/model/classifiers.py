"""The encoder with a head for one task (docs/METHOD.md, "Fine-tuning")."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor, nn

from m2bert.model.config import LAST_LAYER, M2BertConfig, check_index_layer, config_from
from m2bert.model.encoder import M2BertModel
from m2bert.model.folder import check_model, find_model, load_model, read_config, save_model
from m2bert.model.predictions import NoteLabels, PieceLabels, predict_notes, predict_piece
from m2bert.notes.cp import real_notes
from m2bert.tasks import TASKS

if TYPE_CHECKING:
    from m2bert.notes.song import Song

ATTENTION_WIDTH, ASPECTS = 128, 4


class Classifier(nn.Module):
    """An encoder and a head, which turns the states of one of its layers into logits.

    The layers above that one are not trained.

    classes: names of the classes, from label 0.
    index_layer: the layer whose states are read; `LAST_LAYER` is the encoder's last, 11 the one
        before it.
    task: its name, if it is one of `TASKS` or of the user's own.
    """

    level: ClassVar[str]
    """Which tasks it is for: those with this `tasks.Task.level`."""

    def __init__(
        self,
        config: M2BertConfig,
        classes: Sequence[str],
        index_layer: int = LAST_LAYER,
        task: str | None = None,
    ):
        super().__init__()
        check_index_layer(config, index_layer)
        self.config, self.index_layer = config, index_layer
        self.classes, self.task = tuple(classes), task
        self.backbone = M2BertModel(config)
        read = config.num_hidden_layers - (LAST_LAYER - index_layer)
        self.backbone.note_bert1.layers[read:].requires_grad_(False)
        self._add_head(config.hidden_size, len(self.classes))

    def _add_head(self, width: int, classes: int) -> None:
        """Add the modules that read states (batch, notes, width)."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """A fine-tuned model from its folder, or from that of its run; in evaluation mode, on the
        CPU.

        Raises `UserError` if the folder holds none of this class, or one that is damaged.
        """
        return load_model(folder, cls._from_entries, {cls.__name__: ""})

    @classmethod
    def check(cls, folder: Path | str) -> None:
        """Raise `UserError` where `from_pretrained` would, without reading the weights."""
        check_model(folder, cls._from_entries, {cls.__name__: ""})

    @classmethod
    def _from_entries(cls, entries: dict) -> Self:
        names, task = entries["id2label"], entries["task"]
        classes = [names[str(label)] for label in range(len(names))]
        for name in (*classes, *([] if task is None else [task])):
            if not isinstance(name, str):
                raise TypeError(f"{name!r} is no name of a class or task")
        if task in TASKS and TASKS[task].level != cls.level:
            raise ValueError(f"{task} is no task of the level {cls.level}")
        return cls(config_from(entries), classes, entries["index_layer"], task)

    def save_pretrained(self, folder: Path | str, record: dict | None = None) -> None:
        """Write the model's folder; `record`: see `folder.save_model`."""
        entries = {
            "task": self.task,
            "level": self.level,
            "index_layer": self.index_layer,
            "id2label": {str(label): name for label, name in enumerate(self.classes)},
            "label2id": {name: label for label, name in enumerate(self.classes)},
            **asdict(self.config),
        }
        save_model(folder, self, entries, record)

    def predict(
        self, song: "Song | Path | str", stride: int | None = None, precision: str | None = None
    ) -> NoteLabels | PieceLabels | None:
        """What the model says of a song (or a MIDI file)."""
        raise NotImplementedError

    def states(self, notes: Tensor, padded: bool = True) -> Tensor:
        """States of the chosen layer, (batch, notes, hidden_size), of CP notes (batch, notes, 4).

        padded: False if the caller knows that there is no padding; then no mask is made.
        """
        has_mask = padded and self.level == "note"  # models of pieces attend to padding as well
        real = real_notes(notes) if has_mask else None
        return self.backbone.layer_states(notes, real, self.index_layer)

    def head(self, states: Tensor) -> Tensor:
        """States -> logits, (batch, notes, classes); of a model of pieces (batch, classes)."""
        raise NotImplementedError

    def forward(self, notes: Tensor, padded: bool = True, states: Tensor | None = None) -> Tensor:
        """CP notes (batch, notes, 4) -> logits, as `head` gives them.

        states: what `states` gave for these notes, if it is known already.
        """
        return self.head(self.states(notes, padded) if states is None else states)


class NoteClassifier(Classifier):
    """A class for every note: one linear layer on the note's state."""

    level = "note"

    def _add_head(self, width: int, classes: int) -> None:
        self.classifier = nn.Sequential(nn.Linear(width, classes))

    def predict(
        self, song: "Song | Path | str", stride: int | None = None, precision: str | None = None
    ) -> NoteLabels:
        """Label the notes of a song (or of a MIDI file); the rest as in `predict_notes`."""
        by_track = self.task in TASKS and TASKS[self.task].by_track
        return predict_notes(_read(song), self, self.classes, by_track, stride, precision)

    def head(self, states: Tensor) -> Tensor:
        return self.classifier(states)


class PieceClassifier(Classifier):
    """A class for every segment, by self-attention pooling: a linear layer on four weighted means
    of its notes' states.

    Padding is attended to and pooled like notes, as in the original.
    """

    level = "piece"

    def _add_head(self, width: int, classes: int) -> None:
        self.attention = nn.ModuleDict(
            {
                "ws1": nn.Linear(width, ATTENTION_WIDTH, bias=False),
                "ws2": nn.Linear(ATTENTION_WIDTH, ASPECTS, bias=False),
            }
        )
        self.classifier = nn.Sequential(nn.Linear(ASPECTS * width, classes))

    def predict(
        self, song: "Song | Path | str", stride: int | None = None, precision: str | None = None
    ) -> PieceLabels | None:
        """Label a song (or a MIDI file); the rest as in `predict_piece`."""
        return predict_piece(_read(song), self, self.classes, stride, precision)

    def head(self, states: Tensor) -> Tensor:
        weights = self.attention["ws2"](torch.tanh(self.attention["ws1"](states))).softmax(1)
        pooled = weights.transpose(1, 2) @ states
        return self.classifier(pooled.flatten(1))


CLASSIFIERS = {kind.level: kind for kind in (NoteClassifier, PieceClassifier)}
"""The classifier of each level of tasks."""


def load_classifier(folder: Path | str) -> Classifier:
    """Read a fine-tuned model of either class, as its own `from_pretrained` does."""
    return classifier_in(folder).from_pretrained(folder)


def classifier_in(folder: Path | str) -> type[Classifier]:
    """The class of the fine-tuned model in a folder, or in that of its run."""
    classes = {kind.__name__: kind for kind in CLASSIFIERS.values()}
    architecture, _ = read_config(find_model(folder), classes)
    return classes[architecture]


def _read(song: "Song | Path | str") -> "Song":
    # here, as it needs libraries that training does without
    from m2bert.notes.song import Song, read_song

    return song if isinstance(song, Song) else read_song(song)
