"""A pool in which workers die, hang, fail and are interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from m2bert.base.workers import DIED, RAISED, TIMED_OUT, WorkerFailure, map_in_processes
from tests.helpers.commands import processes_with, wait_until
from tests.helpers.shared import REPOSITORY


def act(item):
    """Square a number, or perform the action of a word."""
    match item:
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(60)
        case "raise":
            raise ValueError("no such thing")
        case "large":
            return b"x" * 1_000_000
        case _:
            return item * item


def run(items, workers=2, timeout_s=30.0):
    return list(map_in_processes(act, items, workers, timeout_s))


def test_map_in_processes_keeps_the_order_of_the_items():
    assert run([]) == []
    assert run(range(300), 3) == [number * number for number in range(300)]
    assert len(run(["large"], 1)[0]) == 1_000_000


def test_map_in_processes_survives_bad_items():
    items = [1, "exit", 2, "kill", "crash", 3, "raise", "hang", 4, 5, "exit", 6]
    outcome = dict(zip(items, run(items, timeout_s=2.0), strict=True))
    failures = {item: outcome.pop(item) for item in set(items) if isinstance(item, str)}
    assert outcome == {number: number * number for number in range(1, 7)}
    assert failures == {
        "exit": WorkerFailure(DIED, "with exit status 3"),
        "kill": WorkerFailure(DIED, "by SIGKILL"),
        "crash": WorkerFailure(DIED, "by SIGSEGV"),
        "raise": WorkerFailure(RAISED, "ValueError: no such thing"),
        "hang": WorkerFailure(TIMED_OUT, "more than 2 s"),
    }


def test_map_in_processes_does_not_time_a_slow_consumer():
    results = []
    for result in map_in_processes(act, range(6), 1, 2.0):
        results.append(result)
        time.sleep(0.5)
    assert results == [0, 1, 4, 9, 16, 25]


def test_map_in_processes_takes_few_items_ahead():
    items = iter(range(10_000))
    results = map_in_processes(act, items, 2, 30.0)
    for _ in range(10):
        next(results)
    results.close()
    assert next(items) < 100


class CannotStart:
    """Unpickled, it ends the process."""

    def __reduce__(self):
        return os._exit, (7,)


def test_map_in_processes_raises_if_workers_do_not_start():
    with pytest.raises(RuntimeError, match="exit status 7"):
        list(map_in_processes(CannotStart(), [1, 2], 2, 30.0))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("send", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, send):
    marker = f"POOL_TEST={tmp_path}"
    code = (
        "from tests.base.test_workers import act\n"
        "from m2bert.base.workers import map_in_processes\n"
        "for result in map_in_processes(act, [1, 'hang', 'hang'], 2, 60.0):\n"
        "    print(result, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "POOL_TEST": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "1\n"
    # a terminal's Ctrl-C goes to the whole group
    (os.killpg if send == signal.SIGINT else os.kill)(process.pid, send)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    # the parent's own, none of a worker
    assert errors.count("Traceback") == (send == signal.SIGINT)
    wait_until(lambda: not processes_with(marker, "environ"))
