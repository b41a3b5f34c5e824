"""Run by torchrun: train some steps without dropout and keep the gradients.

python tests/helpers/gradients.py DATA_ROOT ACCUMULATION_STEPS PRECISION OUT
"""

import sys

import torch

from m2bert.base.processes import start_processes
from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.tensors import save_tensors
from m2bert.pretraining.corpus import open_corpus
from m2bert.pretraining.objectives import Objective
from m2bert.pretraining.segments import Batches, Share, Songs, draw_segments
from m2bert.pretraining.step import Trainer

BATCH_SIZE, LENGTH = 6, 64

data_root, accumulation_steps, precision, out = sys.argv[1:]
processes = start_processes(cpu=True)
torch.manual_seed(0)
trainer = Trainer(
    M2BertForPreTraining(preset("tiny")),
    Objective(),
    processes,
    precision=precision,
    lr=1e-4,
    seed=1,
    accumulation_steps=int(accumulation_steps),
)
songs = Songs([open_corpus(data_root, name) for name in ("first", "second")])
draws = draw_segments(range(len(songs)), songs.lengths, LENGTH, seed=1, epoch=1, shuffle=True)
share = Share(BATCH_SIZE, processes.index, processes.count)
batches = Batches(songs, draws, share, LENGTH, 0.3)
kept = {}
# the last batch is not full, so that one process has rows that do not count
steps = [0, 1, 2, len(batches) - 1]
figures = []
for step in steps:
    figures.append(trainer.train_step(batches[step], step))
    kept[f"gradient_{step}"] = torch.cat([w.grad.flatten() for w in trainer.weights])
kept["figures"] = torch.stack(figures)
if processes.is_main:
    save_tensors(out, kept, {})
processes.end()
