"""Ctrl-C and SIGTERM (from a cluster's scheduler) as a request to stop between two steps."""

import os
import signal
import threading
import time

SECONDS_OF_ONE_REQUEST = 3
"""Further signals within so many seconds belong to the same request: Ctrl-C on a terminal reaches
`torchrun` and its processes, and `torchrun` then passes it on to them once more."""


SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}
"""The signals that ask a run to stop; SIGBREAK exists on Windows only."""


class Stop:
    """A context in which the first signal is noted, and a later one raises `KeyboardInterrupt`.

    `signal` is the number of the first signal; 0 as long as there was none.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._asked_at = 0.0

    def __enter__(self) -> "Stop":
        # signals reach the main thread alone
        in_main_thread = threading.current_thread() is threading.main_thread()
        heard = SIGNALS if in_main_thread else set()
        self._before = {n: signal.signal(n, self._ask) for n in heard}
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
