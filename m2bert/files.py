"""Writing files so that a reader sees the old content or the new one, never a half of either."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its place at the end.

    The temporary file is flushed to the disk before it is renamed. If the block raises (a full
    disk, Ctrl-C), the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left behind below `folder`."""
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Return once the file or folder at `path` would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in one step, as seen by a reader."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON file in one step, as seen by a reader."""
    write_text(path, json.dumps(value, indent=1) + "\n")
