"""A pool of worker processes in which a bad item costs no other item's result.

In the pools of the standard library all work is lost when one worker dies, and a worker that hangs
is waited for without end. Damaged MIDI files make parsers do both.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
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

# So a worker has its next item already when it has sent a result.
_ITEMS_AT_A_WORKER = 2
# How many items may be begun, for each worker, while the result of an earlier one is awaited.
_WINDOW_PER_WORKER = 32


@dataclass(frozen=True)
class WorkerFailure:
    """What an item without a result gives: `reason` is one of the constants above."""

    reason: str
    detail: str


def map_in_processes(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, timeout_s: float
) -> Generator[Any, None, None]:
    """Yield `function(item)` for each item, in the order of the items, computed by that many
    `workers`.

    `function` must be importable by name, items and results picklable. An item whose worker raised
    an exception, died, or took more than `timeout_s` seconds yields a `WorkerFailure`; a worker
    that died or took too long is replaced. Memory does not grow with the number of items. The
    workers end when the generator is closed or exhausted and when this process ends, even if it is
    killed. Only this process gets Ctrl-C.

    Raises `RuntimeError` if workers do not start.
    """
    items = iter(items)
    waiting: deque[tuple[int, Any]] = deque()
    pool: list[_Worker] = []
    results: dict[int, Any] = {}
    taken = given = 0
    try:
        while True:
            while given in results:
                yield results.pop(given)
                given += 1
            for item in islice(items, given + _WINDOW_PER_WORKER * workers - taken):
                waiting.append((taken, item))
                taken += 1
            if given == taken:
                return
            _hand_out(waiting, pool, workers, function)
            connections = [worker.connection for worker in pool]
            ready = wait(connections, _seconds_to_deadline(pool, timeout_s))
            for worker in list(pool):
                failure = None
                if worker.connection in ready:
                    failure = worker.receive(results)
                elif worker.busy_seconds() > timeout_s:
                    failure = WorkerFailure(TIMED_OUT, f"more than {timeout_s:g} s")
                if failure is not None:
                    pool.remove(worker)
                    worker.end()
                    waiting.extendleft(reversed(worker.blame(failure, results)))
    finally:
        for worker in pool:
            worker.end()


def _hand_out(
    waiting: deque[tuple[int, Any]],
    pool: list["_Worker"],
    workers: int,
    function: Callable[[Any], Any],
) -> None:
    while waiting:
        worker = min(pool, key=lambda candidate: len(candidate.items), default=None)
        if worker is None or (worker.items and len(pool) < workers):
            worker = _Worker(function)
            pool.append(worker)
        elif len(worker.items) == _ITEMS_AT_A_WORKER:
            return
        worker.give(*waiting.popleft())


def _seconds_to_deadline(pool: list["_Worker"], timeout_s: float) -> float:
    return max(0.0, timeout_s - max(worker.busy_seconds() for worker in pool))


class _Worker:
    """A process and the items that were sent to it; it is working on the first of them."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, other_end), daemon=True)
        with _interrupts_delayed():
            self.process.start()
        other_end.close()
        self.items: deque[tuple[int, Any]] = deque()
        self.is_up = False
        self._since = monotonic()

    def give(self, index: int, item: Any) -> None:
        if not self.items:
            self._since = monotonic()
        self.items.append((index, item))
        with suppress(BrokenPipeError):  # it has just died, which `receive` will find
            self.connection.send(item)

    def receive(self, results: dict[int, Any]) -> WorkerFailure | None:
        """Put the result of the first item into `results`; a failure if the worker has died."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            if not self.is_up:
                raise RuntimeError(
                    f"worker processes do not start ({self._how_it_ended()})"
                ) from None
            return WorkerFailure(DIED, self._how_it_ended())
        if self.is_up:
            index, _ = self.items.popleft()
            results[index] = answer
        self.is_up = True
        self._since = monotonic()
        return None

    def busy_seconds(self) -> float:
        """How long the worker has been working on its first item, without its start."""
        return monotonic() - self._since if self.is_up and self.items else 0.0

    def blame(self, failure: WorkerFailure, results: dict[int, Any]) -> list[tuple[int, Any]]:
        """Make `failure` the result of the first item; return the items that were not begun."""
        if self.items:
            index, _ = self.items.popleft()
            results[index] = failure
        return list(self.items)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _how_it_ended(self) -> str:
        status = self.process.exitcode
        assert status is not None  # it was waited for
        return f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"


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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent was killed
        connection.send("up")
        while True:
            connection.send(_answer(function, connection.recv()))


def _answer(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except Exception as error:
        return WorkerFailure(RAISED, f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a worker
    parent.join()
    os._exit(1)
