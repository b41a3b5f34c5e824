"""One run of fine-tuning in its folder: a task, a seed and, in a cross-validation, a fold.

log                 a line an epoch, in the original's format
result.json         all figures, written when the run has ended
state.safetensors   until then: weights, optimiser and figures after a finished epoch, or after the
                    step at which the run was asked to stop
model/              the model of the best epoch, with --save_ckpt (model/folder.py)

Of several processes only the main one writes.
"""

import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import remove_temporaries, write_text
from m2bert.base.recipes import refuse_long_warmup
from m2bert.base.seeds import seed_of_run
from m2bert.base.stop import Stop
from m2bert.finetuning.data import LabelledSegments, TaskData
from m2bert.finetuning.epoch import (
    DECIMALS,
    ClassifierTrainer,
    Scores,
    SegmentSet,
    counted_in_loss,
    with_states,
)
from m2bert.finetuning.metrics import METRICS
from m2bert.finetuning.plan import PlannedRun, Setup
from m2bert.finetuning.transposition import refuse_fixed
from m2bert.model.tensors import (
    MOST_TIME_SAVING,
    WEIGHT,
    load_tensors,
    pack_state,
    save_tensors,
    unpack_state,
    with_prefix,
)
from m2bert.tasks import SPLITS, Task

STATE_FILE = "state.safetensors"
MODEL_FOLDER = "model"
BEST, UNDER_WAY = "best.", "epoch."
PREDICTIONS = "predictions"

RECORDED = (
    "task",
    "seed",
    "fold",
    "metric",
    "best_epoch",
    "valid_score",
    "test_score",
    "clean_test_score",
    "data",
    "settings",
)
"""What a model's record repeats of its run's result as it stands."""


class _Stopped(Exception):
    """The run was asked to stop, and a step has just ended."""


class FinetuningRun:
    """The loop over epochs of one run; `go` trains what is left of it and returns its figures."""

    def __init__(self, run: PlannedRun, data: TaskData, setup: Setup):
        self.folder, self.task, self.data, self.setup = run.folder, run.task, data, setup
        self.processes, task = setup.processes, run.task
        seed = seed_of_run(run.seed, run.fold)
        device = self.processes.device
        self.summaries = data.summaries()
        segments = setup.batch_size or task.batch_size
        steps = setup.recipe.epochs * -(-len(data.train) // segments)
        refuse_long_warmup(setup.recipe, steps)
        torch.manual_seed(seed)
        if setup.transpose:
            refuse_fixed(task)
        model = setup.new_model(task)
        sets = [getattr(data, name) for name in SPLITS]
        if setup.freeze:
            model.backbone.requires_grad_(False)
            if data.train.states is None:  # the encoder is random, and each run's own
                sets = [with_states(model, part, self.processes, setup.precision) for part in sets]
        self.sets = [SegmentSet(task, part, device) for part in sets]
        self.trainer = ClassifierTrainer(
            model,
            task,
            batch_size=segments,
            recipe=setup.recipe,
            seed=seed,
            processes=self.processes,
            precision=setup.precision,
            transpose=setup.transpose,
        )
        self.epochs: list[dict] = []
        self.best: dict[str, Tensor] = {}
        """Predictions for the test set and (with --save_ckpt) weights of the best epoch."""
        self.stop = Stop()
        self.passed = 0.0
        """Seconds of the epoch under way before the run was stopped in it."""
        self.load_state()

    def go(self) -> dict:
        """Train what is left of the run and return its figures; `SystemExit` if it is stopped."""
        if not self.processes.agree(self.trainer.steps):
            raise UserError(f"{self.folder} must be one folder, shared by all machines")
        if self.processes.is_main:
            self.begin()
        saved_at, saving_took = time.monotonic(), 0.0
        with self.stop:
            while len(self.epochs) < self.setup.recipe.epochs:
                try:
                    self.epochs.append(self.run_epoch(len(self.epochs) + 1))
                except _Stopped:
                    self.halt()
                with self.processes.as_one():
                    if not self.processes.is_main:
                        continue
                    self.write_log()
                    begun = time.monotonic()
                    if begun - saved_at >= saving_took / MOST_TIME_SAVING:
                        self.save_state()
                        saved_at = time.monotonic()
                        saving_took = saved_at - begun
        return self.figures()

    def halt(self) -> NoReturn:
        """Keep the state in the midst of an epoch, and leave."""
        seconds = time.perf_counter() - self.begun
        under_way = self.trainer.pack_epoch() | {"seconds": torch.tensor(seconds).double()}
        with self.processes.as_one():
            if self.processes.is_main:
                self.save_state({UNDER_WAY + name: tensor for name, tensor in under_way.items()})
        self.processes.say(
            f"Stopped in epoch {len(self.epochs) + 1}, after step {self.trainer.steps}; state kept "
            f"in {self.folder}. The same command goes on."
        )
        raise SystemExit(128 + self.processes.greatest(self.stop.signal))

    def until_stopped(self, batches: list, title: str) -> Iterator[np.ndarray]:
        """Pass batches on; raises `_Stopped` between two once any process was asked to stop."""
        for batch in self.processes.progress(batches, title):
            yield batch
            if self.processes.greatest(self.stop.signal):
                raise _Stopped

    def finish(self, result: dict) -> None:
        """Keep the best model with --save_ckpt, and remove what is no longer needed.

        To be called when the result is written: a full disk must not cost that.
        """
        if self.setup.save_ckpt:
            self.save_model(result)
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    def run_epoch(self, epoch: int) -> dict:
        self.begun = begun = time.perf_counter() - self.passed
        train_set, valid_set, test_set = self.sets
        train = self.trainer.train_epoch(train_set, epoch, self.until_stopped)
        trained = time.perf_counter()
        # several processes take turns at these batches, so they could not agree between two
        evaluated = self.processes.progress if self.processes.count > 1 else self.until_stopped
        valid = self.trainer.evaluate(valid_set, "validation", evaluated)
        test = self.trainer.evaluate(test_set, "test", evaluated)
        self.passed = 0.0
        if valid.score >= max((record["valid_acc"] for record in self.epochs), default=0.0):
            self.keep_best(test)
        return {
            "epoch": epoch,
            **{f"{n}_loss": s.loss for n, s in zip(SPLITS, (train, valid, test), strict=True)},
            **{f"{n}_acc": s.score for n, s in zip(SPLITS, (train, valid, test), strict=True)},
            "train_seconds": round(trained - begun, 3),
            "seconds": round(time.perf_counter() - begun, 3),
        }

    def keep_best(self, test: Scores) -> None:
        self.best = {PREDICTIONS: test.predictions}
        if self.setup.save_ckpt:
            weights = self.trainer.model.state_dict()
            self.best |= {WEIGHT + name: tensor.clone() for name, tensor in weights.items()}

    # Files -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Remove what a killed process left, and bring the log to where the saved state is."""
        for leftovers in (self.folder, self.folder / MODEL_FOLDER):
            remove_temporaries(leftovers)
        self.write_log()

    def write_log(self) -> None:
        backbone = self.setup.backbone
        source = backbone.path if backbone else "nothing (random weights)"
        lines = [f"Loading pre-trained model from {source}", *map(epoch_line, self.epochs)]
        write_text(self.folder / "log", "\n".join(lines) + "\n")

    def save_state(self, under_way: dict[str, Tensor] | None = None) -> None:
        """Replace the saved state; `under_way`: the epoch that has not ended."""
        trainer = self.trainer
        tensors = pack_state(trainer.model, trainer.optimiser) | (under_way or {})
        tensors |= {BEST + name: tensor for name, tensor in self.best.items()}
        record = {
            "epochs": self.epochs,
            "steps": trainer.steps,
            "optimiser_steps": trainer.optimiser.param_groups[0]["step"],
            "data": self.summaries,
        }
        save_tensors(self.folder / STATE_FILE, tensors, record)

    def load_state(self) -> None:
        """Go on from the saved state; from the start if it lacks the weights to be kept."""
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        tensors, record = load_tensors(path)
        if record.keys() != {"epochs", "steps", "optimiser_steps", "data"}:
            raise UserError(f"{path} is not the state of such a run: remove it to begin anew")
        if record["data"] != self.summaries:
            raise UserError(
                f"{path} was saved while training on other data: remove it, or use another "
                "--save_root"
            )
        best = with_prefix(tensors, BEST)
        has_weights = any(name.startswith(WEIGHT) for name in best)
        if best and self.setup.save_ckpt and not has_weights:
            return
        trainer = self.trainer
        unpack_state(tensors, trainer.model, trainer.optimiser, record["optimiser_steps"], path)
        trainer.steps, self.epochs = record["steps"], record["epochs"]
        if under_way := with_prefix(tensors, UNDER_WAY):
            self.passed = under_way.pop("seconds").item()
            trainer.unpack_epoch(under_way)
        self.best = {name: tensor.to(self.processes.device) for name, tensor in best.items()}

    def save_model(self, result: dict) -> None:
        model = self.trainer.model
        model.load_state_dict(with_prefix(self.best, WEIGHT))
        model.save_pretrained(self.folder / MODEL_FOLDER, model_record(result))

    # Figures ---------------------------------------------------------------------------------

    def figures(self) -> dict:
        """What the result says of this run; docs/METHOD.md, "Results", explains it."""
        metric, test = METRICS[self.task.metric], self.sets[-1]
        best = best_epoch(self.epochs)
        predictions = self.best[PREDICTIONS]
        seconds = sum(record["train_seconds"] for record in self.epochs)
        notes = self.summaries["train"]["notes"] * len(self.epochs)
        clean = metric.clean_score
        return {
            "metric": self.task.metric,
            "data": self.summaries,
            "epochs": self.epochs,
            "best_epoch": best["epoch"],
            "valid_score": best["valid_acc"],
            "test_score": best["test_acc"],
            "clean_test_score": self.score_test(clean, predictions) if clean else None,
            "commonest_class": self.commonest_class(),
            **confusion(self.task, test, predictions),
            "seconds": round(sum(record["seconds"] for record in self.epochs), 2),
            "notes_per_second": round(notes / seconds, 1),
        }

    def commonest_class(self) -> dict:
        """The commonest class of the training set, and what always answering it scores."""
        label = commonest_label(self.task, self.data.train)
        answers = torch.full_like(self.sets[-1].labels, label)
        score = self.score_test(METRICS[self.task.metric].score, answers)
        return {"label": label, "name": self.task.classes[label], "test_score": score}

    def score_test(self, score: Callable, predictions: Tensor) -> float:
        test = self.sets[-1]
        value = score(test.notes, test.labels, predictions, self.task.batch_size)
        return round(value.item(), DECIMALS)


def model_record(result: dict) -> dict:
    """What a model keeps of its run's result: neither figures in full nor paths."""
    checkpoint = result["checkpoint"] or {}
    return {
        **{name: result[name] for name in RECORDED},
        "epochs": len(result["epochs"]),
        "commonest_class_score": result["commonest_class"]["test_score"],
        "pretraining": {name: checkpoint.get(name) for name in ("epoch", "datasets")},
    }


def best_epoch(epochs: list[dict]) -> dict:
    """The epoch with the highest validation score; of equal ones the latest, as in the original."""
    return max(reversed(epochs), key=lambda record: record["valid_acc"])


def epoch_line(record: dict) -> str:
    """One epoch in the original's format."""
    names = [f"{part}_{figure}" for figure in ("loss", "acc") for part in SPLITS]
    return f"Epoch {record['epoch']}: " + ", ".join(f"{name}={record[name]}" for name in names)


def commonest_label(task: Task, train: LabelledSegments) -> int:
    """The commonest label of the notes (or segments) that a task is trained on."""
    counted = counted_in_loss(train.notes, train.labels, task.loss_on)
    return int(torch.bincount(train.labels[counted].long()).argmax())


def confusion(task: Task, data: SegmentSet, predictions: Tensor) -> dict:
    """The confusion matrix, as its cells that are not 0, and the scores of every class in it."""
    counted = METRICS[task.metric].counted(data.notes, data.labels)
    true, predicted = (t[counted].cpu().numpy() for t in (data.labels, predictions))
    present = np.union1d(true, predicted)
    matrix = confusion_matrix(true, predicted, labels=present)
    rows, columns = np.nonzero(matrix)
    cells = zip(present[rows], present[columns], matrix[rows, columns], strict=True)
    scores = precision_recall_fscore_support(true, predicted, labels=present, zero_division=0.0)
    names = ("precision", "recall", "f1", "support")
    return {
        "confusion": [[int(value) for value in cell] for cell in cells],
        "per_class": [
            {
                "label": int(label),
                "name": task.classes[label],
                **{n: round(float(v), DECIMALS) for n, v in zip(names, values, strict=True)},
            }
            for label, *values in zip(present, *scores, strict=True)
        ],
    }
