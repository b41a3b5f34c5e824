"""Reading and writing files: what is written shows as a whole or not at all."""

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from m2bert.base.errors import UserError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its place at the end.

    The temporary file is flushed to the disk before it is renamed. If the block raises (a full
    disk, Ctrl-C), the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    refuse_folder(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{path} could not be written: {error}") from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:  # by itself a full disk's error names no file
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder within `folder`, which is made; the files written there take their
    places in `folder` together at the end. If the block raises, none of them does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder)
    except OSError as error:
        raise OSError(f"{folder} could not be written: {error}") from error
    with temporary as name:
        yield Path(name)
        for file in sorted(Path(name).iterdir()):
            file.replace(folder / file.name)
        flush_to_disk(folder)


def refuse_folder(path: Path) -> None:
    """Raise `UserError` if there is a folder where a file is to be written."""
    if path.is_dir():
        raise UserError(f"{path} could not be written: there is a folder of that name")


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left behind in `folder` while they were `replacing` a file."""
    for leftover in folder.glob(".*.tmp"):
        if re.fullmatch(r"\..+\.\d+\.tmp", leftover.name):
            leftover.unlink(missing_ok=True)


def try_lock(path: Path) -> IO | None:
    """Lock the file at `path` for as long as the returned file is open and this process lives;
    None if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        # a record lock: unlike flock's it is not inherited by the processes that read batches,
        # which outlive a killed run by some seconds
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


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
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)  # piece by piece: the text may be long
        file.write("\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a JSON object; raises `UserError` if it is not there or is damaged."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds something other than a JSON object")
    return value
