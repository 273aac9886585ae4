"""Who does the parts of a large job: its own process, others of this machine, or jobs of Slurm."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from fornix.errors import FornixError
from fornix.progress import track
from fornix.study.compute import Compute

Part = TypeVar("Part")


def share_of(resources: Compute) -> Compute:
    """Return what each of the processes has that a job's parts are shared out to.

    Workers of one machine share the job's memory; those of Slurm have as much each. They compute on
    the processor: a worker holds what it computes on to its end, and others would wait for it.

    Raises
    ------
    FornixError
        If they are to compute on a GPU.
    """
    if not resources.shared_out:
        return resources
    if resources.device == "cuda":
        problem = "device: cuda is asked for, and the workers of a cluster compute on the processor"
        mend = "take device: auto or cpu, or leave cluster and cluster_workers out"
        raise FornixError(problem, where="compute", mend=mend)
    memory = resources.memory_mb
    if resources.cluster == "local":
        memory //= resources.cluster_workers
    # As a whole process' memory, it may be less than a study may ask for.
    return resources.model_copy(update={"device": "cpu", "memory_mb": memory})


def each(
    work: Callable[[Part], None], parts: Sequence[Part], resources: Compute, folder: Path
) -> None:
    """Do all parts of a job, one after the other or shared out by dask.

    What a part reads and writes lies in files: nothing but ``work`` and ``parts`` goes to workers.

    Parameters
    ----------
    work
        Function of a module (or a partial of one).
    parts
        What it is called with.
    resources
        The job's own.
    folder
        For the workers' files; all machines see it.

    Raises
    ------
    FornixError
        If dask's cluster isn't installed, or a part ends its workers.
    """
    if not resources.shared_out:
        for part in track(parts, "blocks of units", len(parts)):
            work(part)
        return
    try:
        import dask
        from dask.distributed import Client, KilledWorker
    except ImportError:
        problem = "a job is to be shared out to workers, and dask's cluster isn't installed"
        mend = "pip install 'fornix[cluster]', or leave compute.cluster and cluster_workers out"
        raise FornixError(problem, where="compute.cluster", mend=mend) from None
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        spill = stack.enter_context(tempfile.TemporaryDirectory(prefix=".dask-", dir=folder))
        threads = {f"{one}_NUM_THREADS": resources.threads for one in ("OMP", "MKL", "OPENBLAS")}
        stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": threads}))
        security = _keys(Path(spill))
        cluster, tend = _cluster(resources, security, Path(spill))
        stack.enter_context(cluster)
        client = stack.enter_context(Client(cluster, security=security))
        futures = client.map(work, parts, pure=False)
        try:
            for future in track(_as_done(futures, tend), "blocks of units", len(parts)):
                future.result()
        except KilledWorker as error:
            problem = f"the workers that took a part of this job ended, {error.allowed_failures} "
            problem += "times and once more; the memory may be too small"
            mend = "raise compute.memory_mb, or take fewer cluster_workers"
            raise FornixError(problem, where="compute.cluster", mend=mend) from None


def _as_done(futures: Sequence[Any], tend: Callable[[], None]) -> Iterator[Any]:
    """Give futures as they are done, and look after the workers meanwhile."""
    from dask.distributed import wait

    waiting = set(futures)
    while waiting:
        with suppress(TimeoutError):
            done, waiting = wait(waiting, timeout=1, return_when="FIRST_COMPLETED")
            yield from done
        tend()


def _keys(folder: Path) -> Any:
    """Write the keys of one run into a folder that is its user's alone.

    A scheduler unpickles what it is sent: nobody else may send.
    """
    from dask.distributed import Security

    made = Security.temporary()
    paths = {"cert": folder / "cert.pem", "key": folder / "key.pem"}
    for name, path in paths.items():
        path.touch(mode=0o600)
        path.write_text(getattr(made, f"tls_client_{name}"), encoding="utf-8")
    own = {
        f"tls_{role}_{name}": str(path)
        for role in ("client", "scheduler", "worker")
        for name, path in paths.items()
    }
    return Security(require_encryption=True, tls_ca_file=str(paths["cert"]), **own)


def _cluster(resources: Compute, security: Any, spill: Path) -> tuple[Any, Callable[[], None]]:
    """Return dask's cluster, with its workers on their way, and what looks after them."""
    if resources.cluster == "local":
        from dask.distributed import LocalCluster

        cluster = LocalCluster(
            n_workers=resources.cluster_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address=None,
            memory_limit=0,  # blocks are made to fit
            local_directory=str(spill),
        )
        return cluster, lambda: None  # it starts a process anew by itself
    try:
        from fornix.stages.tasks.slurm_workers import SlurmWorkers
    except ImportError:
        problem = "cluster: slurm needs dask-jobqueue, which isn't installed"
        mend = "pip install 'fornix[cluster]', or take cluster: local"
        raise FornixError(problem, where="compute.cluster", mend=mend) from None
    workers = SlurmWorkers(
        resources.cluster_workers,
        spill,
        cores=1,
        processes=1,
        job_cpu=resources.threads,
        memory=f"{resources.memory_mb}MB",
        protocol="tls://",
        security=security,
        shared_temp_directory=str(spill),
        local_directory=str(spill),
        scheduler_options={"dashboard": False},
        worker_extra_args=["--no-dashboard", "--memory-limit", "0"],
    )
    return workers.cluster, workers.tend
