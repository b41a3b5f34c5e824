"""Run by torchrun: train some steps without dropout and keep the gradients.

python tests/gradients.py DATA_ROOT ACCUMULATION_STEPS OUT
"""

import sys

import torch
from accelerate import Accelerator

from m2bert.corpus import open_corpus
from m2bert.model import M2BertForPreTraining, preset
from m2bert.model_folder import save_tensors
from m2bert.objectives import Objective
from m2bert.segments import Batches, Share, Songs, draw_segments
from m2bert.trainer import Trainer

BATCH_SIZE, LENGTH = 6, 64

data_root, accumulation_steps, out = sys.argv[1:]
accelerator = Accelerator(cpu=True)
torch.manual_seed(0)
trainer = Trainer(
    M2BertForPreTraining(preset("tiny")),
    Objective(),
    accelerator,
    lr=1e-4,
    seed=1,
    accumulation_steps=int(accumulation_steps),
)
songs = Songs([open_corpus(data_root, name) for name in ("first", "second")])
draws = draw_segments(range(len(songs)), songs.lengths, LENGTH, seed=1, epoch=1, shuffle=True)
share = Share(BATCH_SIZE, accelerator.process_index, accelerator.num_processes)
batches = Batches(songs, draws, share, LENGTH, 0.3)
kept = {}
# the last batch is not full, so that one process has rows that do not count
steps = [0, 1, 2, len(batches) - 1]
figures = []
for step in steps:
    figures.append(trainer.train_step(batches[step], step))
    kept[f"gradient_{step}"] = torch.cat([w.grad.flatten() for w in trainer.weights])
kept["figures"] = torch.stack(figures)
if accelerator.is_main_process:
    save_tensors(out, kept, {})
if accelerator.num_processes > 1:
    torch.distributed.destroy_process_group()
