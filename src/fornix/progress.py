"""Progress of long work: one line on stderr every few seconds, in logs as on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 5.0


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items; say how far the work is when it takes longer than a few seconds.

    Parameters
    ----------
    items
        What is worked on, one at a time.
    what
        A noun for the line, such as ``"folds"``.
    total
        How many there are, if the iterable can't tell.
    """
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= INTERVAL_S and done:
            last = now
            rate = done / (now - start)
            of = f"/{total}, {(total - done) / rate:.0f} s left" if total else ""
            print(f"{what}: {done}{of} ({rate:.3g}/s)", file=sys.stderr, flush=True)
        yield item
