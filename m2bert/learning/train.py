"""Two models of a task: a head on the frozen encoder, and the fine-tuned encoder with its head."""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from m2bert.base.recipes import FINETUNING, Recipe
from m2bert.finetuning.data import doubts, read_parts, split
from m2bert.finetuning.epoch import with_states
from m2bert.finetuning.plan import PlannedRun, set_up
from m2bert.finetuning.result import read_result
from m2bert.finetuning.run import MODEL_FOLDER, FinetuningRun
from m2bert.model.config import LAST_LAYER, PRESETS
from m2bert.model.pretrained import load_backbone
from m2bert.tasks import Task

PROBE = "probe"
KINDS = {PROBE: "a head on the frozen encoder", "fine-tuning": "the encoder with its head"}
"""What is trained, by the name of its folder."""

PROBE_EPOCHS, PATIENCE = 20, 3
"""Epochs of a probe, and after how many epochs without a better score in validation fine-tuning
stops."""


@dataclass(frozen=True)
class Trained:
    """A trained model: its folder, its score in validation, and the seconds that it took."""

    folder: Path
    valid_score: float
    seconds: float


def train(
    task: Task,
    folder: Path,
    encoder: Path,
    device: torch.device,
    precision: str,
    epochs: int,
    balance: bool,
    seed: int,
) -> dict[str, Trained]:
    """Train both models on the arrays in `folder`, below which their runs are; finished runs are
    kept, and interrupted ones resume."""
    parts = read_parts(task, [folder])
    for sentence in doubts(task, parts):
        print(f"warning: {sentence}")
    sets, trained = split(task, parts, None), {}
    recipe = recipe_for(encoder, epochs)
    for step, (kind, what) in enumerate(KINDS.items(), 1):
        is_probe = kind == PROBE
        args = argparse.Namespace(
            ckpt=encoder,
            preset=None,
            nopretrain=False,
            index_layer=LAST_LAYER,
            save_root=folder / kind,
            save_ckpt=True,
            batch_size=None,
            freeze=is_probe,
            transpose=0,
            last_class_weight=None,
            balance=balance,
            patience=None if is_probe else PATIENCE,
            precision=precision,
            recipe=replace(FINETUNING["small"], epochs=PROBE_EPOCHS) if is_probe else recipe,
        )
        setup = set_up(args, device)
        run = PlannedRun(task, seed, None, folder / kind)
        state = "finished before" if run.is_finished else what
        print(f"step {step} of {len(KINDS)}, {kind}: {state}")
        if not run.is_finished:
            begun, of_run = time.perf_counter(), sets
            if is_probe:
                of_run = with_states(setup.new_model(task), sets, device, precision)
            FinetuningRun(run, of_run, time.perf_counter() - begun, setup).go()
        result = read_result(run.result_file)
        model = folder / kind / MODEL_FOLDER
        trained[kind] = Trained(model, result["valid_score"], result["seconds"])
    return trained


def recipe_for(encoder: Path, epochs: int) -> Recipe:
    """The recipe for an encoder: the paper's for one of its size, else that for smaller ones."""
    is_base = load_backbone(encoder).config.hidden_size >= PRESETS["base"].hidden_size
    return replace(FINETUNING["paper" if is_base else "small"], epochs=epochs)
