"""What is to be trained, and in which order.

RUNS_DIR/corpora/              CP notes of the corpora
RUNS_DIR/finetune_data/        labelled notes of the tasks
RUNS_DIR/pretrain/OBJECTIVE/   runs of pre-training
RUNS_DIR/finetune/OBJECTIVE/   results of fine-tuning
RUNS_DIR/results/              what has come out, without weights (report.py)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from m2bert.finetuning.result import RESULT_FILE, folder_of_run
from m2bert.pretrain import REDUCED
from m2bert.pretraining.run import PATIENCE
from m2bert.pretraining.run_folder import Progress, read_metrics
from m2bert.tasks import Task

OBJECTIVES: dict[str, list[str] | None] = {
    "proposed": [],
    "rc": ["--pianoroll", "none"],
    "nochroma": ["--pianoroll", "nochroma"],
    "mlm": ["--corruption", "mlm", "--mask_percent", "0.15", "--pianoroll", "none"],
    "scratch": None,
}
"""What a model is pre-trained to do, as flags of pre-training; None: it is not pre-trained."""


class Stage(NamedTuple):
    """A command: the pre-training of an objective (of no tasks), or the fine-tuning of its model
    on some tasks with a seed."""

    objective: str
    seed: int = 0
    tasks: tuple[Task, ...] = ()

    @property
    def title(self) -> str:
        return f"{'fine-tuning of' if self.tasks else 'pre-training'} {self.objective}"


@dataclass(frozen=True)
class Plan:
    """What is to be made in a folder, `runs_dir`.

    Attributes:
        recipe: name of the recipe of pre-training and of fine-tuning.
        epochs: epochs of pre-training.
        flags: further flags of both commands.
        objectives: names in `OBJECTIVES`, in the order in which they are trained.
        wanted: the tasks that are asked for, whether or not their data is there.
    """

    runs_dir: Path
    preset: str
    recipe: str
    epochs: int
    flags: list[str]
    objectives: list[str]
    wanted: list[Task]

    @property
    def corpora(self) -> Path:
        return self.runs_dir / "corpora"

    @property
    def task_data(self) -> Path:
        return self.runs_dir / "finetune_data"

    @property
    def datasets(self) -> list[str]:
        """The corpora that are there."""
        return [name for name in REDUCED if (self.corpora / f"{name}.json").exists()]

    @property
    def missing_datasets(self) -> list[str]:
        """The corpora that are needed and are not there."""
        pretrains = any(OBJECTIVES[name] is not None for name in self.objectives)
        return [name for name in REDUCED if pretrains and name not in self.datasets]

    @property
    def tasks(self) -> list[Task]:
        """The wanted tasks whose data is there as a whole."""
        return [task for task in self.wanted if task not in self.missing_tasks]

    @property
    def missing_tasks(self) -> list[Task]:
        """The wanted tasks of whose data a file is not there."""
        there = {path.name for path in self.task_data.glob("*.npy")}
        return [
            task
            for task in self.wanted
            if not there.issuperset(name for part in task.parts for name in task.file_names(part))
        ]

    def pretraining(self, objective: str) -> Path:
        """The folder of a pre-training."""
        return self.runs_dir / "pretrain" / objective

    def finetuning(self, objective: str) -> Path:
        """The folder of the results of fine-tuning."""
        return self.runs_dir / "finetune" / objective

    def stages(self) -> Iterator[Stage]:
        """Every objective with the first seed of every task, then with their further seeds."""
        all_tasks = self.tasks
        for turn in range(max(len(task.seeds) for task in all_tasks)):
            for objective in self.objectives:
                if turn == 0 and OBJECTIVES[objective] is not None:
                    yield Stage(objective)
                tasks = [task for task in all_tasks if len(task.seeds) > turn]
                for seed in sorted({task.seeds[turn] for task in tasks}):
                    yield Stage(objective, seed, tuple(t for t in tasks if t.seeds[turn] == seed))

    def command(self, stage: Stage) -> list[str]:
        """The command line of a stage, after the name of Python."""
        objective, seed, tasks = stage
        objective_flags = OBJECTIVES[objective]
        if not tasks:
            words = ["m2bert.pretrain", "--save_dir", self.pretraining(objective)]
            words += ["--data_root", self.corpora, "--datasets", *self.datasets]
            words += ["--preset", self.preset, "--epochs", self.epochs, *(objective_flags or [])]
        else:
            words = ["m2bert.finetune", "--save_root", self.finetuning(objective)]
            if objective_flags is None:
                words += ["--nopretrain", "--preset", self.preset]
            else:
                words += ["--ckpt", self.pretraining(objective)]
            words += ["--data_root", self.task_data, "--seed", seed]
            words += ["--task", *(task.name for task in tasks)]
        return ["-m", *map(str, words), "--recipe", self.recipe, *self.flags]

    def is_finished(self, stage: Stage) -> bool:
        if stage.tasks:
            return all(path.exists() for _, path in self.runs(stage))
        lines = read_metrics(self.pretraining(stage.objective))
        history = [line for line in lines if line["kind"] == "epoch"]
        stalled = Progress(history=history).epochs_without_gain >= PATIENCE
        return len(history) >= self.epochs or stalled

    def runs(self, stage: Stage) -> Iterator[tuple[Task, Path]]:
        """The trainings of a stage of fine-tuning: task, and file of the result, there or not."""
        root, seed = self.finetuning(stage.objective), stage.seed
        for task in stage.tasks:
            for fold in task.test_folds:
                yield task, folder_of_run(root, task.name, seed, fold) / RESULT_FILE
