"""Commands in processes that start fast, as forks of a process that has imported everything."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess

import torch

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["m2bert.pretrain", "m2bert.finetune", "tests.conftest"])


def start(main: Callable, *words: object, prepare: Callable[[], object] = int) -> ForkServerProcess:
    """Start a command; both functions must be importable by name. `prepare` is called before."""
    process = CONTEXT.Process(target=_run, args=(main, list(map(str, words)), prepare))
    process.start()
    return process


def kill(process: ForkServerProcess, number: int = signal.SIGKILL) -> None:
    """Send a signal, and wait for the end of the process."""
    if process.is_alive():
        os.kill(process.pid, number)
    process.join()


def _run(main: Callable, words: list[str], prepare: Callable[[], object]) -> None:
    torch.set_num_threads(1)
    prepare()
    sys.argv = ["command", *words]
    sys.exit(main() or 0)
