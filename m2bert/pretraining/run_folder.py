"""The files of a pre-training run.

settings.json       the settings of the run
state.safetensors   weights, optimiser and progress: the run resumes from here
model/, model_best/ the model after the last epoch and after the best one, with their metrics
metrics.jsonl       one line per epoch and one every --log_steps steps
log, curves.png     the epochs of metrics.jsonl, in the original's format and as a picture
tensorboard/        where tensorboard is installed
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import flush_to_disk, remove_temporaries, try_lock, write_json, write_text
from m2bert.base.settings import SETTINGS_FILE, check_settings
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import MODELS_OF_A_RUN, read_record
from m2bert.model.optimisers import StableAdamW
from m2bert.model.tensors import load_tensors, pack_state, save_tensors, unpack_state
from m2bert.pretraining.curves import draw_curves
from m2bert.pretraining.metrics import log_line

if TYPE_CHECKING:  # it may not be installed
    from torch.utils.tensorboard import SummaryWriter

METRICS_FILE = "metrics.jsonl"
RUNNING = "running"


@dataclass
class RunState:
    """How far a run has come: the current epoch, from 1, finished steps of it and of all epochs,
    and the records of finished epochs."""

    epoch: int = 1
    epoch_step: int = 0
    steps: int = 0
    history: list[dict] = field(default_factory=list)

    @property
    def best(self) -> dict | None:
        """The first record with the highest score."""
        return max(self.history, key=lambda record: record["score"], default=None)

    @property
    def epochs_without_gain(self) -> int:
        return len(self.history) - self.best["epoch"] if self.best else 0


class RunFolder:
    """The files of one run; only the main process writes."""

    def __init__(self, path: Path, settings: dict):
        """Raises `UserError` if the folder has a run with other settings."""
        self.path, self.settings = path, settings
        self._state, self._metrics = path / "state.safetensors", path / METRICS_FILE
        self.curves = path / "curves.png"
        self._tensorboard: SummaryWriter | None = None
        check_settings(path, settings, "--save_dir")

    def lock(self) -> None:
        """Keep a second run out of the folder while this process lives."""
        self._lock = try_lock(self.path / ".lock")
        if self._lock is None:
            raise UserError(f"another process is training in {self.path}")

    # State ---------------------------------------------------------------------------------

    @property
    def has_state(self) -> bool:
        return self._state.exists()

    def load_state(
        self, model: M2BertForPreTraining, optimiser: StableAdamW
    ) -> tuple[RunState, Tensor | None]:
        """Put the saved state, if there is one, into model and optimiser; returns the progress and
        the running sums, None of a new run."""
        history = [line for line in read_metrics(self.path) if line["kind"] == "epoch"]
        if not self.has_state:
            if history:
                raise UserError(
                    f"{self.path} has metrics of finished epochs, but {self._state.name} is gone: "
                    "restore it, or choose another --save_dir"
                )
            return RunState(), None
        tensors, record = load_tensors(self._state)
        progress = RunState(record["epoch"], record["epoch_step"], record["steps"])
        unpack_state(tensors, model, optimiser, progress.steps, self._state)
        progress.history = self._finished(history, progress.epoch - 1)
        return progress, tensors[RUNNING]

    def _finished(self, history: list[dict], epochs: int) -> list[dict]:
        """The records of the first `epochs` epochs. The last one is with its model only if the run
        was killed after the state was saved."""
        if len(history) == epochs - 1:
            record = read_record(self.path / "model")
            history = [*history, {name: v for name, v in record.items() if name != "training"}]
        history = [
            {name: value for name, value in record.items() if name != "kind"}
            for record in history[:epochs]
        ]
        if [record["epoch"] for record in history] != list(range(1, epochs + 1)):
            raise UserError(
                f"{self._metrics} lacks epochs that {self._state.name} has: restore it, or choose "
                "another --save_dir"
            )
        return history

    def save_state(
        self,
        model: M2BertForPreTraining,
        optimiser: StableAdamW,
        progress: RunState,
        running: Tensor,
    ) -> None:
        """Replace the saved state in one step; running: the sums of the current epoch."""
        names = ("epoch", "epoch_step", "steps")  # the history is in metrics.jsonl
        record = {name: getattr(progress, name) for name in names}
        save_tensors(self._state, pack_state(model, optimiser) | {RUNNING: running}, record)

    def save_models(self, model: M2BertForPreTraining, record: dict, is_best: bool) -> None:
        """Write the model of an epoch; the best one also under its own name."""
        best, last = MODELS_OF_A_RUN
        for name in (last, best) if is_best else (last,):
            model.save_pretrained(self.path / name, record | {"training": self.settings})

    # Metrics -------------------------------------------------------------------------------

    def begin(self, progress: RunState) -> None:
        """Write the settings and remove metrics of steps after the saved state, which a killed run
        may have left."""
        for folder in (self.path, *(self.path / name for name in MODELS_OF_A_RUN)):
            remove_temporaries(folder)
        write_json(self.path / SETTINGS_FILE, self.settings)
        steps = (ln for ln in read_metrics(self.path) if ln["kind"] == "steps")
        kept = [line for line in steps if line["step"] <= progress.steps]
        kept += ({"kind": "epoch", **record} for record in progress.history)
        kept.sort(key=lambda line: line["step"])  # at a tie the steps come first
        write_text(self._metrics, "".join(json.dumps(line) + "\n" for line in kept))
        self._show_epochs(progress)
        with suppress(ImportError):  # TensorBoard may not be installed
            from torch.utils.tensorboard import SummaryWriter

            place = str(self.path / "tensorboard")
            self._tensorboard = SummaryWriter(place, purge_step=progress.steps + 1)

    def log_steps(self, record: dict) -> None:
        self._add({"kind": "steps", **record})

    def log_epoch(self, progress: RunState) -> None:
        """Add the line of the last finished epoch, and update log and curves."""
        self._add({"kind": "epoch", **progress.history[-1]})
        flush_to_disk(self._metrics)
        self._show_epochs(progress)

    def close(self) -> None:
        if self._tensorboard:
            self._tensorboard.close()

    def _add(self, line: dict) -> None:
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._tensorboard:
            for name, value in line.items():
                if isinstance(value, float):
                    self._tensorboard.add_scalar(f"{line['kind']}/{name}", value, line["step"])

    def _show_epochs(self, progress: RunState) -> None:
        lines = (f"{log_line(record)}\n" for record in progress.history)
        write_text(self.path / "log", "".join(lines))
        if progress.history:
            draw_curves(progress.history, self.curves)


def read_metrics(run: Path) -> Iterator[dict]:
    """The lines of a run's metrics."""
    path = run / METRICS_FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            try:
                yield json.loads(text)
            except json.JSONDecodeError:
                return  # the run was killed while it wrote this line
