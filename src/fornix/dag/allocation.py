"""What the jobs of a study ask a scheduler for: GPUs, time, and to be submitted together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fornix.dag.graph import Graph
from fornix.dag.job import Job
from fornix.gpus import cards_of
from fornix.study.compute import Compute

MINUTES = {
    "simulate": 60,
    "fetch": 720,
    "ingest": 120,
    "preprocess": 120,
    "features": 240,
    "fit": 240,
    "evaluate": 120,
    "analyse": 120,
    "report": 30,
}
"""Time that a job of a stage asks for at its first attempt."""

TOGETHER = {
    "ingest": 10,
    "preprocess": 30,
    "features": 30,
    "fit": 15,
    "evaluate": 15,
    "analyse": 30,
}
"""The same for a job that is submitted together with others, which run in turn: their times add up,
and what one doesn't need is there for the next."""

NETWORKS, SOLVERS = "fornix.devices", "fornix.solvers.backend"
"""Modules by which a stage gets to a GPU."""


class Allocation:
    """What each job of a graph asks for.

    Parameters
    ----------
    graph
        The jobs.
    compute
        The study's resources.
    counted
        GPUs that the executor counts (``--resources gpu=...``); None if it counts none.
    batches
        Stage -> how many of its small jobs are submitted together (``--group-components``).
    """

    def __init__(
        self,
        graph: Graph,
        compute: Compute,
        *,
        counted: int | None = None,
        batches: Mapping[str, int] | None = None,
    ) -> None:
        self.graph, self.compute, self.counted = graph, compute, counted
        self.batches = dict(batches or {})
        self._depths: dict[tuple[str, str, str | None], int] = {}

    @classmethod
    def under(cls, snakemake: Any, graph: Graph, compute: Compute) -> Allocation:
        """Return what jobs ask for under a Snakemake workflow, and tell it what it must know.

        A local run that counts no GPUs counts those of the machine, so that no job is started
        only to wait for one.
        """
        resources, groups = snakemake.global_resources, snakemake.group_settings
        counted = resources.get("gpu").value
        if counted is None and snakemake.local_exec and compute.device != "cpu":
            counted = len(cards_of(os.environ)) * compute.gpu_jobs or None
            if counted is not None:
                snakemake.register_resource("gpu", counted)
        batches = dict(groups.group_components) if groups is not None else {}
        found = cls(graph, compute, counted=counted, batches=batches)
        ids = {found.group(job): job.stage for job in graph.jobs.values()}
        snakemake.parent_groupids.update({key: stage for key, stage in ids.items() if key})
        return found

    def gpus(self, job: Job) -> int:
        """Return how many GPUs a job asks for.

        With ``device: cuda`` whatever can use one asks for it, also the solvers of regressions;
        with ``device: auto`` networks do, where GPUs are counted.
        """
        if self.compute.device == "cpu":
            return 0
        network = NETWORKS in job.code.modules
        if self.compute.device == "auto":
            wanted = network and bool(self.counted)
        else:
            wanted = network or SOLVERS in job.code.modules
        several = getattr(job.section, "trained", False)  # one network trained on all of them
        return (self.compute.devices if several else 1) if wanted else 0

    def threads(self, job: Job) -> int:
        """Return how many cores a job asks for: those of its workers, where it may have some."""
        apart = getattr(job.section, "units_apart", False) and job.stage == "fit"
        local = apart and self.compute.cluster == "local"
        return self.compute.threads * (self.compute.cluster_workers if local else 1)

    def group(self, job: Job) -> str | None:
        """Return the name under which a small job may be submitted together with others.

        Two jobs of a name never depend on each other, not even through a third: it holds how deep
        in the graph they are. What trains a network or asks for a GPU is submitted alone.
        """
        if self.batches.get(job.stage, 1) < 2 or job.stage not in TOGETHER:
            return None
        if getattr(job.section, "trained", False) or self.gpus(job):
            return None
        return f"{job.stage}-{self._depth(job)}"

    def minutes(self, job: Job) -> int:
        """Return the time that a job asks for at its first attempt."""
        return (MINUTES if self.group(job) is None else TOGETHER)[job.stage]

    def _depth(self, job: Job) -> int:
        if job.key not in self._depths:
            above = [self._depth(one) for one in job.needs.values()]
            self._depths[job.key] = 1 + max(above, default=-1)
        return self._depths[job.key]
