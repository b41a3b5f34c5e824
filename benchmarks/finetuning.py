"""How fast does a classifier train and predict?

python -m benchmarks.finetuning [--preset tiny] [--precision bf16] [--steps 10]
"""

import argparse
from functools import partial

import torch

from benchmarks.timing import RUNS, median_seconds
from m2bert.base.arguments import count
from m2bert.base.devices import choose_device, choose_precision
from m2bert.base.errors import run_command
from m2bert.base.recipes import FINETUNING
from m2bert.finetuning.data import LabelledSegments
from m2bert.finetuning.epoch import ClassifierTrainer
from m2bert.model.classifiers import CLASSIFIERS
from m2bert.model.config import PRESETS
from m2bert.tasks import TASKS, Task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--steps", type=count, default=10, help="batches of a run")
    args = parser.parse_args()

    device = choose_device(args.cpu)
    precision = choose_precision(args.precision, device)
    print(f"{args.preset}, {device.type}, {precision}; medians of {RUNS} runs")
    print(f"{'task':<12}{'batch':>10}{'training notes/s':>18}{'prediction notes/s':>20}")
    for name in ("chordroot", "composer"):
        task = TASKS[name]
        data = made_up_segments(task, args.steps * task.batch_size).each(lambda t: t.to(device))
        trainer = new_trainer(task, args.preset, device, precision)
        train_s, _ = median_seconds(partial(train_first_epoch, trainer, data))
        predict_s, _ = median_seconds(partial(trainer.evaluate, data))
        notes = data.lengths.sum()
        batch = f"{task.batch_size} x {task.segment_length}"
        print(f"{name:<12}{batch:>10}{notes / train_s:18,.0f}{notes / predict_s:20,.0f}")


def new_trainer(task: Task, preset: str, device: torch.device, precision: str) -> ClassifierTrainer:
    torch.manual_seed(0)
    model = CLASSIFIERS[task.level](PRESETS[preset], task.classes)
    return ClassifierTrainer(
        model,
        task,
        batch_size=task.batch_size,
        recipe=FINETUNING["paper"],
        seed=0,
        device=device,
        precision=precision,
    )


def train_first_epoch(trainer: ClassifierTrainer, data: LabelledSegments) -> None:
    trainer.train_epoch(data, 1)


def made_up_segments(task: Task, segments: int) -> LabelledSegments:
    generator = torch.Generator().manual_seed(0)
    notes = torch.randint(64, (segments, task.segment_length, 4), generator=generator)
    notes[..., 0] = torch.arange(task.segment_length) % 12 > 0
    notes[..., 1] %= 16
    shape = notes.shape[:2] if task.level == "note" else notes.shape[:1]
    labels = torch.randint(1, len(task.classes), shape, generator=generator)
    return LabelledSegments(notes.to(torch.uint8), labels.to(torch.int16))


if __name__ == "__main__":
    run_command(main)
