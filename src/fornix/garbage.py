"""When Python looks for garbage among its objects.

The libraries that a process of ours imports are hundreds of thousands of objects, which live until
it ends. Python walks through all of them as they become more, and again at the end, when the system
takes everything back anyway: a fifth of a short job's time, a third of that of a run which finds
nothing to do.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unsought() -> Iterator[None]:
    """Look for none in the block; what it makes is taken for needed to the end, as modules are."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def look_seldom() -> None:
    """Look for it only after 100,000 new objects; by default, after 700.

    For Snakemake, which makes hundreds of objects a job and drops none. What computes should look
    as often as by default: small objects in circles can hold large arrays.
    """
    gc.set_threshold(100_000, 20, 100)


def spare_the_end() -> None:
    """Don't look for it when the process ends.

    For processes of ours: a file that is still open for writing then may lose its end.
    """
    atexit.register(gc.freeze)
