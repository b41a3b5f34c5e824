"""How the benchmarks measure time."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

RUNS = 3


def median_seconds(step: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The median duration of a step over `RUNS` runs of `repeats` steps each, after one step for
    warming up, and the result of the last step."""
    result = step()
    seconds = []
    for _ in range(RUNS):
        begin = perf_counter()
        for _ in range(repeats):
            result = step()
        seconds.append((perf_counter() - begin) / repeats)
    return median(seconds), result
