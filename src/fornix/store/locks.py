"""One process at a time makes an artifact."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path
from typing import IO

_HELD: dict[Path, IO[str]] = {}
"""Locks of this process; the system releases them when it ends, however it ends."""


def hold(path: Path) -> None:
    """Take an artifact for this process until it ends; wait while another one has it.

    The lock is the file ``.NAME.lock`` beside the artifact's folder. It stays there: deleting it
    could give two processes two files of one name. On file systems without locks nobody waits.
    """
    path = path.absolute()
    if path in _HELD:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("a")
    except OSError:  # read-only: nobody can make the artifact here
        return
    try:
        _lock(file, path)
    except OSError:  # a file system without locks
        file.close()
    else:
        _HELD[path] = file


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another process that makes {path}", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
