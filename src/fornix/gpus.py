"""GPUs of this machine, lent to one job at a time.

A job that is about to use a GPU takes a lease: a lock on a file of a folder that all processes of
the machine share. The system frees it when the process (and those forked from it) has ended,
however it ended. The lease's cards are the only ones that CUDA shows the process, so it must be
taken before torch looks for one. Under Slurm nothing is lent: Slurm has done it. Nor is anything
to processes that torchrun has started.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from fornix.errors import FornixError
from fornix.study.compute import Compute
from fornix.torchrun import started

CARDS = "FORNIX_GPUS"
"""Names of the cards to lend, as CUDA_VISIBLE_DEVICES takes them: ``0,1``; ``none``: no card."""

FOLDER = "FORNIX_GPU_LOCKS"
SHOWN = "CUDA_VISIBLE_DEVICES"
WAIT_S = 0.2

_HELD: list[Lease] = []
"""The lease of this process, if it has one."""


class Lease:
    """Cards that nobody else has, or at most as many jobs as were agreed to.

    Parameters
    ----------
    cards
        Their names.
    files
        Open files that hold the locks.
    """

    def __init__(self, cards: Sequence[str], files: Sequence[IO[str]]) -> None:
        self.cards = tuple(cards)
        self._files = tuple(files)
        self._before = os.environ.get(SHOWN)

    def show(self) -> None:
        """Let CUDA see these cards alone."""
        os.environ[SHOWN] = ",".join(self.cards)

    def release(self) -> None:
        """Give the cards back before the process ends."""
        for file in self._files:
            file.close()
        if self._before is None:
            os.environ.pop(SHOWN, None)
        else:
            os.environ[SHOWN] = self._before


def lease(resources: Compute, count: int = 1) -> None:
    """Make sure that this process sees its own GPUs alone; wait until they are free.

    Parameters
    ----------
    resources
        ``device: cpu`` leases nothing; ``gpu_jobs`` says how many jobs may share a card.
    count
        Cards that the process needs.

    Raises
    ------
    FornixError
        If the machine has fewer cards than that.
    """
    if resources.device == "cpu" or (_HELD and len(_HELD[0].cards) >= count):
        return
    if _HELD:  # more than before: give back first, so that no two jobs wait for each other
        _HELD.pop().release()
    if started():  # its processes would wait for each other's cards; it says which is whose
        return
    if "SLURM_JOB_ID" in os.environ and CARDS not in os.environ:
        # A job that didn't ask for a GPU mustn't take another job's, even where it could see it.
        if cards := _split(os.environ.setdefault(SHOWN, "")):
            _HELD.append(Lease(cards[:count], ()))
        return
    cards = cards_of(os.environ)
    if not cards:
        return
    if count > len(cards):
        problem = f"{count} GPUs are asked for, and there are {len(cards)}: {', '.join(cards)}"
        mend = f"set compute.devices to {len(cards)} or fewer"
        raise FornixError(problem, where="compute.devices", mend=mend)
    _HELD.append(take(cards, count, resources.gpu_jobs, folder_of(os.environ)))
    _HELD[0].show()


def lent() -> int:
    """Return how many GPUs the job has: this process, and those beside it that torchrun started."""
    if started():
        return int(os.environ["WORLD_SIZE"]) if cards_of(os.environ) else 0
    return len(_HELD[0].cards) if _HELD else 0


def cards_of(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the cards that may be lent, none where there is no driver.

    ``FORNIX_GPUS`` names them; otherwise those that the driver lists, as far as
    ``CUDA_VISIBLE_DEVICES`` shows them. Names are UUIDs where possible: two ways to count the
    same cards must not give two names.
    """
    if CARDS in environment:
        names = _split(environment[CARDS])
        return [] if names == ["none"] else names
    listed = _listed()
    if not environment.get(SHOWN):
        return [] if SHOWN in environment else [*listed.values()]
    return [listed.get(name, name) for name in _split(environment[SHOWN])] if listed else []


def folder_of(environment: Mapping[str, str]) -> Path:
    """Return where the locks lie: one folder for all users of a machine."""
    return Path(environment.get(FOLDER) or "/tmp/fornix-gpus")  # noqa: S108 - locks, no content


def take(cards: Sequence[str], count: int, jobs: int, folder: Path) -> Lease:
    """Wait for as many cards as are needed, and lock them.

    Parameters
    ----------
    cards
        Those there are.
    count
        How many to take.
    jobs
        Jobs that may share a card; a job that shares takes one place of so many on it.
    folder
        Where the locks lie.
    """
    waiting = f"waiting for a free GPU ({', '.join(cards)})"
    # One at a time collects cards, so that two never hold half of what each of them needs.
    with _open(folder, ".queue") as queue:
        try:
            fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, file=sys.stderr, flush=True)
            waiting = ""
            fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            with ExitStack() as held:
                found: dict[str, list[IO[str]]] = {}
                for place in range(jobs):  # every card once before any card twice
                    for card in cards:
                        if len(found) < count and card not in found:
                            files = _try(card, place, jobs, folder)
                            for file in files:
                                held.enter_context(file)
                            found |= {card: files} if files else {}
                if len(found) == count:
                    held.pop_all()
                    return Lease([*found], [file for files in found.values() for file in files])
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
                waiting = ""
            time.sleep(WAIT_S)


def _try(card: str, place: int, jobs: int, folder: Path) -> list[IO[str]]:
    """Return the locks of a card, or of a place on it; nothing if it is taken."""
    name = card.replace("/", "_")
    wanted = [(name, fcntl.LOCK_EX if jobs == 1 else fcntl.LOCK_SH)]
    wanted += [(f"{name}.{place}", fcntl.LOCK_EX)] if jobs > 1 else []
    files: list[IO[str]] = []
    for one, kind in wanted:
        file = _open(folder, one)
        files.append(file)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            for other in files:
                other.close()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return []
            raise
    return files


def _open(folder: Path, name: str) -> IO[str]:
    """Open a lock that any user may take."""
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o1777)
        path = folder / f"{name}.lock"
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o666))
            path.chmod(0o666)
        return path.open("r", encoding="utf-8")  # reading is enough to lock
    except OSError as error:
        problem = f"the locks of the GPUs can't be made: {error.strerror}"
        mend = f"name another folder of this machine in {FOLDER}, or set {CARDS}=none"
        raise FornixError(problem, where=str(folder), mend=mend) from None


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _listed() -> dict[str, str]:
    """Return index -> UUID of the cards that the driver knows."""
    call = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split(",") for line in done.stdout.splitlines() if "," in line)
    return {index.strip(): uuid.strip() for index, uuid in rows}
