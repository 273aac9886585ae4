"""What the benchmarks share: the best of several runs, and the line that says it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def best(call: Callable[[], Any], repeats: int = 3) -> float:
    """Return the shortest of several wall times, s: what the machine does when left alone."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def say(what: str, value: float, unit: str, goal: float, *, at_least: bool = False) -> None:
    """Print one figure and whether it reaches its goal."""
    reached = value >= goal if at_least else value <= goal
    sign = ">=" if at_least else "<="
    print(f"bench {what} {value:.3g} {unit} goal {sign}{goal:g} {'ok' if reached else 'short'}")
