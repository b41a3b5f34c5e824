"""Makes Linux behave as Windows where the two differ; Python imports it at its start.

The modules of this project see `os`, `signal` and `mmap` without what Windows lacks. Libraries keep
it: on Windows they run other code of their own.
"""

import builtins
import errno
import fcntl
import mmap
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

PROJECT = ("m2bert", "data_creation")
NO_MODULES = ("fcntl", "grp", "posix", "pwd", "resource", "termios")


def without(module: ModuleType, *names: str) -> ModuleType:
    lesser = ModuleType(module.__name__)
    vars(lesser).update({n: v for n, v in vars(module).items() if n not in names})
    return lesser


SEEN = {
    "mmap": without(mmap, *(name for name in vars(mmap) if name.startswith("MADV"))),
    "os": without(os, "O_DIRECTORY", "fork", "forkpty", "killpg", "register_at_fork", "setsid"),
    "signal": without(signal, "SIGHUP", "SIGKILL", "SIG_BLOCK", "SIG_SETMASK", "pthread_sigmask"),
}


def import_as_on_windows(name, globals=None, *rest, **more):
    if globals and str(globals.get("__package__")).split(".")[0] in PROJECT:
        if name in NO_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in SEEN:
            return SEEN[name]
    return import_(name, globals, *rest, **more)


def open_file(path, flags, *rest):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "folders cannot be opened", path)
    return os.open(path, flags, *rest)


def flush(descriptor):
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "only what is open for writing can be flushed")
    os.fsync(descriptor)


def refuse_open_files(event, arguments):
    """No file that this process has open or mapped can be removed, replaced or moved."""
    if event not in ("os.rename", "os.remove") or not sys.modules.keys() & set(PROJECT):
        return
    lines = Path("/proc/self/maps").read_text().splitlines()
    in_use = {line.split(maxsplit=5)[-1] for line in lines}
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed by now
            in_use.add(os.readlink(descriptor))
    for path in arguments[: 2 if event == "os.rename" else 1]:
        if os.path.abspath(os.fsdecode(path)) in in_use:
            raise PermissionError(errno.EACCES, "the file is in use", path)


import_, builtins.__import__ = builtins.__import__, import_as_on_windows
SEEN["os"].open, SEEN["os"].fsync = open_file, flush
sys.addaudithook(refuse_open_files)
multiprocessing.set_start_method("spawn")
