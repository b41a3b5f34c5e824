"""A pool of worker processes in which a bad item costs no other item's result.

In the pools of the standard library all work is lost when one worker dies, and a worker that hangs
is waited for without end. Damaged MIDI files make parsers do both.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any

DIED = "worker died"
TIMED_OUT = "took too long"
RAISED = "worker failed"

# How many items may be begun, for each worker, while the result of an earlier one is awaited.
_WINDOW_PER_WORKER = 32

_STARTED = object()


@dataclass(frozen=True)
class WorkerFailure:
    """What an item without a result gives: `reason` is one of the constants above."""

    reason: str
    detail: str


def map_in_processes(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, timeout_s: float
) -> Generator[Any, None, None]:
    """Yield `function(item)` for each item, in the order of the items, computed in `workers`
    processes.

    `function` must be importable by name, items and results picklable. An item whose worker raised
    an exception, died, or took more than `timeout_s` seconds yields a `WorkerFailure`; a worker
    that died or took too long is replaced. Memory does not grow with the number of items. The
    workers end when the generator is closed or exhausted and when this process ends, even if it is
    killed. Only this process gets Ctrl-C.

    Raises `RuntimeError` if workers do not start.
    """
    items = iter(items)
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    results: dict[int, Any] = {}
    taken = given = 0
    try:
        while True:
            while given in results:
                yield results.pop(given)
                given += 1
            window_left = given + _WINDOW_PER_WORKER * workers - taken
            for item in islice(items, min(workers - len(busy), window_left)):
                busy.append(idle.pop() if idle else _Worker(function))
                busy[-1].give(taken, item)
                taken += 1
            if given == taken:
                return
            longest = max(worker.seconds() for worker in busy)
            ready = wait([worker.connection for worker in busy], max(0.0, timeout_s - longest))
            for worker in list(busy):
                if worker.connection in ready:
                    answer = worker.receive()
                elif worker.seconds() > timeout_s:
                    answer = WorkerFailure(TIMED_OUT, f"more than {timeout_s:g} s")
                    worker.end()
                else:
                    continue
                if answer is not _STARTED:
                    results[worker.index] = answer
                    busy.remove(worker)
                    idle += [worker] * (not worker.has_ended)
    finally:
        for worker in busy + idle:
            worker.end()


class _Worker:
    """A process that works on one item at a time."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, other_end), daemon=True)
        with _interrupts_delayed():
            self.process.start()
        other_end.close()
        self.has_started = self.has_ended = False

    def give(self, index: int, item: Any) -> None:
        self.index, self.since = index, monotonic()
        with suppress(BrokenPipeError):  # it has just died, which `receive` will find
            self.connection.send(item)

    def seconds(self) -> float:
        """How long it has been working on its item, without the time of its start."""
        return monotonic() - self.since if self.has_started else 0.0

    def receive(self) -> Any:
        """The result of its item, or that it died; `_STARTED` if that is what it reports."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            status = self.process.exitcode
            assert status is not None  # it was waited for
            is_signal = status < 0
            how = (
                f"by {signal.Signals(-status).name}" if is_signal else f"with exit status {status}"
            )
            self.end()
            if not self.has_started:
                raise RuntimeError(f"worker processes do not start ({how})") from None
            return WorkerFailure(DIED, how)
        if self.has_started:
            return answer
        self.has_started, self.since = True, monotonic()
        return _STARTED

    def end(self) -> None:
        self.has_ended = True
        self.process.kill()
        self.process.join()
        self.connection.close()


@contextmanager
def _interrupts_delayed() -> Iterator[None]:
    """Ctrl-C, which on a terminal reaches all processes, waits until the end of the block; a
    process that is started in the block never gets it, as it inherits what is blocked."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows nothing is inherited
        yield
        return
    # The first start would also start multiprocessing's tracker, which unblocks it again.
    resource_tracker.ensure_running()
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


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
