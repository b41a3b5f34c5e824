"""The data sets of SMCBenchmark as data: which files hold the notes and labels of the tasks."""

from dataclasses import dataclass, field
from pathlib import Path

from m2bert.tasks import TASKS, Task


@dataclass(frozen=True)
class DataSet:
    """The notes of one corpus and the tasks that label them.

    Attributes:
        tasks: its tasks, which have the same level, parts and length of segments.
        beats_in_bars: whether times are beats since the beginning of the bar, not of the piece.
        most_per_class: for some parts, how many items of each class are used, the first ones.
    """

    name: str
    tasks: tuple[Task, ...]
    beats_in_bars: bool = False
    most_per_class: dict[str, int] = field(default_factory=dict)

    @property
    def level(self) -> str:
        return self.tasks[0].level

    @property
    def folder(self) -> str:
        return {"note": "downstream_note", "piece": "downstream_seq"}[self.level]

    @property
    def parts(self) -> tuple[str, ...]:
        return self.tasks[0].parts

    def files(self, part: str) -> list[str]:
        """The names of a part's files: of its notes, then of each task's labels."""
        return [self.tasks[0].file_names(part)[0], *(t.file_names(part)[1] for t in self.tasks)]

    def paths(self, folder: Path) -> list[Path]:
        return [folder / name for part in self.parts for name in self.files(part)]


# Properties of single data sets (`docs/METHOD.md`, "Benchmark data").
_BEATS_IN_BARS = {"tnua"}
_MOST_PER_CLASS = {"tagatraum": {"train": 500, "valid": 150}}

DATA_SETS = {
    name: DataSet(
        name,
        tuple(task for task in TASKS.values() if task.corpus == name),
        beats_in_bars=name in _BEATS_IN_BARS,
        most_per_class=_MOST_PER_CLASS.get(name, {}),
    )
    for name in sorted({task.corpus for task in TASKS.values()})
}
"""Every data set by its name, alphabetically; adding a task to `TASKS` adds its data set."""
