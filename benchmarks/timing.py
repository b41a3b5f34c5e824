"""How the benchmarks take times."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

RUNS = 3


def median_seconds(step: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The median over `RUNS` runs of how long a step takes, after one that does not count.

    Returns seconds of one of the `repeats` of a run, and the step's last result.
    """
    result = step()
    seconds = []
    for _ in range(RUNS):
        begin = perf_counter()
        for _ in range(repeats):
            result = step()
        seconds.append((perf_counter() - begin) / repeats)
    return median(seconds), result
