"""Files that a command writes for its user. A file that no command wrote, or that was changed
since, is not replaced unless the user says so."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from m2bert.base.errors import UserError
from m2bert.base.files import check_not_folder, flush_to_disk, try_lock

RECORD = ".m2bert_files"
"""The file of a folder that lists what commands wrote there: lines of SHA-256 and name, as
`sha256sum -c` reads them."""


@contextmanager
def output_files(
    folder: Path, names: Iterable[str] = (), overwrite: bool = False
) -> Iterator[Path]:
    """Yield an empty folder within `folder`, which is made if it is missing; the files written
    there are moved to `folder` at the end. If the block raises, none of them is.

    names: files that are to be written, as far as they are known before: what is wrong with them
    shows before the work, not after it.

    Raises `UserError` for a file that may not be replaced, `OSError` if the folder cannot be
    written or a name is too long for it.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder")
    _refuse([folder / name for name in names], folder, overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    except OSError as error:
        raise OSError(f"{folder} could not be written: {error.strerror or error}") from error
    lock = FileLock(temporary / _LOCK)
    try:
        with lock:
            for name in names:
                _check_name(temporary, folder, name)
            yield temporary
            written = [p.relative_to(temporary) for p in sorted(temporary.rglob("*"))]
            files = [p for p in written if (temporary / p).is_file() and p.name != _LOCK]
            _refuse([folder / file for file in files], folder, overwrite)
            _note(folder, temporary, files)  # before they are moved: a killed command knows its own
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (temporary / file).replace(folder / file)
            flush_to_disk(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_PREFIX, _LOCK = ".m2bert_tmp_", ".lock"


def _refuse(paths: list[Path], folder: Path, overwrite: bool) -> None:
    for path in paths:
        check_not_folder(path)
    if overwrite:
        return
    known = _noted(folder)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if path.exists() and f"{sha256(path)}  {name}" not in known:
            raise UserError(
                f"{path} was not written by this program, or was changed since: move it, choose "
                "another folder, or replace it with --overwrite"
            )


def _check_name(temporary: Path, folder: Path, name: str) -> None:
    try:
        (temporary / name).touch()
        (temporary / name).unlink()
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{folder / name} could not be written: {reason}") from error


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders of killed commands; those that are at work hold their lock."""
    for leftover in folder.glob(f"{_PREFIX}*"):
        if lock := try_lock(leftover / _LOCK):
            shutil.rmtree(leftover, ignore_errors=True)
            lock.release()


def _noted(folder: Path) -> set[str]:
    record = folder / RECORD
    if not record.exists():
        return set()
    return set(record.read_text(encoding="utf-8", errors="surrogateescape").splitlines())


def _note(folder: Path, temporary: Path, files: list[Path]) -> None:
    """Add files to the record. Earlier lines stay: they are right until the files are moved."""
    known = _noted(folder)
    lines = [f"{sha256(temporary / file)}  {file.as_posix()}" for file in files]
    with (folder / RECORD).open("a", encoding="utf-8", errors="surrogateescape") as record:
        record.writelines(f"{line}\n" for line in lines if line not in known)


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
