"""Task files, `NAME.task.json`: tasks of one's own, beside their data (docs/own_task.md)."""

from collections.abc import Iterable
from pathlib import Path

from m2bert.base.errors import UserError
from m2bert.base.files import read_json, write_json
from m2bert.model.task_entries import task_entries, task_from
from m2bert.tasks import Task

ENDING = ".task.json"


def write_task(task: Task, folder: Path | str) -> Path:
    """Write the file of a task to the folder of its data, and return its path. Raises `UserError`
    as `task_from` does."""
    path, entries = Path(folder) / f"{task.name}{ENDING}", task_entries(task)
    task_from(entries, f"task {task.name!r}")
    write_json(path, entries)
    return path


def read_tasks(folders: Iterable[Path]) -> dict[str, Task]:
    """The tasks by name whose files are in some folders. Raises `UserError` for a file that is not
    valid, and for two that define the same name differently."""
    found: dict[str, tuple[Task, Path]] = {}
    for path in (path for folder in folders for path in sorted(folder.glob(f"*{ENDING}"))):
        task = task_from(read_json(path), path)
        other, other_path = found.setdefault(task.name, (task, path))
        if other != task:
            raise UserError(f"{other_path} and {path} define {task.name!r} differently: rename one")
    return {name: task for name, (task, _) in found.items()}
