"""How far a long loop has come: a progress bar on a terminal, elsewhere a line per minute."""

import os
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60

T = TypeVar("T")


class Progress:
    """The progress of a loop over `total` batches, of which `done` are done already."""

    def __init__(self, title: str, total: int, done: int = 0):
        self.title, self.total, self.done = title, total, done
        hidden = "TQDM_DISABLE" in os.environ or None  # None: hidden unless on a terminal
        style = {"leave": False, "ncols": 80, "smoothing": 0}
        self._bar = tqdm(desc=title, total=total, initial=done, disable=hidden, **style)
        self._first, self._begun = done, time.monotonic()
        self._printed_at = self._begun

    def step(self) -> None:
        self.done += 1
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._printed_at >= SECONDS_BETWEEN_LINES:
            self._printed_at = now
            seconds = (now - self._begun) / (self.done - self._first) * (self.total - self.done)
            left = tqdm.format_interval(seconds)
            print(f"{self.title}: batch {self.done:,} of {self.total:,}, {left} left", flush=True)

    def close(self) -> None:
        self._bar.close()


def show_progress(items: Iterable[T], title: str, total: int, done: int = 0) -> Iterator[T]:
    """Yield the items and show the progress."""
    progress = Progress(title, total, done)
    try:
        for item in items:
            yield item
            progress.step()
    finally:
        progress.close()
