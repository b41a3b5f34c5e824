"""One run of fine-tuning in its folder: a task, a seed and, in a cross-validation, a fold.

log                 one line per epoch, in the original's format
result.json         all results, written when the run has ended
state.safetensors   until then: weights, optimiser and scores after a finished epoch
model/              the model of the best epoch, with --save_ckpt (model/folder.py)
"""

import json
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from math import isnan

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.files import remove_temporaries, write_text
from m2bert.base.progress import Progress
from m2bert.base.recipes import check_warmup
from m2bert.base.saving import SaveTimer
from m2bert.base.seeds import seed_of_run
from m2bert.base.stop import Stop
from m2bert.finetuning.data import LabelledSegments, Sets, summaries
from m2bert.finetuning.epoch import (
    DECIMALS,
    ClassifierTrainer,
    class_weights,
    counted_in_loss,
    with_states,
)
from m2bert.finetuning.metrics import METRICS, Score
from m2bert.finetuning.plan import PlannedRun, Setup
from m2bert.finetuning.result import RESULT_FORMAT
from m2bert.finetuning.transposition import check_transposable
from m2bert.model.folder import write_card
from m2bert.model.task_entries import definition
from m2bert.model.tensors import (
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
BEST, PREDICTIONS = "best.", "predictions"

RECORDED = "task seed fold metric best_epoch valid_score test_score clean_test_score data settings"
"""The entries that a model's record copies from its run's result."""

LIBRARIES = ("torch", "transformers", "numpy", "scikit-learn")


class FinetuningRun:
    """One run; `go` trains what is left of it and writes its result."""

    def __init__(self, run: PlannedRun, sets: Sets, encoder_seconds: float, setup: Setup):
        """encoder_seconds: how long the states of a frozen encoder in `sets` took."""
        self.run, self.folder, self.task, self.setup = run, run.folder, run.task, setup
        self.encoder_seconds = encoder_seconds
        self.epochs: list[dict] = []
        self.best: dict[str, Tensor] = {}
        """Predictions for the test set and (with --save_ckpt) weights of the best epoch."""
        self.summaries = summaries(sets)
        args, task, recipe = setup.args, run.task, setup.args.recipe
        batch_size = args.batch_size or task.batch_size
        check_warmup(recipe, recipe.epochs * -(-len(sets["train"]) // batch_size))
        if args.transpose:
            check_transposable(task)
        seed = seed_of_run(run.seed, run.fold)
        torch.manual_seed(seed)
        model = setup.new_model(task)
        if args.freeze:
            model.backbone.requires_grad_(False)
            if sets["train"].states is None:  # the encoder is random, and each run's own
                begun = time.perf_counter()
                sets = with_states(model, sets, setup.device, args.precision)
                self.encoder_seconds = time.perf_counter() - begun
        self.sets = {n: part.each(lambda t: t.to(setup.device)) for n, part in sets.items()}
        self.trainer = ClassifierTrainer(
            model,
            task,
            batch_size=batch_size,
            recipe=recipe,
            seed=seed,
            device=setup.device,
            precision=args.precision,
            transpose=args.transpose,
            class_weights=class_weights(task, sets["train"], args.balance, args.last_class_weight),
        )

    def go(self) -> None:
        """Train what is left of the run and write its result; `SystemExit` if it is stopped."""
        for folder in (self.folder, self.folder / MODEL_FOLDER):
            remove_temporaries(folder)  # of a killed process
        self.load_state()
        self.write_log()  # as far as the saved state goes
        sizes = ", ".join(f"{name} {part['notes']:,}" for name, part in self.summaries.items())
        resumed = f", resuming after epoch {len(self.epochs)}" if self.epochs else ""
        print(f"{self.run.name}: notes {sizes}{resumed}; log: {self.folder / 'log'}")
        epochs, batches = self.setup.args.recipe.epochs, self.trainer.batches_of_epoch(self.sets)
        self.progress = Progress(self.run.name, epochs * batches, len(self.epochs) * batches)
        timer = SaveTimer()
        with Stop() as self.stop:
            with closing(self.progress):
                while len(self.epochs) < epochs and not self.has_stalled():
                    self.epochs.append(self.run_epoch(len(self.epochs) + 1))
                    self.write_log()
                    if timer.is_due():
                        with timer.saving():
                            self.save_state()
            self.conclude()
        if self.stop.signal:  # after the last step
            raise SystemExit(128 + self.stop.signal)

    def has_stalled(self) -> bool:
        """Whether the validation score has not improved for --patience epochs."""
        scores = [record["valid_acc"] for record in self.epochs]
        patience = self.setup.args.patience
        return bool(patience and scores) and len(scores) - scores.index(max(scores)) > patience

    def watch(self, batches: list[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield batches; raises `SystemExit` between two if the run is asked to stop."""
        for batch in batches:
            yield batch
            self.progress.step()
            if self.stop.signal:
                self.progress.close()
                print(
                    f"Stopped in epoch {len(self.epochs) + 1} of {self.run.name}; the same command "
                    "resumes after the last saved epoch."
                )
                raise SystemExit(128 + self.stop.signal)

    def run_epoch(self, epoch: int) -> dict:
        """Train and score an epoch; returns its entry of the result."""
        begun = time.perf_counter()
        train = self.trainer.train_epoch(self.sets["train"], epoch, self.watch)
        trained = time.perf_counter()
        valid = self.trainer.evaluate(self.sets["valid"], self.watch)
        test = self.trainer.evaluate(self.sets["test"], self.watch)
        if valid.score >= max((record["valid_acc"] for record in self.epochs), default=0.0):
            self.best = {PREDICTIONS: test.predictions}
            if self.setup.args.save_ckpt:
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

    def save_state(self) -> None:
        trainer = self.trainer
        tensors = pack_state(trainer.model, trainer.optimiser)
        tensors |= {BEST + name: tensor for name, tensor in self.best.items()}
        record = {
            "epochs": self.epochs,
            "optimiser_steps": trainer.optimiser.param_groups[0]["step"],
            "data": self.summaries,
            **definition(self.task),
        }
        save_tensors(self.folder / STATE_FILE, tensors, record)

    def load_state(self) -> None:
        """Continue from the saved state; from the start if it lacks the weights for --save_ckpt."""
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        tensors, record = load_tensors(path)
        trained_on = {"data": self.summaries, **definition(self.task)}
        if record.keys() != {"epochs", "optimiser_steps", *trained_on}:
            raise UserError(f"{path} is not the checkpoint of a run: remove it to start over")
        if any(record[name] != value for name, value in trained_on.items()):
            raise UserError(
                f"{path} was saved while training on other data or another task: remove it, or use "
                "another --save_root"
            )
        best = with_prefix(tensors, BEST)
        if self.setup.args.save_ckpt and not any(name.startswith(WEIGHT) for name in best):
            return
        trainer = self.trainer
        unpack_state(tensors, trainer.model, trainer.optimiser, record["optimiser_steps"], path)
        self.epochs = record["epochs"]
        self.best = {name: tensor.to(self.setup.device) for name, tensor in best.items()}

    def conclude(self) -> None:
        """Write the result, then the best model with --save_ckpt (a full disk must not cost the
        result), remove the state, and print the scores."""
        result = self.result()
        write_text(self.run.result_file, json.dumps(result) + "\n")
        if self.setup.args.save_ckpt:
            model = self.trainer.model
            model.load_state_dict(with_prefix(self.best, WEIGHT))
            model.save_pretrained(self.folder / MODEL_FOLDER, model_record(result))
            write_card(self.folder / MODEL_FOLDER)
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        print(
            f"{self.run.name}: best epoch {result['best_epoch']}, validation "
            f"{result['valid_score']:.4f}, test {result['test_score']:.4f} (majority class "
            f"{result['majority_class']['test_score']:.4f}); {result['seconds']:.0f} s, "
            f"{result['notes_per_second']:,.0f} notes/s"
        )

    # Results ---------------------------------------------------------------------------------

    def result(self) -> dict:
        """All results of the run; docs/METHOD.md, "Results", explains them."""
        of, metric, args = self.setup.backbone, METRICS[self.task.metric], self.setup.args
        best, predictions = best_epoch(self.epochs), self.best[PREDICTIONS]
        train_seconds = sum(record["train_seconds"] for record in self.epochs)
        seconds = self.encoder_seconds + sum(record["seconds"] for record in self.epochs)
        notes = self.summaries["train"]["notes"] * len(self.epochs)
        majority = majority_label(self.task, self.sets["train"])
        always = torch.full_like(predictions, majority)
        clean = metric.clean_score
        return {
            "format_version": RESULT_FORMAT,
            "task": self.task.name,
            **definition(self.task),
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
            "majority_class": {
                "label": majority,
                "name": self.task.classes[majority],
                "test_score": self.score_test(metric.score, always),
            },
            "test_pieces": terms_of_pieces(self.task, self.sets["test"], predictions),
            **confusion(self.task, self.sets["test"], predictions),
            "seconds": round(seconds, 2),
            "notes_per_second": round(notes / train_seconds, 1),
            "checkpoint": of and {"path": str(of.path), "epoch": of.epoch, "datasets": of.datasets},
            "device": device_name(self.setup.device),
            "precision": args.precision,
            "versions": versions(),
        }

    def score_test(self, score: Score, predictions: Tensor) -> float | None:
        test = self.sets["test"]
        return rounded(score(test.notes, test.labels, predictions, self.task.batch_size).item())


def rounded(value: float) -> float | None:
    """A score as results hold it; None (`null` in JSON) if it is 0/0."""
    return None if isnan(value) else round(value, DECIMALS)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that results may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def model_record(result: dict) -> dict:
    """What a model keeps of its run's result: no confusion matrix, no paths."""
    checkpoint = result["checkpoint"] or {}
    return {
        **{name: result[name] for name in RECORDED.split()},
        "epochs": len(result["epochs"]),
        "majority_class_score": result["majority_class"]["test_score"],
        "pretraining": {name: checkpoint.get(name) for name in ("epoch", "datasets")},
    }


def best_epoch(epochs: list[dict]) -> dict:
    """The epoch with the highest validation score; of equal ones the latest, as in the original."""
    return max(reversed(epochs), key=lambda record: record["valid_acc"])


def epoch_line(record: dict) -> str:
    """One epoch in the original's format."""
    names = [f"{part}_{measure}" for measure in ("loss", "acc") for part in SPLITS]
    return f"Epoch {record['epoch']}: " + ", ".join(f"{name}={record[name]}" for name in names)


def majority_label(task: Task, train: LabelledSegments) -> int:
    """The most frequent label of the notes (or segments) that a task is trained on."""
    counted = counted_in_loss(train.notes, train.labels, task.loss_on)
    return int(torch.bincount(train.labels[counted].long().cpu()).argmax())


def terms_of_pieces(
    task: Task, data: LabelledSegments, predictions: Tensor
) -> list[list[int]] | None:
    """The numerator and denominator of the score of each piece; None if the score has no terms."""
    terms = METRICS[task.metric].terms
    if not terms:
        return None
    of_segments = terms(data.notes, data.labels, predictions, task.batch_size).cpu()
    pieces = torch.from_numpy(data.pieces)
    sums = torch.zeros(int(pieces[-1]) + 1, 2, dtype=torch.int64)
    return sums.index_add_(0, pieces, of_segments).tolist()


def confusion(task: Task, data: LabelledSegments, predictions: Tensor) -> dict:
    """The confusion matrix, as its cells that are not 0, and the scores of every class in it."""
    counted = METRICS[task.metric].counted(data.notes, data.labels)
    true, predicted = (t[counted].cpu().numpy() for t in (data.labels, predictions))
    present = np.union1d(true, predicted)
    with warnings.catch_warnings():  # a test set may have a single class
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
