"""Ctrl-C and a scheduler's SIGTERM as a request, so that a run stops between two steps."""

import os
import signal
import time

SECONDS_OF_ONE_REQUEST = 3
"""A launcher passes on the signal that its processes have got already: that is no second one."""


class Stop:
    """While entered, a signal asks for a stop; a later one ends the process at once.

    `signal` is the number of the signal that asked, 0 before.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._asked_at = 0.0

    def __enter__(self) -> "Stop":
        self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        if not self.signal:
            self.signal, self._asked_at = number, time.monotonic()
            os.write(2, b"\nstopping after the step under way; once more stops at once\n")
        elif time.monotonic() - self._asked_at > SECONDS_OF_ONE_REQUEST:
            raise KeyboardInterrupt
