"""Gradients of some training steps without dropout."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from m2bert.base.processes import Processes, start_processes
from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.tensors import save_tensors
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.segments import Batches, Songs, draw_segments
from m2bert.pretraining.step import Trainer

BATCH_SIZE, LENGTH = 6, 64


def gradients(processes: Processes, data_root: Path, accumulation_steps: int) -> dict[str, Tensor]:
    """Gradients of four steps, and their metrics."""
    torch.manual_seed(0)
    trainer = Trainer(
        M2BertForPreTraining(preset("tiny")),
        Objective(),
        processes,
        precision="fp32",
        lr=1e-4,
        seed=1,
        accumulation_steps=accumulation_steps,
    )
    songs = Songs([open_corpus(data_root, name) for name in ("first", "second")])
    draws = draw_segments(range(len(songs)), songs.lengths, LENGTH, seed=1, epoch=1, shuffle=True)
    mine = processes.own_rows(np.arange(BATCH_SIZE))
    batches = Batches(songs, draws, BATCH_SIZE, LENGTH, 0.3, mine)
    kept, metrics = {}, []
    # the last batch is not full: one process has rows that do not count
    for step in (0, 1, 2, len(batches) - 1):
        metrics.append(trainer.train_step(batches[step], step))
        kept[f"gradient_{step}"] = torch.cat([w.grad.flatten() for w in trainer.weights])
    return kept | {"metrics": torch.stack(metrics)}


def save_gradients() -> None:
    """Command: DATA_ROOT ACCUMULATION_STEPS OUT."""
    data_root, accumulation_steps, out = sys.argv[1:]
    processes = start_processes(cpu=True)
    kept = gradients(processes, data_root, int(accumulation_steps))
    if processes.is_main:
        save_tensors(out, kept, {})
    processes.end()
