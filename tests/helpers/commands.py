"""Running commands."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from m2bert.base.errors import run_command
from tests.helpers.shared import REPOSITORY

ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(REPOSITORY),
}

ONE_THREAD = ENVIRONMENT | {"OMP_NUM_THREADS": "1"}


def call(*words: object, **options) -> subprocess.CompletedProcess:
    """Run a command line in the repository, or elsewhere with `cwd`."""
    options = {"cwd": REPOSITORY, "env": ENVIRONMENT, "timeout": 300} | options
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)


def run(*words: object, **options) -> subprocess.CompletedProcess:
    """Run `python WORDS`, otherwise as `call`."""
    return call(sys.executable, *words, **options)


def run_well(*words: object, **options) -> str:
    """Run a command that must succeed; returns its output."""
    done = run(*words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def call_main(main: Callable, *words: object) -> int | None:
    """Call a command's `main` in this process with a command line; returns its status."""
    with patch.object(sys, "argv", ["command", *map(str, words)]):
        return main()


def run_here(main: Callable, *words: object) -> subprocess.CompletedProcess:
    """Run a command's `main` in this process, which saves the start of another."""
    output, errors = StringIO(), StringIO()
    with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as end:
        run_command(partial(call_main, main, *words))
    return subprocess.CompletedProcess(words, end.value.code, output.getvalue(), errors.getvalue())


def run_here_well(main: Callable, *words: object) -> str:
    """Run a command in this process that must succeed; returns its output."""
    done = run_here(main, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processes_with(text: object, file: str = "cmdline") -> list[Path]:
    """The files of this name in /proc that contain a text, without that of this process."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with suppress(OSError):  # the process has ended
            if path.parent.name != str(os.getpid()) and str(text).encode() in path.read_bytes():
                found.append(path)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
