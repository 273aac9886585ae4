"""The jobs of a study: one node an artifact, with its path, its inputs and its identity.

A job's *path* carries the digest of the settings that it and everything above it have. Its
*params* are what Snakemake compares with the last run: settings, identities of the inputs
(contents of datasets included) and code. Nothing here reads data beyond names and digests.

A job is made when it is asked for, with those above it: one of 10,000 doesn't cost the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fornix.dag.job import Job
from fornix.dag.sources import Sources
from fornix.errors import FornixError, did_you_mean
from fornix.study.base import Section, Select, digest_of
from fornix.study.datasets import OpenNeuroDataset, SimulatedDataset
from fornix.study.features.huggingface import trained_by
from fornix.study.features.union import Features
from fornix.study.fits.base import BrainFitSection
from fornix.study.fits.pretraining import PretrainingSection
from fornix.study.fits.union import BrainFit
from fornix.study.responses import suffix_of
from fornix.study.scores import Evaluation
from fornix.study.study import Study

STAGES = (
    *("simulate", "fetch", "ingest", "preprocess", "features"),
    *("fit", "evaluate", "analyse", "report"),
)
FOLDERS = {
    "simulate": "datasets",
    "fetch": "datasets",
    "ingest": "ingest",
    "preprocess": "responses",
    "features": "features",
    "fit": "fits",
    "evaluate": "scores",
    "analyse": "analyses",
    "report": "reports",
}
REFERENCES = ("dataset", "responses", "features", "source")
"""Keys of a section that name other sections: their digests count, not their names."""

Key = tuple[str, str, str | None]
"""Stage, name and subject of a job."""


class Graph:
    """All jobs of a study.

    Parameters
    ----------
    study
        The study.
    label
        Name of its folder in ``results/``; differs from the study's name for a variant.
    cache
        Folder of the artifacts.
    """

    def __init__(self, study: Study, label: str = "", cache: Path = Path("cache")) -> None:
        self.study = study
        self.label = label or study.name
        self.cache = cache
        self.sources = Sources(study, cache)
        self._made: dict[Key, Job] = {}
        self._settings: dict[int, dict[str, Any]] = {}

    @cached_property
    def jobs(self) -> dict[Key, Job]:
        """All jobs by their keys, in the order of the study's sections."""
        self._made = {}
        for name in self.study.datasets:
            self._ingest(name)
        for name in self.study.features:
            self._features(name)
        for name in self.study.responses:
            self._responses(name)
        for name in self.study.fits:
            self._fits(name)
        for name in self.study.analyses:
            self._analysis(name)
        self._report()
        return self._made

    def of(self, stage: str, name: str | None = None) -> Iterator[Job]:
        """Yield the jobs of a stage, of one name if it is given."""
        for job in self.jobs.values():
            if job.stage == stage and name in (None, job.name):
                yield job

    def find(self, stage: str, name: str, subject: str | None = None) -> Job:
        """Return one job.

        Raises
        ------
        FornixError
            If the study has no such job; says which it has.
        """
        if (stage, name, subject) in self.jobs:
            return self.jobs[stage, name, subject]
        named = list(self.of(stage, name))
        if not named:
            problem = f"the study has no {stage} job '{name}'"
            mend = did_you_mean(name, {job.name for job in self.of(stage)})
            raise FornixError(problem, where=self.study.name, mend=mend)
        subjects = [str(job.subject) for job in named if job.subject]
        problem = f"{stage} {name} has no job for subject {subject}"
        mend = f"give --subject, one of: {', '.join(subjects)}" if subjects else "drop --subject"
        raise FornixError(problem, where=self.study.name, mend=mend)

    def alone(self, stage: str, name: str, subject: str | None = None) -> Job:
        """Return one job as :meth:`find` does, but make only it and those above it."""
        self._make(stage, name, subject)
        return self._made.get((stage, name, subject)) or self.find(stage, name, subject)

    def _make(self, stage: str, name: str, subject: str | None) -> None:
        study, whole = self.study, name.partition(".")[0]  # a part of features has a dot
        if stage in ("simulate", "fetch", "ingest") and name in study.datasets:
            self._ingest(name)
        elif stage == "features" and whole in study.features:
            self._features(whole)
        elif stage == "preprocess" and name in study.responses and self._has(name, subject):
            self._preprocess(name, str(subject))
        elif stage == "fit" and name in study.pretrainings:
            self._pretraining(name)
        elif stage == "fit" and name in study.brain_fits:
            fit = study.brain_fits[name]
            if fit.scope == "cohort":
                self._fit(name, fit, None)
            elif self._has(fit.responses, subject):
                self._fit(name, fit, subject)
        elif stage == "evaluate" and name in study.brain_fits:
            self._evaluation(name, study.brain_fits[name])
        elif stage == "analyse" and name in study.analyses:
            self._analysis(name)

    def by_slug(self, stage: str, slug: str) -> Job:
        """Return the job of a stage whose path has this slug."""
        return self._slugs[stage, slug]

    @cached_property
    def _slugs(self) -> dict[tuple[str, str], Job]:
        return {(job.stage, job.slug): job for job in self.jobs.values()}

    @property
    def report(self) -> Job:
        """The job that ends the study."""
        return self.find("report", self.label)

    @property
    def results(self) -> Path:
        """Where the report and the scores are published."""
        return Path("results") / self.label

    def root(self, name: str) -> Path:
        """Return the folder that holds a dataset."""
        made = self._maker(name)
        return made["dataset"].folder / "bids" if made else self.sources.root(name)

    def _job(
        self,
        stage: str,
        name: str,
        section: Section,
        *,
        needs: Mapping[str, Job],
        above: Mapping[str, Job] | None = None,
        subject: str | None = None,
        seed: int = 0,
        **rest: Any,
    ) -> Job:
        """Add a job; ``above`` are the needs whose settings count, by default all of them."""
        # Subjects share their settings: one digest, one folder, a subfolder each.
        counted = needs if above is None else above
        shared = {k.removesuffix(f"/{job.subject}"): job.settings for k, job in counted.items()}
        settings = digest_of({"section": self._own(section), "above": shared, "seed": seed})
        folder = self.cache / FOLDERS[stage] / f"{name}-{settings}"
        if subject is not None:
            folder /= f"sub-{subject}"
        job = Job(stage, name, subject, section, seed, folder, settings, dict(needs), **rest)
        self._made[job.key] = job
        return job

    def _own(self, section: Section) -> dict[str, Any]:
        """Return a section's own settings, without the names of others."""
        found = self._settings.get(id(section))
        if found is None:
            found = {k: v for k, v in _identity(section).items() if k not in REFERENCES}
            if trained_by(section):  # the fit is among the needs; its name is no setting
                del found["model"]
            if isinstance(section, BrainFitSection):  # shared by the jobs of all subjects
                self._settings[id(section)] = found
        return found

    def _maker(self, name: str) -> dict[str, Job]:
        """Return the job that makes a dataset, for all that read its files, if there is one."""
        dataset = self.study.datasets[name]
        if isinstance(dataset, SimulatedDataset):
            stage, module = "simulate", f"fornix.simulate.{dataset.world.name}"
        elif isinstance(dataset, OpenNeuroDataset):
            stage, module = "fetch", "fornix.ingest.openneuro"
        else:
            return {}
        job = self._made.get((stage, name, None))
        return {"dataset": job or self._job(stage, name, dataset, needs={}, modules=(module,))}

    def _ingest(self, name: str) -> Job:
        return self._made.get(("ingest", name, None)) or self._job(
            "ingest",
            name,
            self.study.datasets[name],
            needs=self._maker(name),
            roots={"root": self.root(name)},
            outside=lambda: self.sources.contents(name),
        )

    def _subjects(self, responses: str) -> list[str]:
        """Return the subjects that have responses of a name."""
        section = self.study.responses[responses]
        suffix = suffix_of(section.kind)
        return self.sources.subjects(section.dataset, suffix, _select(section))

    def _has(self, responses: str, subject: str | None) -> bool:
        """Return whether a subject should have responses of a name."""
        section = self.study.responses[responses]
        found = subject and self.sources.has(section.dataset, _select(section), subject)
        return bool(found)

    def _responses(self, name: str) -> dict[str, Job]:
        """Return subject -> the job that makes the responses."""
        return {subject: self._preprocess(name, subject) for subject in self._subjects(name)}

    def _preprocess(self, name: str, subject: str) -> Job:
        section = self.study.responses[name]
        return self._made.get(("preprocess", name, subject)) or self._job(
            "preprocess",
            name,
            section,
            needs={"ingest": self._ingest(section.dataset), **self._maker(section.dataset)},
            subject=subject,
            roots={"root": self.root(section.dataset)},
            modules=(f"fornix.preprocess.{section.kind}",),
        )

    def _features(self, name: str) -> Job:
        section = self.study.features[name]
        source = getattr(section, "source", None)
        if (job := self._made.get(("features", name, None))) is not None:
            return job
        shared = {
            "ingest": self._ingest(section.dataset),
            **self._maker(section.dataset),
            **({f"source/{source}": self._features(source)} if source else {}),
            **({"model": self._pretraining(fit)} if (fit := trained_by(section)) else {}),
        }
        shares = [f"{i + 1}/{section.parts}" for i in range(section.parts)]
        parts = [
            self._features_job(
                f"{name}.{share.replace('/', 'of')}",
                section.model_copy(update={"parts": 1, "part": share}),
                shared,
            )
            for share in (shares if section.parts > 1 else [])
        ]
        # The parts' rows are taken over, as those of any earlier artifact are.
        return self._features_job(
            name, section, shared | {f"part/{job.name}": job for job in parts}
        )

    def _features_job(self, name: str, section: Features, needs: Mapping[str, Job]) -> Job:
        above = {key: job for key, job in needs.items() if not key.startswith("part/")}
        return self._job(
            "features",
            name,
            section,
            needs=needs,
            above=above,
            roots={"root": self.root(section.dataset)},
            outside=lambda: self.sources.weights(section, f"features.{name}"),
            modules=(f"fornix.features.{section.kind}",),
        )

    def _pretraining(self, name: str) -> Job:
        """Return a fit that needs stimuli alone; features may be made of it."""
        section = self.study.fits[name]
        assert isinstance(section, PretrainingSection)  # noqa: S101 - the study has been checked
        return self._made.get(("fit", name, None)) or self._job(
            "fit",
            name,
            section,
            needs={"ingest": self._ingest(section.dataset), **self._maker(section.dataset)},
            seed=self.study.seed,
            roots={"root": self.root(section.dataset)},
            modules=(f"fornix.stages.tasks.{section.task}", f"fornix.models.{section.kind}"),
        )

    def _fits(self, name: str) -> None:
        """Make a fit of everybody, and its evaluation."""
        section = self.study.fits[name]
        if isinstance(section, PretrainingSection):
            self._pretraining(name)
        else:
            self._evaluation(name, section)

    def _fit(self, name: str, section: BrainFit, subject: str | None) -> Job:
        """Return the fit of a subject; None: that of the cohort."""
        if (job := self._made.get(("fit", name, subject))) is not None:
            return job
        if subject is None:
            whole = self._responses(section.responses)
            mine = {f"responses/{one}": job for one, job in whole.items()}
        else:
            mine = {"responses": self._preprocess(section.responses, subject)}
        return self._job(
            "fit",
            name,
            section,
            needs=mine | {f"features/{one}": self._features(one) for one in section.reads()},
            subject=subject,
            seed=self.study.seed,
            outside=lambda: self.sources.weights(section, f"fits.{name}"),
            modules=(f"fornix.stages.tasks.{section.task}", f"fornix.models.{section.kind}"),
        )

    def _evaluation(self, name: str, section: BrainFit) -> Job:
        responses = self._responses(section.responses)
        cohort = section.scope == "cohort"
        fits = {one: self._fit(name, section, None if cohort else one) for one in responses}
        needs = {f"responses/{one}": job for one, job in responses.items()}
        return self._job(
            "evaluate",
            name,
            Evaluation(fit=section, scores=self.study.scores),
            needs=needs | {f"fit/{one}": job for one, job in fits.items()},
            seed=self.study.seed,
            modules=(f"fornix.evaluation.{section.task}",),
        )

    def _analysis(self, name: str) -> Job:
        section = self.study.analyses[name]
        features = {f"features/{one}": self._features(one) for one in section.features}
        dataset = self.study.features[section.features[0]].dataset
        return self._job(
            "analyse",
            name,
            section,
            needs={"ingest": self._ingest(dataset), **features},
            seed=self.study.seed,
            modules=(f"fornix.analysis.{section.kind}",),
        )

    def _report(self) -> None:
        keys = {
            "ingest": "ingest/{name}",
            "preprocess": "responses/{name}/{subject}",
            "features": "features/{name}",
            "fit": "fit/{name}/{subject}",
            "evaluate": "scores/{name}",
            "analyse": "analyses/{name}",
        }
        needs = {
            keys[job.stage].format(name=job.name, subject=subject): job
            for job in self._made.values()
            if job.stage in keys and "." not in job.name  # parts are in the whole
            for subject in self._whose(job)
        }
        needs |= {f"pretraining/{one}": self._pretraining(one) for one in self.study.pretrainings}
        self._job("report", self.label, self.study, needs=needs, seed=self.study.seed)

    def _whose(self, job: Job) -> list[str | None]:
        """Return the subjects that a job is about: a cohort's fit is a fit of each of them."""
        if job.stage != "fit" or job.subject is not None:
            return [job.subject]
        return [key.partition("/")[2] for key in job.needs if key.startswith("responses/")]


def _identity(section: Section) -> dict[str, Any]:
    """Return a section's settings; an evaluation's without the names that its fit refers to."""
    if isinstance(section, Evaluation):
        fit = {k: v for k, v in section.fit.identity().items() if k not in REFERENCES}
        return {"fit": fit, "scores": section.scores.identity()}
    return section.identity()


def _select(responses: Section) -> Select:
    found = getattr(responses, "select", Select())
    assert isinstance(found, Select)  # noqa: S101 - as the section has it
    return found
