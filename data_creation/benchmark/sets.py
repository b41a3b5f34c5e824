"""The data sets of SMCBenchmark as data: which files hold the notes and labels of the tasks."""

from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from m2bert.scores.published import BENCHMARK_TASKS
from m2bert.tasks import TASKS, Task


@dataclass(frozen=True)
class DataSet:
    """The notes and labels that the tasks of one corpus share.

    Attributes:
        name: the corpus, with which file names begin.
        tasks: its tasks; they have the same level and parts.
        beats_in_bars: whether beats are counted anew in each bar.
        most_per_class: of a part that is named here, only so many items of a class are used.
    """

    name: str
    tasks: tuple[Task, ...]
    beats_in_bars: bool = False
    most_per_class: dict[str, int] = field(default_factory=dict)

    @property
    def level(self) -> str:
        return self.tasks[0].level

    @property
    def is_published(self) -> bool:
        """Whether SMCBenchmark has it; other data sets are of a user's own tasks."""
        return any(task.name in BENCHMARK_TASKS for task in self.tasks)

    @property
    def folder(self) -> str:
        """The folder below SMCBenchmark's that holds its files."""
        return {"note": "downstream_note", "piece": "downstream_seq"}[self.level]

    @property
    def parts(self) -> tuple[str, ...]:
        return self.tasks[0].parts

    @property
    def segment_length(self) -> int:
        return self.tasks[0].segment_length

    def files(self, part: str) -> list[str]:
        """The names of a part's files: of its notes, then of each task's labels."""
        return [self.tasks[0].file_names(part)[0], *(t.file_names(part)[1] for t in self.tasks)]


# What data sets have that others have not (`docs/METHOD.md`, "Benchmark data").
_BEATS_IN_BARS = {"tnua"}
_MOST_PER_CLASS = {"tagatraum": {"train": 500, "valid": 150}}


def _data_sets() -> dict[str, DataSet]:
    by_corpus = attrgetter("corpus")
    return {
        name: DataSet(
            name,
            tuple(tasks),
            beats_in_bars=name in _BEATS_IN_BARS,
            most_per_class=_MOST_PER_CLASS.get(name, {}),
        )
        for name, tasks in groupby(sorted(TASKS.values(), key=by_corpus), key=by_corpus)
    }


DATA_SETS = _data_sets()
"""Every data set by its name, alphabetically; adding a task to `TASKS` adds its data set."""
