"""Who made an artifact, when, where, at what cost."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import fornix
from fornix import gpus


class Meter:
    """Measures a stage from its start to :meth:`record`."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._started = datetime.now(UTC)

    def record(self) -> dict[str, Any]:
        """Return the provenance: time stamps (UTC), costs, host, versions of fornix."""
        return {
            "started": self._started.isoformat(timespec="seconds"),
            "wall_s": round(time.perf_counter() - self._wall, 3),
            "cpu_s": round(time.process_time() - self._cpu, 3),
            "gpus": gpus.lent(),
            "peak_memory_mb": round(peak_memory_kib() / 1024, 1),
            "host": platform.node(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "fornix": fornix.__version__,
            "commit": git_commit(),
        }


def peak_memory_kib() -> int:
    """Return the most memory that this process has had, KiB.

    ``ru_maxrss`` also counts what the parent had when it started this process; the kernel's own
    high-water mark of the address space doesn't.
    """
    try:
        with Path("/proc/self/status").open(encoding="ascii") as lines:
            mark = next(line for line in lines if line.startswith("VmHWM:"))
        return int(mark.split()[1])
    except (OSError, StopIteration, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@cache
def git_commit() -> str:
    """Return the commit of the working directory's repository, ``+`` if it has changes."""
    try:
        call = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        found = subprocess.run(call, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
