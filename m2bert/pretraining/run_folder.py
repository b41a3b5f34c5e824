"""What a pre-training run keeps in its folder, so that it can be read, compared and continued.

settings.json       what the run was started with
state.safetensors   weights, optimiser and progress: the run goes on from here
model/              the model after the last epoch; model_best/ after the best one
log                 a line an epoch, in the original's format
metrics.jsonl       a line an epoch and one every --log_steps steps
bad_batch.json      if a loss was not finite: the songs and offsets of its batch
tensorboard/        where tensorboard is installed
curves.png          at the end, where matplotlib is installed
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import remove_temporaries, replacing, try_lock, write_json, write_text
from m2bert.base.settings import SETTINGS_FILE, refuse_other_settings
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.optimisers import StableAdamW
from m2bert.model.tensors import load_tensors, pack_state, save_tensors, unpack_state

if TYPE_CHECKING:  # it may not be installed
    from torch.utils.tensorboard import SummaryWriter

METRICS_FILE = "metrics.jsonl"
RUNNING = "running"


@dataclass
class Progress:
    """How far a run has come."""

    epoch: int = 1
    """The epoch under way, from 1."""
    epoch_step: int = 0
    """Steps done in that epoch."""
    steps: int = 0
    """Steps done in all."""
    history: list[dict] = field(default_factory=list)
    """One record a finished epoch."""

    @property
    def best(self) -> dict | None:
        """The record of the epoch with the highest score, of equal ones the first; None before one
        has finished."""
        return max(self.history, key=lambda record: record["score"], default=None)

    @property
    def epochs_without_gain(self) -> int:
        return len(self.history) - self.best["epoch"] if self.best else 0


class RunFolder:
    """The files of one run; only the main process writes."""

    def __init__(self, path: Path, settings: dict):
        """Take the folder for a run; raises `UserError` if it holds one with other settings."""
        self.path, self.settings = path, settings
        self.bad_batch = path / "bad_batch.json"
        self._state, self._log = path / "state.safetensors", path / "log"
        self._tensorboard: SummaryWriter | None = None
        if self.has_state and not (path / SETTINGS_FILE).exists():
            raise UserError(f"{self._state} has no {SETTINGS_FILE} beside it")
        refuse_other_settings(path, settings, "--save_dir")

    def lock(self) -> None:
        """Keep a second run out of the folder while this process lives."""
        self._held = try_lock(self.path / ".lock")
        if self._held is None:
            raise UserError(f"another process is training in {self.path}")

    # State ---------------------------------------------------------------------------------

    @property
    def has_state(self) -> bool:
        return self._state.exists()

    def load_state(
        self, model: M2BertForPreTraining, optimiser: StableAdamW
    ) -> tuple[Progress, Tensor | None]:
        """Put the saved state into model and optimiser; returns progress and running sums.

        Without a saved state the run begins, and nothing is changed.
        """
        if not self.has_state:
            if self._log.exists() and self._log.read_text(encoding="utf-8"):
                raise UserError(
                    f"{self.path} has a log of finished epochs, but {self._state.name} is gone: "
                    "restore it, or choose another --save_dir"
                )
            return Progress(), None
        tensors, record = load_tensors(self._state)
        try:
            progress, running = Progress(**record), tensors[RUNNING]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self._state} is not the state of such a run ({error}): restore it, or choose "
                "another --save_dir"
            ) from error
        unpack_state(tensors, model, optimiser, progress.steps, self._state)
        return progress, running

    def save_state(
        self,
        model: M2BertForPreTraining,
        optimiser: StableAdamW,
        progress: Progress,
        running: Tensor,
    ) -> None:
        """Replace the saved state in one step; running: the sums of the epoch under way."""
        tensors = pack_state(model, optimiser)
        save_tensors(self._state, tensors | {RUNNING: running}, asdict(progress))

    def save_bad_batch(self, step: int, segments: list[dict]) -> None:
        """Write which songs and offsets made up the batch of `step`."""
        record = {"step": step, "torch": torch.__version__, "segments": segments}
        write_json(self.bad_batch, record)

    def save_models(self, model: M2BertForPreTraining, record: dict, is_best: bool) -> None:
        """Write the model of an epoch; the best one also under its own name."""
        start = self.settings["init_ckpt"]  # a model's record does not say where that was
        settings = self.settings | {"init_ckpt": Path(start).name if start else None}
        for name in ("model", "model_best") if is_best else ("model",):
            model.save_pretrained(self.path / name, record | {"training": settings})

    # Logs ----------------------------------------------------------------------------------

    def begin(self, progress: Progress) -> None:
        """Note the settings and bring the logs to where the saved state is.

        A killed run may have written lines for steps that are now done again.
        """
        for folder in (self.path, self.path / "model", self.path / "model_best"):
            remove_temporaries(folder)
        write_json(self.path / SETTINGS_FILE, self.settings)
        self._write_log(progress)
        lines = read_metrics(self.path)
        steps = (ln for ln in lines if ln["kind"] == "steps" and ln["step"] <= progress.steps)
        epochs = ({"kind": "epoch", **record} for record in progress.history)
        kept = merge(steps, epochs, key=lambda line: line["step"])  # at a tie the steps come first
        with (
            replacing(self.path / METRICS_FILE) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            file.writelines(json.dumps(line) + "\n" for line in kept)
        with suppress(ImportError):  # TensorBoard may not be installed
            from torch.utils.tensorboard import SummaryWriter

            place = str(self.path / "tensorboard")  # what it holds of later steps is forgotten
            self._tensorboard = SummaryWriter(place, purge_step=progress.steps + 1)

    def log_steps(self, record: dict) -> None:
        """Add the line of an interval of steps."""
        self._add({"kind": "steps", **record})

    def log_epoch(self, progress: Progress) -> None:
        """Add the lines of the epoch that has just ended."""
        self._add({"kind": "epoch", **progress.history[-1]})
        self._write_log(progress)

    def close(self) -> None:
        """Write out what TensorBoard's writer still holds."""
        if self._tensorboard:
            self._tensorboard.close()

    def _add(self, line: dict) -> None:
        with (self.path / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._tensorboard:
            for name, value in line.items():
                if isinstance(value, float):
                    self._tensorboard.add_scalar(f"{line['kind']}/{name}", value, line["step"])

    def _write_log(self, progress: Progress) -> None:
        write_text(self._log, "".join(log_line(record) for record in progress.history))


def read_metrics(run: Path) -> Iterator[dict]:
    """The lines of a run's metrics, one at a time: a long run's are a hundred MB."""
    path = run / METRICS_FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            try:
                yield json.loads(text)
            except json.JSONDecodeError:
                return  # the run was killed while it wrote this line


def log_line(record: dict) -> str:
    """One epoch in the original's format."""
    return (
        f"Epoch {record['epoch']}: train_loss={record['train_loss']}, "
        f"train_acc={record['train_acc']}, valid_loss={record['valid_loss']}, "
        f"valid_acc={record['valid_acc']}\n"
    )
