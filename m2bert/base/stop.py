"""Ctrl-C and SIGTERM (from a cluster's scheduler) as a request to stop between two steps."""

import os
import signal
import threading
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals that ask a run to stop."""

SECONDS_OF_ONE_REQUEST = 3
"""Further signals within so many seconds belong to the same request: Ctrl-C on a terminal reaches
`torchrun` and its processes, and `torchrun` then sends it to them once more."""


class Stop:
    """A context in which the first signal is noted, as `signal` (0 without one), and a later one
    raises `KeyboardInterrupt`."""

    def __init__(self) -> None:
        self.signal = 0
        self._asked_at = 0.0

    def __enter__(self) -> "Stop":
        # only the main thread gets signals
        in_main_thread = threading.current_thread() is threading.main_thread()
        numbers = SIGNALS if in_main_thread else ()
        self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        if not self.signal:
            self.signal, self._asked_at = number, time.monotonic()
            os.write(2, b"\nstopping after the current step; a second signal stops at once\n")
        elif time.monotonic() - self._asked_at > SECONDS_OF_ONE_REQUEST:
            raise KeyboardInterrupt
