"""One process at a time makes an artifact; one run at a time works on a study."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path
from typing import IO

from fornix.errors import FornixError

_HELD: dict[Path, IO[str]] = {}
"""Locks of this process; the system releases them when it ends, however it ends."""

WARNING = (
    "this file system has no locks (NFS without lockd, Lustre without -o flock): nobody sees that "
    "two runs make the same artifact, so let one run at a time work here"
)


class NoLocksError(OSError):
    """The file system has no locks."""


def hold(path: Path) -> None:
    """Take an artifact for this process until it ends; wait while another one has it.

    The lock is the file ``.NAME.lock`` beside the artifact's folder. It stays there: deleting it
    could give two processes two files of one name. On file systems without locks nobody waits,
    and a line on stderr says so.

    Raises
    ------
    FornixError
        If another user's lock can't be opened.
    """
    path = path.absolute()
    if path in _HELD:
        return
    lock = path.with_name(f".{path.name}.lock")
    try:
        file = open_lock(lock)
    except OSError as error:
        if lock.exists():
            problem = f"another user's lock can't be opened: {error.strerror}"
            mend = "share a cache in a group: `chmod -R g+rwX`, and `umask 002` before each run"
            raise FornixError(problem, where=str(lock), mend=mend) from None
        return  # nothing can be written here: the artifact can't be made either
    try:
        if not take(file):
            print(f"waiting for another process that makes {path}", file=sys.stderr, flush=True)
            take(file, wait=True)
    except NoLocksError:
        file.close()
        print(f"{path.parent}: {WARNING}", file=sys.stderr, flush=True)
    else:
        _HELD[path] = file


def open_lock(path: Path) -> IO[str]:
    """Open the file of a lock, made if it isn't there; that of another user can be locked too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return path.open("a", encoding="utf-8")
    except PermissionError:  # reading is enough to lock, but for some file servers
        return path.open("r", encoding="utf-8")


def take(file: IO[str], *, wait: bool = False) -> bool:
    """Take a lock; return False if another process has it.

    Raises
    ------
    NoLocksError
        If the file system has none.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise NoLocksError(error.errno, error.strerror) from None
    return True


def refuse_second_run(path: Path, label: str) -> IO[str]:
    """Take the lock of a study; it is held as long as the file is open.

    Parameters
    ----------
    path
        The lock's file.
    label
        What the study's results are called.

    Raises
    ------
    FornixError
        If another run has it, or nothing can be written here.
    """
    try:
        file = open_lock(path)
    except OSError as error:
        problem = f"nothing can be written into the cache: {error.strerror}"
        mend = "let this user write there, or run where `cache/` is a folder of your own"
        raise FornixError(problem, where=str(path.parent.parent.absolute()), mend=mend) from None
    try:
        if take(file):
            return file
    except NoLocksError:
        print(f"{path.parent.parent}: {WARNING}", file=sys.stderr, flush=True)
        return file
    problem = f"another run is working on the study '{label}' in this folder"
    raise FornixError(problem, where=str(path), mend="wait for it, or stop it")
