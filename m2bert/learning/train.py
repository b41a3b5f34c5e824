"""Two models of a task: a head on the frozen encoder, and the fine-tuned encoder with its head."""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch

from m2bert.base.recipes import FINETUNING
from m2bert.finetuning.data import doubts, read_parts, split
from m2bert.finetuning.plan import PlannedRun, Setup, finetuning_settings
from m2bert.finetuning.result import read_result
from m2bert.finetuning.run import FinetuningRun
from m2bert.model.config import LAST_LAYER, PRESETS
from m2bert.model.pretrained import choose_model
from m2bert.tasks import Task

PROBE, FINE_TUNING = "probe", "fine-tuning"
KINDS = {PROBE: "a head on the frozen encoder", FINE_TUNING: "the encoder with its head"}
"""What is trained, by the name of its folder."""

EPOCHS = {PROBE: (20, 1000), FINE_TUNING: (10, 300)}
"""Epochs, or as many as these steps take, whichever is more."""

PATIENCE = 0.3
"""A training stops if the validation score has not improved for this fraction of its epochs."""


def train(
    task: Task,
    folder: Path,
    encoder: Path,
    device: torch.device,
    precision: str,
    epochs: int | None,
    balance: bool,
    seed: int,
) -> dict[str, dict]:
    """Train both models on the arrays in `folder`, below which their runs are; finished runs are
    kept, and interrupted ones resume. Returns their results.

    epochs: of fine-tuning, by default those of `EPOCHS`.
    """
    parts = read_parts(task, [folder])
    for sentence in doubts(task, parts):
        print(f"warning: {sentence}")
    sets, results = split(task, parts, None), {}
    steps_per_epoch = -(-len(sets["train"]) // task.batch_size)
    config, backbone = choose_model(encoder, None, LAST_LAYER)
    is_base = config.hidden_size >= PRESETS["base"].hidden_size
    for step, (kind, what) in enumerate(KINDS.items(), 1):
        is_probe, (least, steps) = kind == PROBE, EPOCHS[kind]
        most = max(least, -(-steps // steps_per_epoch))
        # the paper's recipe is for its own size; a head alone needs a higher rate
        recipe = FINETUNING["paper" if is_base and not is_probe else "small"]
        if epochs and not is_probe:
            most = epochs
        args = argparse.Namespace(
            index_layer=LAST_LAYER,
            save_ckpt=True,
            batch_size=None,
            freeze=is_probe,
            transpose=0,
            last_class_weight=None,
            balance=balance,
            patience=math.ceil(PATIENCE * most),
            precision=precision,
            recipe=replace(recipe, epochs=most),
        )
        run = PlannedRun(task, seed, None, folder / kind)
        state = "finished before" if run.is_finished else what
        print(f"step {step} of {len(KINDS)}, {kind}: {state}")
        if not run.is_finished:
            settings = finetuning_settings(args, config, backbone)
            FinetuningRun(run, sets, 0.0, Setup(args, device, config, backbone, settings)).go()
        results[kind] = read_result(run.result_file)
    return results
