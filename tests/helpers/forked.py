"""Commands in processes that start fast, as forks of a process that has imported everything."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess

import torch

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["m2bert.pretrain", "m2bert.finetune", "tests.conftest"])


def start(main: Callable, *words: object, **variables: object) -> ForkServerProcess:
    """Start a command, a function that must be importable by name, with environment variables."""
    process = CONTEXT.Process(target=_run, args=(main, list(map(str, words)), variables))
    process.start()
    return process


def run_two(main: Callable, *words: object) -> None:
    """Run a command in two connected processes, as torchrun does."""
    with socket.create_server(("localhost", 0)) as server:
        place = {"MASTER_ADDR": "localhost", "MASTER_PORT": server.getsockname()[1]}
    variables = place | {"WORLD_SIZE": 2}
    both = [start(main, *words, **variables, RANK=rank, LOCAL_RANK=rank) for rank in (0, 1)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0


def kill(process: ForkServerProcess, number: int = signal.SIGKILL) -> None:
    """Send a signal, and wait for the end of the process."""
    if process.is_alive():
        os.kill(process.pid, number)
    process.join()


def _run(main: Callable, words: list[str], variables: dict[str, object]) -> None:
    torch.set_num_threads(1)
    os.environ.update({name: str(value) for name, value in variables.items()})
    sys.argv = ["command", *words]
    sys.exit(main() or 0)
