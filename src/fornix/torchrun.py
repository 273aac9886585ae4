"""What torchrun tells a process that it has started, without torch."""

from __future__ import annotations

import os


def started() -> bool:
    """Tell whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def first() -> bool:
    """Tell whether this process is the one that writes."""
    return not started() or os.environ["RANK"] == "0"


def nodes() -> tuple[int, int]:
    """Return how many nodes there are, and processes on each."""
    each = int(os.environ["LOCAL_WORLD_SIZE"])
    return int(os.environ["WORLD_SIZE"]) // each, each


def end_all_but_the_first() -> None:
    """End a process whose share of the job is done: what follows is the first one's alone."""
    if not first():
        raise SystemExit(0)
