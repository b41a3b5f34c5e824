"""Output files of commands. A file that no command wrote, or that was changed since, is replaced
only with --overwrite."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from m2bert.base.errors import UserError
from m2bert.base.files import check_not_folder, try_lock

RECORD = ".m2bert_files"
"""The list of the files in a folder that commands wrote: lines of SHA-256 and name, as for
`sha256sum -c`."""

_PREFIX, _LOCK = ".m2bert_tmp_", ".lock"


@contextmanager
def output_files(
    folder: Path, names: Iterable[str] = (), overwrite: bool = False
) -> Iterator[Path]:
    """Yield an empty folder within `folder`, which is created if it is missing; at the end the
    files written there are moved to `folder`, or none of them if the block raises.

    names: of files that are checked before the block. Raises `UserError` for a file that may not be
    replaced, `OSError` if the folder cannot be written or a name is too long.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder")
    _check_replaceable([folder / name for name in names], folder, overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        made = TemporaryDirectory(prefix=_PREFIX, dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise OSError(f"{folder} could not be written: {error.strerror or error}") from error
    with made, FileLock(Path(made.name) / _LOCK):
        temporary = Path(made.name)
        for name in names:
            _check_name(temporary, folder, name)
        try:
            yield temporary
        except OSError as error:
            raise OSError(str(error).replace(str(temporary), str(folder))) from error
        written = [p.relative_to(temporary) for p in sorted(temporary.rglob("*"))]
        files = [p for p in written if (temporary / p).is_file() and p.name != _LOCK]
        _check_replaceable([folder / file for file in files], folder, overwrite)
        _record(folder, temporary, files)  # before the moves, in which it may be killed
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (temporary / file).replace(folder / file)


def _check_replaceable(paths: list[Path], folder: Path, overwrite: bool) -> None:
    for path in paths:
        check_not_folder(path)
    if overwrite:
        return
    known = _recorded(folder)
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
    """Remove the temporary folders of killed commands; running ones hold a lock."""
    for leftover in folder.glob(f"{_PREFIX}*"):
        if lock := try_lock(leftover / _LOCK):
            shutil.rmtree(leftover, ignore_errors=True)
            lock.release()


def _recorded(folder: Path) -> set[str]:
    record = folder / RECORD
    if not record.exists():
        return set()
    return set(record.read_text(encoding="utf-8", errors="surrogateescape").splitlines())


def _record(folder: Path, temporary: Path, files: list[Path]) -> None:
    """Add files to the record. Earlier lines stay valid until the files are moved."""
    known = _recorded(folder)
    lines = [f"{sha256(temporary / file)}  {file.as_posix()}" for file in files]
    with (folder / RECORD).open("a", encoding="utf-8", errors="surrogateescape") as record:
        record.writelines(f"{line}\n" for line in lines if line not in known)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
