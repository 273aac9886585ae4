"""What jobs would cost, by what the provenance of earlier runs says; nothing where it is silent.

Four kinds of grounds, the first that there is:

1. The job's own last run, under the same settings.
2. The run of the same job under other settings, scaled by the size of what it reads and by the
   counts (permutations, epochs, subjects, ...) in which the settings differ.
3. Runs of the same kind and model in this study and its variants, by what a byte of their inputs
   cost (the median).
4. None: the cost is unknown, and is said to be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from fornix.dag.graph import STAGES, Graph
from fornix.dag.job import Job
from fornix.dag.leaves import leaves
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, TWIN
from fornix.study.load import load_study

COUNTS = frozenset(
    {
        *("permutations", "bootstrap", "resamples", "epochs", "steps", "inner_splits"),
        *("n_subjects", "n_sessions", "n_runs", "n_images", "n_voxels", "n_trials"),
    }
)
"""Settings that a job's work is taken to be proportional to."""

DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Estimate:
    """What one job would cost; None: unknown.

    Attributes
    ----------
    cpu_s, gpu_s, wall_s
        Time of processors, of GPUs, and on the clock, s.
    size
        What it leaves on the disk, bytes.
    grounds
        ``its own run``, ``scaled``, ``alike`` or ``unknown``.
    """

    cpu_s: float | None = None
    gpu_s: float | None = None
    wall_s: float | None = None
    size: float | None = None
    grounds: str = "unknown"


@dataclass(frozen=True)
class Run:
    """A job that has been run, and what its manifest says of it."""

    job: Job
    manifest: Mapping[str, Any]

    @property
    def spent(self) -> Mapping[str, Any]:
        """Its provenance."""
        return dict(self.manifest["provenance"])

    @property
    def gpu_s(self) -> float | None:
        """Seconds in which it had a GPU, times GPUs; None: nobody noted it."""
        if "gpus" in self.spent:
            return float(self.spent["gpus"] * self.spent["wall_s"])
        return None if "torch" in self.manifest["recipe"]["versions"] else 0.0


class Past:
    """Earlier runs of a study's jobs, and what they let one expect.

    Parameters
    ----------
    graph
        The study that is planned.
    others
        The same study as it was, and its variants: jobs whose runs count as well.

    Attributes
    ----------
    has_gpu
        Whether jobs could use a GPU here.
    """

    def __init__(self, graph: Graph, others: Sequence[Graph] = ()) -> None:
        self.graph = graph
        self.has_gpu = graph.study.compute.device != "cpu" and DRIVER.exists()
        self.runs: list[Run] = []
        seen: set[Path] = set()
        for one in (graph, *others):
            for job in one.jobs.values():
                manifest = None if job.folder in seen else _manifest(job.folder)
                seen.add(job.folder)
                if manifest is not None:
                    self.runs.append(Run(job, manifest))
        self._at = {run.job.folder: run for run in self.runs}
        self._done: dict[Path, Estimate] = {}
        self._sizes: dict[Path, float] = {}

    def estimate(self, job: Job) -> Estimate:
        """Return what a job would cost."""
        if job.folder not in self._done:
            self._done[job.folder] = self._estimate(job)
        return self._done[job.folder]

    def _estimate(self, job: Job) -> Estimate:
        if own := self._at.get(job.folder):
            return self._from(own, 1.0, self._size(own), "its own run")
        same = [run for run in self.runs if run.job.key == job.key and _kind(run.job) == _kind(job)]
        for run in sorted(same, key=lambda run: str(run.spent["started"]), reverse=True):
            counts, ratio = _counts(run.job, job), self._ratio(job, run.job)
            if ratio is not None:
                grows = ratio if job.needs else counts  # what reads nothing grows by its counts
                size = self._size(run) * _share(job, run) * grows
                return self._from(run, counts * ratio, size, "scaled")
        return self._alike(job)

    def _from(self, run: Run, factor: float, size: float, grounds: str) -> Estimate:
        spent, gpu_s = run.spent, run.gpu_s if self.has_gpu else 0.0
        return Estimate(
            cpu_s=factor * float(spent["cpu_s"]),
            gpu_s=None if gpu_s is None else factor * gpu_s,
            wall_s=factor * float(spent["wall_s"]),
            size=size,
            grounds=grounds,
        )

    def _alike(self, job: Job) -> Estimate:
        """Return what a job would cost at the price of its kind."""
        reads = self._reads(job)
        if not reads:
            return Estimate()
        found = []
        for run in self.runs:
            if _kind(run.job) == _kind(job) and (theirs := self._reads(run.job)):
                found.append(self._from(run, reads / theirs, self._size(run) * reads / theirs, ""))
        if not found:
            return Estimate()
        gpu = [one.gpu_s for one in found]
        return Estimate(
            cpu_s=median(one.cpu_s for one in found if one.cpu_s is not None),
            gpu_s=None if None in gpu else median(one for one in gpu if one is not None),
            wall_s=median(one.wall_s for one in found if one.wall_s is not None),
            size=median(one.size for one in found if one.size is not None),
            grounds="alike",
        )

    def _ratio(self, job: Job, other: Job) -> float | None:
        """Return the ratio of what two jobs read, 1 if nothing; None: that can't be told."""
        if not job.needs:
            return 1.0
        mine, theirs = self._reads(job), self._reads(other)
        return mine / theirs if mine and theirs else None

    def _reads(self, job: Job) -> float | None:
        """Return the bytes of a job's inputs; None: one of them is unknown."""
        sizes = [
            self._size(self._at[one.folder]) if one.folder in self._at else self.estimate(one).size
            for one in job.needs.values()
        ]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else None

    def _size(self, run: Run) -> float:
        folder = run.job.folder
        if folder not in self._sizes:
            self._sizes[folder] = float(bytes_of(folder))
        return self._sizes[folder]


def bytes_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.lstat().st_size if not path.is_dir() else 0
        except OSError:  # gone meanwhile
            continue
    return found


def earlier(graph: Graph, results: Path = Path("results")) -> list[Graph]:
    """Return the study as it last ran, and its variants, where they can still be read."""
    found = []
    for path in sorted(results.glob(f"{graph.study.name}*/study.yaml")):
        try:
            study = load_study(path)
            if study.name == graph.study.name:
                found.append(Graph(study, path.parent.name, graph.cache))
        except FornixError:  # of another version of Fornix, or its data have gone
            continue
    return sorted(found, key=lambda one: one.label != graph.label)


def lines(jobs: Sequence[Job], past: Past) -> Iterator[str]:
    """Yield a table of what jobs would cost: a row a stage, a row of sums, what is unknown."""
    estimates = {job.folder: past.estimate(job) for job in jobs}
    rows: list[tuple[str, ...]] = [("stage", "jobs", "CPU-hours", "GPU-hours", "bytes", "by")]
    stages = [one for one in STAGES if any(job.stage == one for job in jobs)]
    for stage in stages:
        mine = [estimates[job.folder] for job in jobs if job.stage == stage]
        rows.append(_row(stage, mine))
    rows.append(_row("all", list(estimates.values())))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *rest, last = zip(row, widths, strict=True)
        cells = [f"{first[0]:<{first[1]}}", *(f"{text:>{width}}" for text, width in rest), last[0]]
        yield "  ".join(cells).rstrip()
    walls = [one.wall_s for one in estimates.values() if one.wall_s is not None]
    if walls:
        yield f"one after another: {duration(sum(walls))}, and the start of a process for each job"
    if not past.has_gpu and any(one.grounds != "unknown" for one in estimates.values()):
        yield "GPU-hours are 0: the study or this machine has no GPU"
    lonely = (job for job in jobs if estimates[job.folder].grounds == "unknown")
    unknown = dict.fromkeys(f"{job.stage} {job.name}" for job in lonely)
    if unknown:
        yield f"unknown, nothing like it has run here: {', '.join(unknown)}"


def _row(title: str, estimates: Sequence[Estimate]) -> tuple[str, ...]:
    grounds = [one.grounds for one in estimates]
    kinds = ("its own run", "scaled", "alike", "unknown")
    by = ", ".join(f"{grounds.count(kind)} {kind}" for kind in kinds if kind in grounds)
    return (
        title,
        str(len(estimates)),
        _sum([one.cpu_s for one in estimates], hours),
        _sum([one.gpu_s for one in estimates], hours),
        _sum([one.size for one in estimates], size),
        by,
    )


def _sum(values: Sequence[float | None], word: Any) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "unknown"
    more = " + unknown" if len(known) < len(values) else ""
    return f"{word(math.fsum(known))}{more}"


def hours(seconds: float) -> str:
    """Return seconds as hours, two digits.

    Examples
    --------
    >>> hours(5400), hours(1.2), hours(0.1), hours(0)
    ('1.5', '0.00033', '<0.0001', '0')
    """
    if 0 < seconds < 0.36:
        return "<0.0001"
    return f"{seconds / 3600:.2g}" if seconds < 36_000 else f"{seconds / 3600:.0f}"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> duration(3.21), duration(150), duration(7000)
    ('3.2 s', '2.5 min', '1.9 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Return bytes as people say them.

    Examples
    --------
    >>> size(12), size(123_456), size(2e9)
    ('12 B', '123 kB', '2.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.1f} {unit}" if unit != "B" and count < 10 else f"{count:.0f} {unit}"


def _manifest(folder: Path) -> Mapping[str, Any] | None:
    """Return what an artifact says of itself, also where Snakemake has deleted its manifest."""
    for name in (MANIFEST, TWIN):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            if {"recipe", "provenance"} <= set(found):
                return dict(found)
        except (OSError, ValueError):
            continue
    return None


def _kind(job: Job) -> tuple[str, ...]:
    """Return what makes the costs of two jobs comparable: the stage, its kind, its model."""
    section = getattr(job.section, "fit", job.section)
    world = getattr(getattr(section, "world", None), "name", "")
    words = [getattr(section, key, "") for key in ("kind", "model", "source")]
    return job.stage, str(world), *map(str, words)


def _counts(old: Job, new: Job) -> float:
    """Return the product of the ratios of all counts in which two jobs' settings differ."""
    if new.stage == "report":  # its section is the whole study, whose work others have done
        return 1.0
    factor, before = 1.0, dict(leaves(old.section.identity()))
    for key, value in leaves(new.section.identity()):
        was = before.get(key)
        if key.rpartition(".")[2] in COUNTS and _positive(value) and _positive(was):
            factor *= value / was
    return factor


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _share(job: Job, run: Run) -> float:
    """Return how much of an earlier run's layers features keep, by their widths."""
    dims = run.manifest.get("notes", {}).get("dims")
    wanted = getattr(job.section, "layers", None)
    if job.stage != "features" or not dims or wanted is None:
        return 1.0
    from fornix.features.layers import select_layers

    names = list(run.manifest["notes"]["layers"])
    try:
        kept = select_layers(names, wanted, where=job.name)
    except FornixError:  # a layer that the earlier run didn't have
        return 1.0
    return float(sum(dims[name] for name in kept) / max(1, sum(dims.values())))
