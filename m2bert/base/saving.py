"""When a training saves its state: often, but for no more than a small fraction of its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST_TIME_SAVING = 0.05
"""The greatest fraction of a training's time that saving at the ends of epochs may take."""


class SaveTimer:
    """Measures how long saving takes, and how long ago it was."""

    def __init__(self) -> None:
        self._saved_at, self._took = time.monotonic(), 0.0

    def is_due(self, after: float | None = None) -> bool:
        """Whether the last saving was `after` seconds ago; None: so long ago that saving again
        takes at most `MOST_TIME_SAVING` of the time."""
        wait = self._took / MOST_TIME_SAVING if after is None else after
        return time.monotonic() - self._saved_at >= wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._saved_at = time.monotonic()
        self._took = self._saved_at - begun
