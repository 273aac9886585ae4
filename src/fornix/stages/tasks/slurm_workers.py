"""Dask's workers as jobs of Slurm, submitted anew where one ends before the work does.

dask-jobqueue submits them and talks to them. What it leaves to whoever watches is here: jobs that
Slurm doesn't take, and jobs that end before their process has found the scheduler, for which it
would wait for ever.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dask_jobqueue import SLURMCluster
from distributed.core import Status

from fornix.errors import FornixError

LOOK_S = 20.0
"""Time between two looks, s; more than the 15 s after which dask itself drops a lost worker."""

ROUNDS = 3
"""So often are jobs submitted in vain before it is given up."""

MEND = "dask-jobqueue's settings are in ~/.config/dask/jobqueue.yaml (docs/scaling.md)"


class SlurmWorkers:
    """A cluster whose workers are jobs of Slurm.

    Parameters
    ----------
    count
        Jobs, of one worker each.
    folder
        For the jobs' logs; all machines see it.
    settings
        Of :class:`dask_jobqueue.SLURMCluster`.

    Raises
    ------
    FornixError
        If Slurm takes no job.
    """

    def __init__(self, count: int, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.cluster = SLURMCluster(log_directory=str(folder), **settings)
        while len(self.cluster.worker_spec) < count:
            self.cluster.worker_spec.update(self.cluster.new_worker_spec())
        self._looked = time.monotonic()
        self._gone: set[tuple[str, str | None]] = set()
        self._in_vain = 0
        try:
            self._submit(set())
        except FornixError:
            self.cluster.close()
            raise

    def tend(self) -> None:
        """Look, at times, whether all jobs are there, and submit those that are not.

        Raises
        ------
        FornixError
            If jobs end again and again before their worker has begun.
        """
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        known = _jobs()
        if known is None:  # the controller doesn't answer; another time
            return
        begun = {one["name"] for one in self.cluster.scheduler_info["workers"].values()}
        gone = {
            (name, job.job_id)
            for name, job in self.cluster.workers.items()
            if name not in begun and job.job_id not in known
        }
        lost = gone & self._gone  # at two looks: neither just ended nor just submitted
        self._gone = gone - lost
        self._in_vain = 0 if begun else self._in_vain + bool(lost)
        if self._in_vain >= ROUNDS:
            numbers = {job for _, job in lost if job}
            jobs = ", ".join(sorted(numbers))
            problem = "jobs of Slurm that were to be workers ended before they had begun, "
            problem += f"{ROUNDS} times (last: {jobs}){self._last_words(numbers)}"
            raise FornixError(problem, where="compute.cluster", mend=MEND)
        with suppress(FornixError):  # one that isn't taken is lost, and submitted again
            self._submit({name for name, _ in lost})

    def _submit(self, lost: set[str]) -> None:
        """Submit a job for each worker that has none, and for those that are lost."""
        jobs = self.cluster.workers

        async def submit() -> None:
            for name in lost & jobs.keys():
                jobs.pop(name).status = Status.closed
            await self.cluster

        try:
            self.cluster.sync(submit)
        except (OSError, RuntimeError, ValueError) as error:
            for job in jobs.values():
                if job.job_id is None:  # the cluster doesn't close over jobs that never began
                    job.status = Status.failed
            problem = f"Slurm took no job for a worker: {_said(error)}"
            raise FornixError(problem, where="compute.cluster", mend=MEND) from None

    def _last_words(self, jobs: set[str]) -> str:
        """Return the end of one of these jobs' logs, to be read after what is wrong."""
        for job in sorted(jobs):
            for log in self.folder.glob(f"*-{job}.err"):
                lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                if lines:
                    return ":\n" + "\n".join(lines[-10:])
        return ""


def _said(error: Exception) -> str:
    """Return what Slurm said; dask-jobqueue puts it at the end of what it says itself."""
    return str(error).rpartition("stderr:")[2].strip()


def _jobs() -> set[str] | None:
    """Return the user's jobs that have not ended; None where Slurm doesn't say."""
    call = ["squeue", "--noheader", "--me", "--format=%A"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(done.stdout.split())
