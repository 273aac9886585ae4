"""``compute``: what a job may use. Nothing here changes a section's digest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.base import Section


class Compute(Section):
    """The resources of one job."""

    threads: int = Field(
        1,
        ge=1,
        description="numeric threads a job. Fixed by the study, not by --cores, so that sums are "
        "added in the same order on any machine",
    )
    memory_mb: int = Field(4000, ge=500, description="memory a job asks for, MB")
    devices: int = Field(
        1,
        ge=1,
        description="GPUs (processes, on a CPU) that share out each batch of a training; rounding "
        "differs with their number",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where torch models run")
    gpu_memory_mb: int = Field(
        8000, ge=500, description="memory of a GPU that a job's solvers may take, MB"
    )
    gpu_jobs: int = Field(
        1,
        ge=1,
        description="jobs that may share a GPU of this machine; 1: a job has its GPU to itself. "
        "A scheduler such as Slurm lends GPUs by itself",
    )
    workers: int | Literal["auto"] = Field(
        "auto",
        description="processes that read and decode stimuli; 0: a thread of the job. auto: as "
        "many as the job's threads beside a GPU, else 0",
    )
    cluster: Literal["local", "slurm"] = Field(
        "local",
        description="who fits what outgrows memory_mb, block by block: processes of this machine, "
        "or jobs of Slurm, each with memory_mb and threads of its own",
    )
    cluster_workers: int = Field(
        1,
        ge=1,
        description="how many of them; local: they share memory_mb, and 1 is the job itself",
    )

    @property
    def shared_out(self) -> bool:
        """Whether other processes than the job's own fit blocks."""
        return self.cluster != "local" or self.cluster_workers > 1
