"""What the Snakefile asks for: the study of this run, checked, as a graph of jobs."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

import yaml

from fornix import garbage
from fornix.dag.allocation import Allocation
from fornix.dag.check import check_cached
from fornix.dag.graph import Graph
from fornix.dag.job import Job
from fornix.dag.records import Notes
from fornix.errors import FornixError
from fornix.store.artifact import open_artifact
from fornix.store.draft import write_atomically
from fornix.store.locks import refuse_second_run
from fornix.store.publish import publish
from fornix.store.space import told
from fornix.study.base import digest_of
from fornix.study.load import load_study, parse_study, read_yaml
from fornix.study.study import Study

Given = TypeVar("Given", bound=Callable[..., Any])
CACHE = Path("cache")
RUN_KEYS = {"study", "variant"}
"""Keys of Snakemake's config that say which study, and aren't part of it."""
SLUG = r"[A-Za-z][\w.-]*-[0-9a-f]{12}(?:/sub-[A-Za-z0-9+]+)?"
"""What the wildcard ``job`` stands for. A list of all jobs would be tried one by one, for each."""


class Workflow:
    """A study as the rules see it.

    Parameters
    ----------
    snakemake
        The ``workflow`` of the Snakefile.
    config
        Snakemake's config: a whole study (``--configfile``), or the key ``study`` with a path;
        with the key ``variant``, that variant of it.

    Raises
    ------
    FornixError
        If the study is wrong, or its data are.
    """

    def __init__(self, snakemake: Any, config: Mapping[str, Any]) -> None:
        _refuse_storage(snakemake)
        # A module's config isn't that of the command line.
        files = snakemake.overwrite_configfiles if snakemake.modifier.is_main_snakefile() else ()
        self.study, self.label = study_of(config, [Path(path) for path in files])
        self.graph = Graph(self.study, self.label, CACHE)
        self.study_file = write_resolved(self.study, self.label)
        check_cached(self.graph)
        self._snakemake = snakemake
        self._lock: IO[str] | None = None

    def slugs(self, stage: str) -> str:
        """Return a regular expression that matches the wildcard ``job`` of a stage's rule."""
        found = [re.escape(job.slug) for job in self.graph.of(stage)]
        if stage in ("simulate", "fetch"):  # they share a folder, and aren't many
            return "|".join(found) or "none"
        return SLUG if found else "none"

    def inputs(self, stage: str) -> Callable[[Any], list[str]]:
        """Return the input function of a stage's rule."""

        def manifests(wildcards: Any) -> list[str]:
            _ = self.allocation  # the first moment at which the executor is known
            job = self._job(stage, wildcards)
            if self._chosen:
                _date([job, *job.needs.values()])
            return job.manifests

        return _quick(manifests)

    def params(self, stage: str) -> dict[str, Callable[..., str]]:
        """Return the params of a stage's rule: what to run, and what Snakemake compares."""

        def value(key: str) -> Callable[[Any], str]:
            return _quick(lambda wildcards: self._job(stage, wildcards).params[key])

        # Snakemake compares no param that is made of the output, so that a call, which holds
        # paths of this machine, may change: what it makes is told by the others.
        def call(wildcards: Any, output: Any) -> str:
            job = self._job(stage, wildcards)
            return f"{self.program} {stage} {shlex.quote(str(self.study_file))} {job.call}"

        return {"call": _quick(call), **{key: value(key) for key in ("section", "inputs", "code")}}

    @cached_property
    def program(self) -> str:
        """How a job calls Fornix: by the Python that runs Snakemake, or by that of its image."""
        from snakemake.settings.types import DeploymentMethod

        methods = self._snakemake.deployment_settings.deployment_method
        contained = DeploymentMethod.APPTAINER in methods
        return f"{'python' if contained else shlex.quote(sys.executable)} -m fornix"

    @cached_property
    def allocation(self) -> Allocation:
        """What jobs ask for; while the Snakefile is read, Snakemake doesn't know its executor."""
        return Allocation.under(self._snakemake, self.graph, self.study.compute)

    def gpu(self, stage: str) -> Callable[[Any], int]:
        """Return the GPUs that the jobs of a stage's rule ask for."""
        return _quick(lambda wildcards: self.allocation.gpus(self._job(stage, wildcards)))

    def threads(self, stage: str) -> Callable[[Any], int]:
        """Return the cores that the jobs of a stage's rule ask for."""
        return _quick(lambda wildcards: self.allocation.threads(self._job(stage, wildcards)))

    def group(self, stage: str) -> Callable[[Any], str | None]:
        """Return the name under which jobs of a stage's rule are submitted together, if any."""
        return _quick(lambda wildcards: self.allocation.group(self._job(stage, wildcards)))

    def memory(self, megabytes: int) -> Callable[[Any, int], int]:
        """Return the memory that a rule's jobs ask for, MB; more at each further attempt."""
        return _quick(lambda wildcards, attempt: megabytes * attempt)

    def runtime(self, stage: str) -> Callable[[Any, int], int]:
        """Return the time that a rule's jobs ask for, minutes; more at each further attempt."""
        return _quick(
            lambda wildcards, attempt: (
                self.allocation.minutes(self._job(stage, wildcards)) * attempt
            )
        )

    def _job(self, stage: str, wildcards: Any) -> Job:
        try:
            return self.graph.by_slug(stage, wildcards.job)
        except KeyError:
            problem = "no job of this study makes this artifact"
            mend = "give its folder as `fornix plan` prints it; other settings have other digests"
            raise FornixError(problem, where=f"{stage}: {wildcards.job}", mend=mend) from None

    @property
    def _chosen(self) -> bool:
        """Whether this process was started by a run, for some of its jobs alone."""
        return bool(self._snakemake.remote_exec or self._snakemake.subprocess_exec)

    @property
    def targets(self) -> list[str]:
        """What a run is for: the report."""
        return [str(self.graph.report.manifest)]

    def publish(self) -> None:
        """Show the report that the study means in results/, if it is there already."""
        with or_exit():
            if _made_from(self.graph.report) == self.graph.report.identity:
                publish(self.graph.report.folder, self.graph.results)

    def settle(self) -> None:
        """Make what lies in the cache mean to Snakemake what it is.

        Snakemake takes an artifact that it has no note of for current, and a date in the future
        for a fault. But another checkout may share the cache, notes may be lost, and clocks differ.
        So an artifact that isn't the one that is meant gets a note that says so, and dates in the
        future become now.
        """
        if self._chosen:  # the run that chose them has settled all; dates are seen to with inputs
            return
        _date(self.graph.jobs.values())
        made = {job.key: _made_from(job) for job in self.graph.jobs.values()}
        others = [
            job for job in self.graph.jobs.values() if made[job.key] not in (None, job.identity)
        ]
        notes = Notes() if others else None
        for job in others:
            if notes is not None and notes.trusts(job):
                notes.distrust(job, str(made[job.key]))

    def lock(self) -> None:
        """Make sure that one run at a time works on this study here; released on any exit.

        Snakemake's own lock stays behind when a run is killed, so it is off in the profile.
        """
        with or_exit():
            self._lock = refuse_second_run(CACHE / "studies" / f".{self.label}.lock", self.label)


def _made_from(job: Job) -> str | None:
    """Return the identity that a job's artifact was made for; None: there is none."""
    try:
        return str(open_artifact(job.folder).manifest.get("identity", ""))
    except FornixError:
        return None


def _date(jobs: Iterable[Job]) -> None:
    """Date artifacts now that are dated in the future."""
    now = time.time_ns()
    for job in jobs:
        with suppress(OSError):  # it isn't there, or nothing can be written
            if job.manifest.stat().st_mtime_ns > now:
                os.utime(job.manifest, ns=(now, now))


def _quick(function: Given) -> Given:
    """Note a function's signature: Snakemake asks for it anew for each job."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # as documented
    return function


def _refuse_storage(snakemake: Any) -> None:
    """Raise if outputs are to be kept in a storage: of an artifact, only the manifest is one."""
    if provider := snakemake.storage_settings.default_storage_provider:
        problem = "artifacts are folders, of which a storage would take the manifests alone"
        mend = "leave it out; docs/scaling.md says how a cache is mounted, and results are stored"
        raise FornixError(problem, where=f"--default-storage-provider {provider}", mend=mend)


def study_of(config: Mapping[str, Any], configfiles: Sequence[Path] = ()) -> tuple[Study, str]:
    """Return the study that a Snakemake config means, and the name of its results folder."""
    variant = config.get("variant")
    if set(config) <= RUN_KEYS:
        if "study" not in config:
            problem, mend = "no study given", "use --configfile config/studies/<study>.yaml"
            raise FornixError(problem, where="the config", mend=mend)
        study = load_study(config["study"], variant)
    else:
        raw = {key: value for key, value in config.items() if key not in RUN_KEYS}
        source = str(configfiles[0]) if configfiles else "the config"
        text = configfiles[0].read_text(encoding="utf-8") if configfiles else ""
        _, lines = read_yaml(text)
        study = parse_study(raw, source=source, variant=variant, lines=lines)
    return study, f"{study.name}-{variant}" if variant else study.name


def write_resolved(study: Study, label: str) -> Path:
    """Write the study, defaults filled in, under a name that changes with its content."""
    values = study.model_dump(mode="json", exclude={"variants"})
    path = CACHE / "studies" / f"{label}-{digest_of(values)}.yaml"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
        write_atomically(path, text)
    return path


def open_or_exit(snakemake: Any, config: Mapping[str, Any]) -> Workflow:
    """Open the workflow for a Snakefile; on bad input print the one error and exit with 2."""
    if snakemake.modifier.is_main_snakefile():  # else the process is another workflow's
        garbage.spare_the_end()
    with or_exit():
        return Workflow(snakemake, config)


@contextmanager
def or_exit() -> Iterator[None]:
    """Print the one error that a user is meant to read, and exit with 2."""
    try:
        yield
    except (FornixError, OSError) as error:
        known = error if isinstance(error, FornixError) else told(error, Path.cwd())
        if known is None:
            raise
        print(f"\nfornix: {known}\n", file=sys.stderr)
        sys.exit(2)
