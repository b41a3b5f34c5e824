"""One run of pre-training: the loop over epochs and steps."""

import argparse
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from m2bert.base.errors import UserError
from m2bert.base.processes import Processes
from m2bert.base.progress import show_progress
from m2bert.base.recipes import check_warmup
from m2bert.base.saving import SaveTimer
from m2bert.base.stop import Stop
from m2bert.model.config import preset, with_dropout
from m2bert.model.encoder import M2BertForPreTraining, published_parameter_count
from m2bert.model.folder import write_card
from m2bert.model.pretrained import checksum_of_weights, load_initial_weights
from m2bert.notes.cp import FIELDS
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.metrics import Speedometer, epoch_record, log_line, measure_peak, steps_line
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.run_folder import RunFolder
from m2bert.pretraining.segments import (
    VALIDATION_EPOCH,
    Batches,
    Songs,
    draw_segments,
    join_copies,
    load_batches,
    read_names,
    split_songs,
)
from m2bert.pretraining.step import Trainer

PATIENCE = 30
"""A run ends after so many epochs without a better one."""


def open_songs(args: argparse.Namespace, processes: Processes) -> tuple[Songs, np.ndarray]:
    """Open and check the corpora; returns all songs, and the numbers of those to use."""
    for is_first in (True, False):  # a published corpus is converted once, not by each process
        with processes.fail_together():
            if processes.is_main or not is_first:
                corpora = [open_corpus(args.data_root, name) for name in args.datasets]
    with processes.fail_together():
        songs = Songs(corpora)
        songs.check()
        used = np.arange(len(songs))
        if args.exclude_songs:
            used = used[~songs.excluded(read_names(args.exclude_songs))]
    return songs, used


def split_without_copies(
    songs: Songs, used: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Split songs into training and validation, copies of one song on one side.

    Returns the song numbers of both, and counts of songs: duplicates of earlier songs; moved to the
    other set; leaked, validation songs (of the paper's corpora) that are duplicates of training
    songs.
    """
    checksums = songs.checksums()
    before, _ = parts = split_songs(used, seed)
    train, valid = join_copies(*parts, checksums, songs.are_papers())
    counts = {
        "copies": len(used) - len(np.unique(checksums[used])),
        "moved": len(np.setxor1d(before, train)),
        "leaked": int(np.isin(checksums[valid], checksums[train]).sum()),
    }
    return train, valid, counts


def pretraining_settings(
    args: argparse.Namespace, songs: Songs, used: np.ndarray, moved: int
) -> dict:
    """Everything that a run's metrics depend on. moved: of `split_without_copies`."""
    names = ["datasets", "preset", "pianoroll", "corruption", "rc_range", "mask_percent"]
    names += ["max_seq_len", "batch_size", "seed", "precision"]
    return {
        **{name: getattr(args, name) for name in names},
        "lr": args.recipe.lr,
        "init_ckpt": checksum_of_weights(args.init_ckpt)[:16] if args.init_ckpt else None,
        "songs": len(used),
        "notes": int(songs.lengths[used].sum()),
        **({"copies_moved": moved} if moved else {}),
        **args.recipe.changes(),
    }


def make_trainer(args: argparse.Namespace, processes: Processes) -> Trainer:
    """Build the model from the seed, and what trains it."""
    torch.manual_seed(args.seed)
    config = with_dropout(preset(args.preset, args.pianoroll), args.recipe.dropout)
    return Trainer(
        M2BertForPreTraining(config),
        Objective(args.corruption, args.mask_percent, tuple(args.rc_range), args.pianoroll),
        processes,
        precision=args.precision,
        lr=args.recipe.lr,
        weight_decay=args.recipe.weight_decay,
        seed=args.seed,
        accumulation_steps=args.accumulation_steps,
        compile_mode="default" if args.compile else None,
    )


class _Halted(Exception):
    """The run stops before its end, by a signal or --max_steps."""


class PretrainingRun:
    def __init__(self, args: argparse.Namespace, processes: Processes):
        """Prepare a new run, or resume the one in the folder. args: of `m2bert.pretrain`, with the
        precision "fp32" or "bf16"."""
        self.args, self.processes, self.is_main = args, processes, processes.is_main
        self.songs, used = open_songs(args, processes)
        self.train_songs, self.valid_songs, self.copies = split_without_copies(
            self.songs, used, args.seed
        )
        with processes.fail_together():
            if not len(self.train_songs) or not len(self.valid_songs):
                copies = f", {self.copies['copies']} of them duplicates," * bool(
                    self.copies["copies"]
                )
                raise UserError(
                    f"{len(used)} songs{copies} are too few for training and validation: at least "
                    "2 different ones are needed"
                )
            steps = len(self.batches(self.train_songs, epoch=1))
            check_warmup(args.recipe, args.recipe.epochs * steps)
            settings = pretraining_settings(args, self.songs, used, self.copies["moved"])
            self.folder = RunFolder(args.save_dir, settings)
            if self.is_main:
                self.folder.lock()
        self.trainer = make_trainer(args, processes)
        model, optimiser = self.trainer.model, self.trainer.optimiser
        with processes.fail_together():
            if args.init_ckpt and not self.folder.has_state:
                load_initial_weights(args.init_ckpt, model)
            self.progress, running = self.folder.load_state(model, optimiser)
        self.running = self.zeros() if running is None else running.to(processes.device)
        with processes.fail_together():
            if self.is_main:
                self.folder.begin(self.progress)
        peak = measure_peak(processes.device, args.precision)
        number = processes.world_size
        self.speedometer = Speedometer(model.config, args.max_seq_len, number, peak)
        self.timer = SaveTimer()

    def go(self) -> int:
        """Train until the run is finished or stopped; returns the exit status."""
        self.introduce()
        valid = self.batches(self.valid_songs, VALIDATION_EPOCH)
        with Stop() as stop:
            while not self.finished:
                train = self.batches(self.train_songs, self.progress.epoch)
                try:
                    self.train_epoch(train, stop)
                    means = self.validate(valid, stop)
                except _Halted:
                    return self.halt(stop)
                self.end_epoch(self.running / len(train), means)
        if self.is_main:
            self.conclude()
        return 0

    @property
    def finished(self) -> bool:
        progress = self.progress
        return progress.epoch > self.args.recipe.epochs or progress.epochs_without_gain >= PATIENCE

    @property
    def at_max_steps(self) -> bool:
        return self.progress.steps >= (self.args.max_steps or math.inf)

    def train_epoch(self, train: Batches, stop: Stop) -> None:
        """Do the remaining steps of an epoch; raises `_Halted` to stop before its end."""
        progress, recipe = self.progress, self.args.recipe
        if self.at_max_steps:
            raise _Halted
        self.speedometer.restart()
        for batch in self.load(train, progress.epoch_step, f"epoch {progress.epoch}"):
            factor = recipe.factor(progress.steps, recipe.epochs * len(train))
            metrics = self.trainer.train_step(batch, progress.steps, factor)
            progress.epoch_step += 1
            progress.steps += 1
            self.running += metrics
            self.speedometer.add(metrics, batch["real"])
            if progress.steps == 1 or progress.steps % self.args.log_steps == 0:
                self.log_steps(train)
            self.save_if_due(60 * self.args.save_minutes)
            self.halt_if_asked(stop)
            if self.at_max_steps and progress.epoch_step < len(train):
                raise _Halted

    def validate(self, valid: Batches, stop: Stop) -> Tensor:
        """Mean metrics of the validation batches; raises `_Halted` to stop before their end."""
        summed = self.zeros()
        for batch in self.load(valid, 0, "validation"):
            summed += self.trainer.valid_step(batch)
            self.halt_if_asked(stop)
        return summed / len(valid)

    def end_epoch(self, train: Tensor, valid: Tensor) -> None:
        """Save the models and metrics of an epoch; train, valid: mean metrics of its batches."""
        self.check_finite()
        progress, before = self.progress, self.progress.best
        record = {"epoch": progress.epoch, "step": progress.steps, **epoch_record(train, valid)}
        progress.history.append(record)
        progress.epoch, progress.epoch_step = progress.epoch + 1, 0
        self.running = self.zeros()
        is_best = before is None or record["score"] > before["score"]
        # In this order a run that is killed in between repeats the epoch's end or completes it.
        if self.is_main:
            self.folder.save_models(self.trainer.model, record, is_best)
        self.save_if_due(0 if self.finished else None)
        if self.is_main:
            self.folder.log_epoch(progress)
        self.processes.say(log_line(record) + (" (best so far)" if is_best else ""))

    def halt_if_asked(self, stop: Stop) -> None:
        """Raise `_Halted` if any process got a signal: all must leave after the same step."""
        if asked := self.processes.greatest(stop.signal):
            stop.signal = asked
            raise _Halted

    # Reading ---------------------------------------------------------------------------------

    def batches(self, songs: np.ndarray, epoch: int) -> Batches:
        args, processes, lengths = self.args, self.processes, self.songs.lengths[songs]
        shuffle = epoch != VALIDATION_EPOCH
        draws = draw_segments(songs, lengths, args.max_seq_len, args.seed, epoch, shuffle)
        mine = processes.own_rows(np.arange(args.batch_size))
        # Compiled code and GPUs need one shape, and no process may be without work; on a CPU, rows
        # that do not count cost time and memory.
        is_plain = processes.device.type == "cpu" and processes.world_size == 1 and not args.compile
        filled_to = args.accumulation_steps if is_plain else args.batch_size
        sizes = args.batch_size, args.max_seq_len
        return Batches(self.songs, draws, *sizes, args.mask_percent, mine, filled_to)

    def load(self, batches: Batches, first: int, title: str) -> Iterator[dict]:
        on_gpu = self.processes.device.type == "cuda"
        loaded = load_batches(batches, first, self.args.num_workers, pin_memory=on_gpu)
        return show_progress(loaded, title, len(batches), first) if self.is_main else loaded

    def zeros(self) -> Tensor:
        """Sums of metrics before the first batch."""
        metrics = 1 + len(self.trainer.model.config.head_sizes) + len(FIELDS)
        return torch.zeros(metrics, dtype=torch.float64, device=self.processes.device)

    # Saving ----------------------------------------------------------------------------------

    def save_if_due(self, seconds: float | None) -> None:
        """Save the state if the last saving was so many seconds ago (`SaveTimer.is_due`)."""
        if self.processes.greatest(self.is_main and self.timer.is_due(seconds)):
            self.save_state()

    def save_state(self) -> None:
        """Called by all processes, so that all see a bad step; the main one writes."""
        self.check_finite()
        trainer = self.trainer
        with self.timer.saving():
            if self.is_main:
                self.folder.save_state(
                    trainer.model, trainer.optimiser, self.progress, self.running
                )

    def check_finite(self) -> None:
        """Raise `UserError` if a loss or gradient was not finite."""
        step = int(self.trainer.first_bad_step)
        if step < 0:
            return
        with self.processes.fail_together():
            raise UserError(
                f"loss or gradient was not finite at step {step}; the last checkpoint is kept. Use "
                "a lower --lr or --precision fp32 in another --save_dir"
            )

    def halt(self, stop: Stop) -> int:
        """Save the state of a run that stops before its end; returns the exit status."""
        progress = self.progress
        self.save_state()
        if self.is_main and progress.epoch_step and not stop.signal:
            record = {"epoch": progress.epoch, "step": progress.steps}
            self.folder.save_models(self.trainer.model, record, is_best=False)
        self.processes.say(
            f"Stopped after step {progress.steps} (epoch {progress.epoch}, step "
            f"{progress.epoch_step} of it); checkpoint saved in {self.args.save_dir}. "
            + ("The same command" if stop.signal else "A larger --max_steps")
            + " resumes."
        )
        return 128 + stop.signal if stop.signal else 0

    # Printing --------------------------------------------------------------------------------

    def introduce(self) -> None:
        say, progress, processes = self.processes.say, self.progress, self.processes
        say(
            f"{published_parameter_count(self.trainer.model):,} parameters ({self.args.preset}), "
            f"{processes.world_size} x {processes.device.type}, {self.args.precision}"
        )
        for name, chosen in (("training", self.train_songs), ("validation", self.valid_songs)):
            notes = int(self.songs.lengths[chosen].sum())
            say(f"{name}: {len(chosen):,} songs, {notes:,} notes")
        copies = self.copies
        if copies["copies"]:
            say(
                f"warning: {copies['copies']:,} songs are duplicates (same notes as another song); "
                f"{copies['moved']:,} were moved to the set of their duplicate, and "
                f"{copies['leaked']:,} validation songs are duplicates of training songs (songs of "
                "the paper's corpora are not moved)"
            )
        say(f"recipe: {self.args.recipe.summary()}")
        if progress.steps and not self.finished:
            say(
                f"Resuming {self.args.save_dir} in epoch {progress.epoch}, "
                f"after step {progress.steps}"
            )

    def log_steps(self, train: Batches) -> None:
        self.check_finite()
        metrics, speed = self.speedometer.read()
        progress = self.progress
        place = {"epoch": progress.epoch, "step": progress.steps, "epoch_steps": len(train)}
        record = {**place, **metrics, **speed}
        if self.is_main:
            self.folder.log_steps(record)
        where = f"epoch {progress.epoch}, step {progress.epoch_step} of {len(train)}"
        self.processes.say(f"{where}: {steps_line(record)}")

    def conclude(self) -> None:
        say, folder, history = self.processes.say, self.args.save_dir, self.progress.history
        best = self.progress.best
        assert best is not None  # a finished run has epochs
        write_card(folder / "model_best")
        say(
            f"Finished: {len(history)} epochs, the best was epoch {best['epoch']} "
            f"(score {best['score']:.4f}). "
            "Validation, first epoch to last (accuracies at corrupted notes):"
        )
        first, last = ([r["valid_loss"], *r["valid_acc"]] for r in (history[0], history[-1]))
        for name, before, after in zip(("loss", *FIELDS), first, last, strict=True):
            say(f"  {name:<9} {before:.3f} -> {after:.3f}")
        say(f"  model     {folder / 'model_best'} (best), {folder / 'model'} (last)")
        say(f"  metrics   {folder / 'log'}, {folder / 'metrics.jsonl'}")
        say(f"  picture   {self.folder.curves}")
