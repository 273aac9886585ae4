"""Progress of long work: one line on stderr every few seconds, in logs as on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

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


class Bar:
    """Progress of work that is counted in rows: how many, how fast, how long still, how busy.

    Parameters
    ----------
    what
        What is counted, such as ``"vit: rows"``.
    total
        How many there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what = what
        self.total = total
        self.done = self.first = 0
        self._start = self._last = time.monotonic()
        self._cpu = self._cpu_last = time.process_time()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last > self._start:  # something was said: say that it ended
            self._say()

    def begin(self, done: int) -> None:
        """Start counting, after rows that were done before."""
        self.done = self.first = done
        self._start = self._last = time.monotonic()
        self._cpu = self._cpu_last = time.process_time()

    def advance(self, rows: int) -> None:
        """Count rows that are done; say so every few seconds."""
        self.done += rows
        if time.monotonic() - self._last >= INTERVAL_S:
            self._say()

    def use(self) -> dict[str, float]:
        """Return the processors' use since the start: ``cpu`` in cores, ``gpu`` in GB (peak)."""
        wall = max(time.monotonic() - self._start, 1e-9)
        found = {"cpu_cores": round((time.process_time() - self._cpu) / wall, 2)}
        cuda = _cuda()
        return found | ({"gpu_peak_gb": cuda.max_memory_allocated() / 1e9} if cuda else {})

    def _say(self) -> None:
        now, cpu = time.monotonic(), time.process_time()
        rate = (self.done - self.first) / max(now - self._start, 1e-9)
        left = f"{(self.total - self.done) / rate:.0f} s left" if rate else "waiting"
        cores = (cpu - self._cpu_last) / max(now - self._last, 1e-9)
        busy = f"CPU {100 * cores:.0f} %"
        if (cuda := _cuda()) is not None:
            busy += f", GPU {_percent(cuda)}{cuda.memory_allocated() / 1e9:.1f} GB"
        print(
            f"{self.what} {self.done}/{self.total}, {rate:.3g}/s, {left}, {busy}",
            file=sys.stderr,
            flush=True,
        )
        self._last, self._cpu_last = now, cpu


def _cuda() -> Any:
    """Return ``torch.cuda`` if this process uses it; torch is never imported for it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _percent(cuda: Any) -> str:
    try:
        return f"{cuda.utilization()} %, "
    except Exception:  # needs NVIDIA's management library, which not every machine has
        return ""
