"""Reading and writing files so that a reader finds a new file complete or not at all; locks."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from m2bert.base.errors import UserError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` at the end, and
    is removed if the block raises."""
    path = Path(path)
    check_not_folder(path)
    # no longer than the longest name that a file can have, 255 bytes
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.tmp")
    try:
        with write_errors_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            flush_to_disk(temporary)
            temporary.replace(path)
            flush_to_disk(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def write_errors_of(path: Path) -> Iterator[None]:
    """Let an `OSError` of the block name `path`: that of a full disk names no file."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path} could not be written: {error.strerror or error}") from error


def path_text(path: Path) -> str:
    """A path with forward slashes as text that can be encoded, also if its bytes are not UTF-8."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def check_not_folder(path: Path) -> None:
    """Raise `UserError` if the file `path`, which is to be written, is a folder."""
    if path.is_dir():
        raise UserError(f"{path} could not be written: there is a folder of that name")


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed processes left in `folder` (see `replacing`)."""
    for leftover in folder.glob(".*.tmp"):
        if re.fullmatch(r"\..+\.\d+\.tmp", leftover.name):
            leftover.unlink(missing_ok=True)


def try_lock(path: Path) -> FileLock | None:
    """Lock the file at `path`, which is created; None if any process has locked it.

    The lock is held until its `release` or the end of this process. The empty file stays: removing
    it while another process opens it would allow two locks of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def flush_to_disk(path: Path) -> None:
    """Return once the file or folder at `path` would survive a power cut."""
    is_folder = path.is_dir()
    if is_folder and not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file (UTF-8) with `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON file with `replacing`."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a JSON object; raises `UserError` if the file is missing or damaged."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({why_unreadable(path, error)})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} contains something other than a JSON object")
    return value


def why_unreadable(path: Path | str, error: Exception) -> str:
    """Why a file could not be read: what is in its place, or else what the system reports."""
    reason = error.strerror if isinstance(error, OSError) else None
    return placeholder_at(path) or reason or "it is damaged"


def placeholder_at(path: Path | str) -> str:
    """`placeholder_in` for the file at `path`; empty if the file cannot be opened."""
    try:
        with open(path, "rb") as file:
            return placeholder_in(file.read(512))
    except OSError:
        return ""


def placeholder_in(data: bytes) -> str:
    """What a failed download left in place of a file, as "it is ..."; empty for anything else."""
    begin = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        return "it is empty"
    if begin.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer in place of the file: fetch it with git lfs pull"
    if begin.startswith((b"<!doctype html", b"<html")):
        return "it is a web page in place of the file: a failed download?"
    return ""
