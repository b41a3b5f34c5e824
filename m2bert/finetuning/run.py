"""One run of fine-tuning in its folder: a task, a seed and, in a cross-validation, a fold.

log                 a line an epoch, in the original's format
result.json         all figures, written when the run has ended
state.safetensors   until then: weights, optimiser and figures after a finished epoch, or after the
                    step at which the run was asked to stop
model/              the model of the best epoch, with --save_ckpt (model/folder.py)

Of several processes only the main one writes.
"""

import json
import platform
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from math import isnan
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
from m2bert.finetuning.data import LabelledSegments, Sets, summaries
from m2bert.finetuning.epoch import DECIMALS, ClassifierTrainer, counted_in_loss, with_states
from m2bert.finetuning.metrics import METRICS, Score
from m2bert.finetuning.plan import PlannedRun, Setup
from m2bert.finetuning.result import RESULT_FORMAT
from m2bert.finetuning.transposition import refuse_fixed
from m2bert.model import attention
from m2bert.model.folder import write_card
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

RECORDED = "task seed fold metric best_epoch valid_score test_score clean_test_score data settings"
"""The entries that a model's record copies from its run's result."""

BYTES_PER_SECOND = 400e6
"""What a usual disk takes."""

LIBRARIES = ("torch", "transformers", "numpy", "scikit-learn")


class _Stopped(Exception):
    """The run was asked to stop, and a step has just ended."""


class FinetuningRun:
    """One run; `go` trains what is left of it and writes its result."""

    def __init__(self, run: PlannedRun, sets: Sets, setup: Setup):
        self.run, self.folder, self.task = run, run.folder, run.task
        self.setup, self.args, self.processes = setup, setup.args, setup.processes
        args, task, processes, recipe = setup.args, run.task, setup.processes, setup.args.recipe
        self.summaries = summaries(sets)
        batch_size = args.batch_size or task.batch_size
        refuse_long_warmup(recipe, recipe.epochs * -(-len(sets["train"]) // batch_size))
        if args.transpose:
            refuse_fixed(task)
        seed = seed_of_run(run.seed, run.fold)
        torch.manual_seed(seed)
        model = setup.new_model(task)
        if args.freeze:
            model.backbone.requires_grad_(False)
            if sets["train"].states is None:  # the encoder is random, and each run's own
                sets = {
                    name: with_states(model, part, processes, args.precision)
                    for name, part in sets.items()
                }
        self.sets = {n: part.each(lambda t: t.to(processes.device)) for n, part in sets.items()}
        self.trainer = ClassifierTrainer(
            model,
            task,
            batch_size=batch_size,
            recipe=recipe,
            seed=seed,
            processes=processes,
            precision=args.precision,
            transpose=args.transpose,
            last_class_weight=args.last_class_weight or 1.0,
        )
        self.epochs: list[dict] = []
        self.best: dict[str, Tensor] = {}
        """Predictions for the test set and (with --save_ckpt) weights of the best epoch."""
        self.stop = Stop()
        self.passed = 0.0
        """Seconds of the epoch under way before the run was stopped in it."""
        self.load_state()

    def title(self) -> str:
        """A line on the run and what it has done already."""
        sizes = ", ".join(f"{name} {part['notes']:,}" for name, part in self.summaries.items())
        again = f", going on after epoch {len(self.epochs)}" if self.epochs else ""
        return f"{self.run.name}: notes {sizes}{again}; log: {self.folder / 'log'}"

    def go(self) -> None:
        """Train what is left of the run and write its result; `SystemExit` if it is stopped."""
        if not self.processes.agree(self.trainer.steps):
            raise UserError(f"{self.folder} must be one folder, shared by all machines")
        is_main = self.processes.is_main
        if is_main:
            for leftovers in (self.folder, self.folder / MODEL_FOLDER):
                remove_temporaries(leftovers)  # of a killed process
            self.write_log()  # as far as the saved state goes
        saved_at, saving_took = time.monotonic(), self.expected_saving()
        with self.stop:
            while len(self.epochs) < self.args.recipe.epochs:
                try:
                    self.epochs.append(self.run_epoch(len(self.epochs) + 1))
                except _Stopped:
                    self.halt()
                with self.processes.as_one():
                    if is_main:
                        self.write_log()
                    begun = time.monotonic()
                    if is_main and begun - saved_at >= saving_took / MOST_TIME_SAVING:
                        self.save_state()
                        saved_at = time.monotonic()
                        saving_took = saved_at - begun
        if is_main:
            self.conclude()

    def expected_saving(self) -> float:
        """About how many seconds it takes to save the state, until that has been measured."""
        state = pack_state(self.trainer.model, self.trainer.optimiser).values()
        return sum(tensor.nbytes for tensor in state) / BYTES_PER_SECOND

    def halt(self) -> NoReturn:
        """Save the state in the middle of an epoch, and exit."""
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

    def run_epoch(self, epoch: int) -> dict:
        """Train and score an epoch; returns its line of the result."""
        self.begun = begun = time.perf_counter() - self.passed
        train = self.trainer.train_epoch(self.sets["train"], epoch, self.until_stopped)
        trained = time.perf_counter()
        # several processes take turns at these batches, so they could not agree between two
        evaluated = self.processes.progress if self.processes.count > 1 else self.until_stopped
        valid = self.trainer.evaluate(self.sets["valid"], "validation", evaluated)
        test = self.trainer.evaluate(self.sets["test"], "test", evaluated)
        self.passed = 0.0
        if valid.score >= max((record["valid_acc"] for record in self.epochs), default=0.0):
            self.best = {PREDICTIONS: test.predictions}
            if self.args.save_ckpt:
                weights = self.trainer.model.state_dict()
                self.best |= {WEIGHT + name: tensor.clone() for name, tensor in weights.items()}
        scores = dict(zip(SPLITS, (train, valid, test), strict=True))
        return {
            "epoch": epoch,
            **{f"{name}_loss": of.loss for name, of in scores.items()},
            **{f"{name}_acc": of.score for name, of in scores.items()},
            "train_seconds": round(trained - begun, 3),
            "seconds": round(time.perf_counter() - begun, 3),
        }

    # Files -----------------------------------------------------------------------------------

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
        if best and self.args.save_ckpt and not has_weights:
            return
        trainer = self.trainer
        unpack_state(tensors, trainer.model, trainer.optimiser, record["optimiser_steps"], path)
        trainer.steps, self.epochs = record["steps"], record["epochs"]
        if under_way := with_prefix(tensors, UNDER_WAY):
            self.passed = under_way.pop("seconds").item()
            trainer.unpack_epoch(under_way)
        self.best = {name: tensor.to(self.processes.device) for name, tensor in best.items()}

    def conclude(self) -> None:
        """Write the result, then the best model with --save_ckpt (a full disk must not cost the
        result), remove what is no longer needed, and say what came out."""
        result = self.result()
        write_text(self.run.result_file, json.dumps(result) + "\n")
        if self.args.save_ckpt:
            model = self.trainer.model
            model.load_state_dict(with_prefix(self.best, WEIGHT))
            model.save_pretrained(self.folder / MODEL_FOLDER, model_record(result))
            write_card(self.folder / MODEL_FOLDER)
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        print(
            f"{self.run.name}: best epoch {result['best_epoch']}, validation "
            f"{result['valid_score']:.4f}, test {result['test_score']:.4f} (commonest class "
            f"{result['commonest_class']['test_score']:.4f}); {result['seconds']:.0f} s, "
            f"{result['notes_per_second']:,.0f} notes/s"
        )

    # Figures ---------------------------------------------------------------------------------

    def result(self) -> dict:
        """All figures of the run; docs/METHOD.md, "Results", explains them."""
        of, metric, processes = self.setup.backbone, METRICS[self.task.metric], self.processes
        best, predictions = best_epoch(self.epochs), self.best[PREDICTIONS]
        seconds = sum(record["train_seconds"] for record in self.epochs)
        notes = self.summaries["train"]["notes"] * len(self.epochs)
        commonest = commonest_label(self.task, self.sets["train"])
        always = torch.full_like(predictions, commonest)
        clean = metric.clean_score
        return {
            "format_version": RESULT_FORMAT,
            "task": self.task.name,
            "seed": self.run.seed,
            "fold": self.run.fold,
            "settings": self.setup.settings,
            "metric": self.task.metric,
            "data": self.summaries,
            "epochs": self.epochs,
            "best_epoch": best["epoch"],
            "valid_score": best["valid_acc"],
            "test_score": best["test_acc"],
            "clean_test_score": self.score_test(clean, predictions) if clean else None,
            "commonest_class": {
                "label": commonest,
                "name": self.task.classes[commonest],
                "test_score": self.score_test(metric.score, always),
            },
            **confusion(self.task, self.sets["test"], predictions),
            "seconds": round(sum(record["seconds"] for record in self.epochs), 2),
            "notes_per_second": round(notes / seconds, 1),
            "checkpoint": of and {"path": str(of.path), "epoch": of.epoch, "datasets": of.datasets},
            "device": device_name(processes.device),
            "processes": processes.count,
            "precision": self.args.precision,
            "attention": attention.NAME,
            "kernels": attention.kernels(processes.device, self.args.precision),
            "versions": versions(),
        }

    def score_test(self, score: Score, predictions: Tensor) -> float | None:
        test = self.sets["test"]
        return rounded(score(test.notes, test.labels, predictions, self.task.batch_size).item())


def rounded(value: float) -> float | None:
    """A score as results hold it: None, which JSON has a word for, if it is 0/0."""
    return None if isnan(value) else round(value, DECIMALS)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    """The versions of Python and of what figures may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def model_record(result: dict) -> dict:
    """What a model keeps of its run's result: neither figures in full nor paths."""
    checkpoint = result["checkpoint"] or {}
    return {
        **{name: result[name] for name in RECORDED.split()},
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
    return int(torch.bincount(train.labels[counted].long().cpu()).argmax())


def confusion(task: Task, data: LabelledSegments, predictions: Tensor) -> dict:
    """The confusion matrix, as its cells that are not 0, and the scores of every class in it."""
    counted = METRICS[task.metric].counted(data.notes, data.labels)
    true, predicted = (t[counted].cpu().numpy() for t in (data.labels, predictions))
    present = np.union1d(true, predicted)
    with warnings.catch_warnings():  # a test set may have one class alone
        warnings.simplefilter("ignore")
        matrix = confusion_matrix(true, predicted, labels=present)
        scores = precision_recall_fscore_support(true, predicted, labels=present, zero_division=0.0)
    rows, columns = np.nonzero(matrix)
    cells = zip(present[rows], present[columns], matrix[rows, columns], strict=True)
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
