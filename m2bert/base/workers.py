"""A pool of worker processes in which a bad item costs no other item's result.

In the pools of the standard library all work is lost when one worker dies, and a worker that hangs
is waited for without end. Damaged MIDI files make parsers do both.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

DIED = "worker died"
TIMED_OUT = "took too long"
RAISED = "worker failed"

_ITEMS_AHEAD = 32  # for each worker


@dataclass(frozen=True)
class WorkerFailure:
    """What an item without a result gives: `reason` is one of the constants above."""

    reason: str
    detail: str


def map_in_processes(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, timeout_s: float
) -> Generator[Any, None, None]:
    """Yield `function(item)` for each item, in their order, computed in `workers` processes.

    `function` must be importable by name, items and results picklable. An item whose worker raised
    an exception, died, or took more than `timeout_s` seconds yields a `WorkerFailure`; a worker
    that died or took too long is replaced. Memory does not grow with the number of items. The
    workers end when the generator is closed or exhausted and when this process ends, even if it is
    killed. Only this process gets Ctrl-C.

    Raises `RuntimeError` if workers do not start.
    """
    pool = _Pool(function, timeout_s)
    threads = ThreadPoolExecutor(max(workers, 1), initializer=_block_interrupts)
    begun: deque[Future] = deque()
    try:
        for item in items:
            begun.append(threads.submit(pool.compute, item))
            if len(begun) >= _ITEMS_AHEAD * workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        pool.kill()
        threads.shutdown()
        for process in pool.processes:
            process.join()


class _Pool:
    """Worker processes, each used by one thread."""

    def __init__(self, function: Callable[[Any], Any], timeout_s: float) -> None:
        self.function, self.timeout_s = function, timeout_s
        self.context = multiprocessing.get_context("spawn")
        self.own = threading.local()
        self.processes: list[Any] = []
        self.was_killed = False

    def compute(self, item: Any) -> Any:
        """The result of an item, computed by the process of this thread."""
        if not getattr(self.own, "process", None):
            self.start()
        try:
            self.own.connection.send(item)
            if self.own.connection.poll(self.timeout_s):
                return self.own.connection.recv()
        except (EOFError, OSError):
            return WorkerFailure(DIED, self.end_own())
        self.own.process.kill()
        self.end_own()
        return WorkerFailure(TIMED_OUT, f"more than {self.timeout_s:g} s")

    def start(self) -> None:
        self.own.connection, other_end = self.context.Pipe()
        arguments = (self.function, other_end)
        self.own.process = self.context.Process(target=_serve, args=arguments, daemon=True)
        self.own.process.start()
        self.processes.append(self.own.process)
        other_end.close()
        if self.was_killed:
            self.own.process.kill()
        try:
            self.own.connection.recv()  # the time that the start takes does not count
        except (EOFError, OSError):
            raise RuntimeError(f"worker processes do not start ({self.end_own()})") from None

    def end_own(self) -> str:
        """Release the process of this thread, which has died or is about to; returns how."""
        process, self.own.process = self.own.process, None
        process.join()
        self.own.connection.close()
        self.processes.remove(process)
        status = process.exitcode
        return f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"

    def kill(self) -> None:
        self.was_killed = True
        for process in list(self.processes):
            process.kill()


def _block_interrupts() -> None:
    """Leave Ctrl-C to the main thread; processes that this thread starts inherit that."""
    if hasattr(signal, "pthread_sigmask"):  # on Windows nothing is inherited
        # The first start would also start multiprocessing's tracker, which unblocks it again.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    """The main function of a worker: report the start, then send the result of each item."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows too
    end_with_parent()
    with suppress(EOFError, ConnectionError):  # the parent was killed
        connection.send("up")
        while True:
            item = connection.recv()
            try:
                answer = function(item)
            except Exception as error:
                answer = WorkerFailure(RAISED, f"{type(error).__name__}: {error}")
            connection.send(answer)


def end_with_parent() -> None:
    """Let this process, which `multiprocessing` has started, end when its parent does, even if
    that is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a worker

    def wait_and_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()
