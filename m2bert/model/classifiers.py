"""The encoder with a head for one task (docs/METHOD.md, "Fine-tuning")."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from m2bert.base.errors import UserError
from m2bert.model.config import LAST_LAYER, M2BertConfig, check_index_layer, config_from
from m2bert.model.encoder import M2BertModel
from m2bert.model.folder import ADVICE, CONFIG_FILE, SavedModel, find_model, read_config
from m2bert.model.predictions import (
    NoteLabels,
    PieceLabels,
    in_groups,
    means_of_transpositions,
    spelled,
    voices,
    window_probabilities,
    window_stride,
)
from m2bert.model.task_entries import defined_task, definition
from m2bert.model.transposition import check_transpositions
from m2bert.notes.cp import cp_notes, real_notes
from m2bert.notes.windows import cut_windows, merge_windows, window_starts
from m2bert.tasks import LEVEL_METRICS, SEGMENT_LENGTHS, Task

if TYPE_CHECKING:
    from m2bert.notes.song import Song

ATTENTION_WIDTH, ASPECTS = 128, 4


class Classifier(SavedModel):
    """An encoder and a head, which turns the states of one of its layers into logits.

    task: what it predicts; `classes` are the names of its classes, from label 0.
    index_layer: the layer whose states are read (`LAST_LAYER`); those above it are not trained.
    """

    level: ClassVar[str]
    """The `tasks.Task.level` of its tasks."""

    def __init__(self, config: M2BertConfig, task: Task, index_layer: int = LAST_LAYER):
        super().__init__(config)
        check_index_layer(config, index_layer)
        self.index_layer, self.classes, self.task = index_layer, task.classes, task
        self.backbone = M2BertModel(config)
        read = config.num_hidden_layers - (LAST_LAYER - index_layer)
        self.backbone.note_bert1.layers[read:].requires_grad_(False)
        self.add_head()

    def add_head(self) -> None:
        """Add the modules of the head, with weights drawn from torch's current seed."""
        raise NotImplementedError

    @classmethod
    def from_entries(cls, entries: dict) -> Self:
        return cls(config_from(entries), _task_from(entries, CONFIG_FILE), entries["index_layer"])

    def entries(self) -> dict:
        return {
            "task": self.task.name,
            **definition(self.task),
            "level": self.level,
            "index_layer": self.index_layer,
            "id2label": {str(label): name for label, name in enumerate(self.classes)},
            "label2id": {name: label for label, name in enumerate(self.classes)},
            **super().entries(),
        }

    def predict(
        self,
        music: Any,
        stride: int | None = None,
        precision: str | None = None,
        transpositions: int = 1,
    ) -> Any:
        """The labels of a song, as `label`, or a list of those of several songs, whose windows
        share batches.

        music: the path of a MIDI file or score, an object of pretty_midi, miditoolkit, mido or
        symusic, or a list of these. stride: notes from one window to the next, by default half a
        window. precision: "fp32" or "bf16", by default that of fine-tuning
        (`devices.choose_precision`). transpositions: how many of the song are read, 1 to 12; of
        tasks that name pitches (chord roots, keys) the labels are means over them.
        Raises `UserError` for a file that cannot be used, `ValueError` for a stride that would omit
        notes and for other transpositions.
        """
        # here, as training does without MIDI libraries
        from m2bert.notes.midi_objects import song_of

        several = isinstance(music, list | tuple)
        songs = [song_of(each) for each in (music if several else [music])]
        labels = self.label(songs, stride, precision, transpositions)
        return labels if several else labels[0]

    def label(
        self, songs: list["Song"], stride: int | None, precision: str | None, transpositions: int
    ) -> Sequence[NoteLabels | PieceLabels | None]:
        """The labels of songs, read in windows of a segment's length; arguments as `predict`."""
        raise NotImplementedError

    def probabilities(
        self,
        pieces: Sequence[np.ndarray],
        stride: int | None = None,
        precision: str | None = None,
        transpositions: int = 1,
    ) -> list[np.ndarray]:
        """CP notes of pieces, each (notes, 4) uint8 -> the probabilities of each, (notes, classes)
        float32, of a classifier of pieces (classes,); else as `predict`."""
        raise NotImplementedError

    def states(self, notes: Tensor, padded: bool = True) -> Tensor:
        """CP notes (batch, notes, 4) -> states of the chosen layer, (batch, notes, hidden_size).

        padded: False if there is no padding; then no mask is made.
        """
        has_mask = padded and self.level == "note"  # models of pieces attend to padding as well
        real = real_notes(notes) if has_mask else None
        return self.backbone.layer_states(notes, real, self.index_layer)

    def head(self, states: Tensor) -> Tensor:
        """States -> logits, (batch, notes, classes); of a classifier of pieces (batch, classes)."""
        raise NotImplementedError

    def forward(self, notes: Tensor, padded: bool = True, states: Tensor | None = None) -> Tensor:
        """CP notes (batch, notes, 4) -> logits of `head`. states: those of the notes, if known."""
        return self.head(self.states(notes, padded) if states is None else states)


class NoteClassifier(Classifier):
    """A class for every note: one linear layer on the note's state."""

    level = "note"

    def add_head(self) -> None:
        self.classifier = nn.Sequential(nn.Linear(self.config.hidden_size, len(self.classes)))

    def label(
        self, songs: list["Song"], stride: int | None, precision: str | None, transpositions: int
    ) -> list[NoteLabels]:
        """Label every note but drums; a task of single instruments reads each track for itself."""
        parts = [voices(song, self.task.by_track) for song in songs]
        found = iter(
            self.probabilities(
                [cp for of_song in parts for cp, _ in of_song], stride, precision, transpositions
            )
        )
        labels = []
        for song, of_song in zip(songs, parts, strict=True):
            probabilities = np.full((len(song), len(self.classes)), np.nan, np.float32)
            for _, index in of_song:
                probabilities[index] = next(found)
            labels.append(NoteLabels(self.classes, probabilities))
        return labels

    def probabilities(
        self,
        pieces: Sequence[np.ndarray],
        stride: int | None = None,
        precision: str | None = None,
        transpositions: int = 1,
    ) -> list[np.ndarray]:
        check_transpositions(transpositions)
        length = SEGMENT_LENGTHS["note"]
        stride, sizes = window_stride(stride, length), [len(cp) for cp in pieces]
        starts = [window_starts(size, length, stride) for size in sizes]
        windows = [
            [cp[start : start + length] for start in of_piece]
            for cp, of_piece in zip(pieces, starts, strict=True)
        ]
        if transpositions == 1 or not self.task.names_pitches:
            found = in_groups(partial(window_probabilities, self, precision=precision), windows)
            return list(map(merge_windows, found, starts, sizes))
        predict = partial(means_of_transpositions, self, self.task, precision, transpositions)
        found = [
            [merge_windows(values, of_piece, size) for values in zip(*pairs, strict=True)]
            for pairs, of_piece, size in zip(
                in_groups(predict, windows), starts, sizes, strict=True
            )
        ]
        return [spelled(self.task, own, mean) for own, mean in found]

    def head(self, states: Tensor) -> Tensor:
        return self.classifier(states)


class PieceClassifier(Classifier):
    """A class for every segment, by self-attention pooling: a linear layer on four weighted means
    of its notes' states. Padding is attended to and pooled like notes, as in the original."""

    level = "piece"

    def add_head(self) -> None:
        width = self.config.hidden_size
        ws1 = nn.Linear(width, ATTENTION_WIDTH, bias=False)
        ws2 = nn.Linear(ATTENTION_WIDTH, ASPECTS, bias=False)
        self.attention = nn.ModuleDict({"ws1": ws1, "ws2": ws2})
        self.classifier = nn.Sequential(nn.Linear(ASPECTS * width, len(self.classes)))

    def label(
        self, songs: list["Song"], stride: int | None, precision: str | None, transpositions: int
    ) -> list[PieceLabels | None]:
        """Label each piece, by the mean over its windows; None if every note is too short to be
        read."""
        read = [song.notes for song in songs]
        pieces = [cp_notes(n.start, n.end, n.pitch, n.track, n.ticks_per_beat) for n in read]
        return [
            PieceLabels(self.classes, np.stack(values)) if values else None
            for values in self.window_probabilities(pieces, stride, precision)
        ]

    def probabilities(
        self,
        pieces: Sequence[np.ndarray],
        stride: int | None = None,
        precision: str | None = None,
        transpositions: int = 1,
    ) -> list[np.ndarray]:
        found = self.window_probabilities(pieces, stride, precision)
        return [np.mean(values, axis=0) for values in found]

    def window_probabilities(
        self, pieces: Sequence[np.ndarray], stride: int | None, precision: str | None
    ) -> list[list[np.ndarray]]:
        """The probabilities of each window of each piece, (classes,) float32."""
        length = SEGMENT_LENGTHS["piece"]
        stride = window_stride(stride, length)
        windows = []
        for cp in pieces:
            starts = window_starts(len(cp), length, stride)
            # these models look at padding, too
            windows.append(list(cut_windows(cp, starts, length)) if len(cp) else [])
        return in_groups(partial(window_probabilities, self, precision=precision), windows)

    def head(self, states: Tensor) -> Tensor:
        weights = self.attention["ws2"](torch.tanh(self.attention["ws1"](states))).softmax(1)
        pooled = weights.transpose(1, 2) @ states
        return self.classifier(pooled.flatten(1))


CLASSIFIERS = {kind.level: kind for kind in (NoteClassifier, PieceClassifier)}
"""The classifier of each level of tasks."""


def load_classifier(folder: Path | str) -> Classifier:
    """Read a fine-tuned model of either class."""
    classes = {kind.__name__: kind for kind in CLASSIFIERS.values()}
    architecture, _ = read_config(find_model(folder), classes)
    return classes[architecture].from_pretrained(folder)


def task_in(folder: Path | str) -> Task:
    """The task of the fine-tuned model in a folder. Raises `UserError` for a damaged
    configuration."""
    folder = find_model(folder)
    _, entries = read_config(folder, [kind.__name__ for kind in CLASSIFIERS.values()])
    try:
        return _task_from(entries, folder / CONFIG_FILE)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / CONFIG_FILE} is damaged: {ADVICE}") from error


def _task_from(entries: dict, path: Path | str) -> Task:
    """The task of the classifier with these `Classifier.entries`: defined there, or one of `TASKS`,
    else one with the defaults of its level. Its classes are those of the classifier."""
    names, level, name = entries["id2label"], entries["level"], entries["task"] or "own task"
    classes = tuple(names[str(label)] for label in range(len(names)))
    task = defined_task(entries, path) or Task(name, name, level, classes, LEVEL_METRICS[level][0])
    return replace(task, classes=classes)
