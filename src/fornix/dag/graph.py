"""The jobs of a study: one node an artifact, with its path, its inputs and its identity.

A job's *path* carries the digest of the settings that it and everything above it have. Its
*params* are what Snakemake compares with the last run: settings, identities of the inputs
(contents of datasets included) and code. Nothing here reads data beyond names and digests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fornix.dag.job import Job
from fornix.errors import FornixError, did_you_mean
from fornix.ingest.listing import Listing, scan
from fornix.study.base import Section, Select, digest_of
from fornix.study.datasets import Dataset, OpenNeuroDataset, RdmDataset, SimulatedDataset
from fornix.study.features.huggingface import trained_by
from fornix.study.features.union import Features
from fornix.study.fits.pretraining import PretrainingSection
from fornix.study.paths import expand
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
        self.jobs: dict[tuple[str, str, str | None], Job] = {}
        self.listings: dict[str, Listing] = {}
        for name, dataset in study.datasets.items():
            self._dataset(name, dataset)
        for name in study.features:
            self._features(name)
        for name in study.responses:
            self._responses(name)
        for name in study.fits:
            self._fit(name)
        for name in study.analyses:
            self._analysis(name)
        self._report()

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
        dataset = self.study.datasets[name]
        if isinstance(dataset, SimulatedDataset | OpenNeuroDataset):
            made = "simulate" if isinstance(dataset, SimulatedDataset) else "fetch"
            return self.jobs[made, name, None].folder / "bids"
        return expand(dataset.path, where=f"datasets.{name}.path")

    def subjects(self, name: str, suffix: str, select: Select) -> list[str]:
        """Return the subjects of a dataset that have recordings to use."""
        dataset = self.study.datasets[name]
        if isinstance(dataset, SimulatedDataset):
            found = set(dataset.world.subjects())
        elif isinstance(dataset, OpenNeuroDataset):
            found = set(dataset.subjects)
        elif isinstance(dataset, RdmDataset):
            found = set(_rdm_subjects(self.root(name), dataset.rdms))
        else:
            chosen = [_criteria(dataset.select), _criteria(select)]
            found = {
                one["sub"]
                for one in self.listings[name].recordings(suffix)
                if all(one.get(key) in allowed for some in chosen for key, allowed in some)
            }
        for one in (dataset.select if not isinstance(dataset, RdmDataset) else Select(), select):
            found &= set(one.subject) if one.subject is not None else found
        return sorted(found)

    def _add(self, job: Job) -> Job:
        self.jobs[job.key] = job
        return job

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
        own = {k: v for k, v in _identity(section).items() if k not in REFERENCES}
        if trained_by(section):  # the fit is among the needs; its name is no setting
            del own["model"]
        # Subjects share their settings: one digest, one folder, a subfolder each.
        counted = needs if above is None else above
        shared = {k.removesuffix(f"/{job.subject}"): job.settings for k, job in counted.items()}
        settings = digest_of({"section": own, "above": shared, "seed": seed})
        folder = self.cache / FOLDERS[stage] / f"{name}-{settings}"
        if subject is not None:
            folder /= f"sub-{subject}"
        job = Job(stage, name, subject, section, seed, folder, settings, dict(needs), **rest)
        return self._add(job)

    def _dataset(self, name: str, dataset: Dataset) -> None:
        if isinstance(dataset, SimulatedDataset):
            kind = f"fornix.simulate.{dataset.world.name}"
            self._job("simulate", name, dataset, needs={}, modules=(kind,))
        elif isinstance(dataset, OpenNeuroDataset):
            self._job("fetch", name, dataset, needs={}, modules=("fornix.ingest.openneuro",))
        root = self.root(name)
        contents: tuple[tuple[str, str], ...] = ()
        if not self._maker(name):
            select = Select() if isinstance(dataset, RdmDataset) else dataset.select
            listing = self._listing(root, select.subject)
            self.listings[name] = listing
            contents = ((f"dataset:{name}", listing.digest[:12]),)
        self._job(
            "ingest",
            name,
            dataset,
            needs=self._maker(name),
            roots={"root": root},
            contents=contents,
        )

    def _maker(self, dataset: str) -> dict[str, Job]:
        """Return the job that makes a dataset, for all that read its files, if there is one."""
        made = [*self.of("simulate", dataset), *self.of("fetch", dataset)]
        return {"dataset": made[0]} if made else {}

    def _responses(self, name: str) -> None:
        section = self.study.responses[name]
        ingest = self.find("ingest", section.dataset)
        suffix = {"fmri": "bold"}.get(section.kind, section.kind)
        select = getattr(section, "select", Select())
        for subject in self.subjects(section.dataset, suffix, select):
            self._job(
                "preprocess",
                name,
                section,
                needs={"ingest": ingest, **self._maker(section.dataset)},
                subject=subject,
                roots={"root": self.root(section.dataset)},
                modules=(f"fornix.preprocess.{section.kind}",),
            )

    def _features(self, name: str) -> None:
        section = self.study.features[name]
        source = getattr(section, "source", None)
        if ("features", name, None) in self.jobs:  # another's source, made before it
            return
        if source is not None:
            self._features(source)
        shared = {
            "ingest": self.find("ingest", section.dataset),
            **self._maker(section.dataset),
            **({f"source/{source}": self.find("features", source)} if source else {}),
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
        self._features_job(name, section, shared | {f"part/{job.name}": job for job in parts})

    def _features_job(self, name: str, section: Features, needs: Mapping[str, Job]) -> Job:
        above = {key: job for key, job in needs.items() if not key.startswith("part/")}
        return self._job(
            "features",
            name,
            section,
            needs=needs,
            above=above,
            roots={"root": self.root(section.dataset)},
            contents=self._weights(section, f"features.{name}"),
            modules=(f"fornix.features.{section.kind}",),
        )

    def _weights(self, section: Section, where: str) -> tuple[tuple[str, str], ...]:
        """Return the digests of the local files that a section names."""
        found = []
        for key in ("model", "weights"):
            written = getattr(section, key, None)
            if not isinstance(written, str) or trained_by(section):
                continue
            path = self._package(written) or expand(written, where=f"{where}.{key}")
            if path.is_dir():
                found.append((f"{key}:{path.name}", self._listing(path).digest[:12]))
            elif path.is_file():  # and what lies beside it under its name, such as net.onnx_data
                names = [one.name for one in path.parent.iterdir() if one.is_file()]
                for one in sorted(name for name in names if name.startswith(path.stem)):
                    files = self._listing(path.parent, only=one).files
                    found.append((f"{key}:{one}", files[one][:12]))
        return tuple(found)

    @staticmethod
    def _package(written: str) -> Path | None:
        """Return the folder of weights that an installed Python package brings."""
        name, _, inside = written.removeprefix("package:").partition("/")
        if not written.startswith("package:") or not name.isidentifier():
            return None
        spec = find_spec(name)
        return Path(spec.origin).parent / inside if spec and spec.origin else None

    def _listing(
        self, folder: Path, subjects: Sequence[str] | None = None, *, only: str | None = None
    ) -> Listing:
        return scan(folder, self.cache / "listings", subjects, only=only)

    def _pretraining(self, name: str) -> Job:
        """Add a fit that needs stimuli alone; features may be made of it."""
        if ("fit", name, None) in self.jobs:
            return self.jobs["fit", name, None]
        section = self.study.fits[name]
        assert isinstance(section, PretrainingSection)  # noqa: S101 - the study has been checked
        return self._job(
            "fit",
            name,
            section,
            needs={
                "ingest": self.find("ingest", section.dataset),
                **self._maker(section.dataset),
            },
            seed=self.study.seed,
            roots={"root": self.root(section.dataset)},
            modules=(f"fornix.stages.tasks.{section.task}", f"fornix.models.{section.kind}"),
        )

    def _fit(self, name: str) -> None:
        section = self.study.fits[name]
        if isinstance(section, PretrainingSection):
            self._pretraining(name)
            return
        used = {f"features/{one}": one for one in section.reads()}
        features = {key: self.find("features", one) for key, one in used.items()}
        modules = (f"fornix.stages.tasks.{section.task}", f"fornix.models.{section.kind}")
        responses = {str(one.subject): one for one in self.of("preprocess", section.responses)}
        cohort = section.scope == "cohort"
        whole = {f"responses/{subject}": one for subject, one in responses.items()}
        groups = {None: whole} if cohort else {s: {"responses": r} for s, r in responses.items()}
        fits = {
            subject: self._job(
                "fit",
                name,
                section,
                needs={**mine, **features},
                subject=subject,
                seed=self.study.seed,
                contents=self._weights(section, f"fits.{name}"),
                modules=modules,
            )
            for subject, mine in groups.items()
            if mine
        }
        needs = whole | {f"fit/{one}": fits[None if cohort else one] for one in responses}
        self._job(
            "evaluate",
            name,
            Evaluation(fit=section, scores=self.study.scores),
            needs=needs,
            seed=self.study.seed,
            modules=(f"fornix.evaluation.{section.task}",),
        )

    def _analysis(self, name: str) -> None:
        section = self.study.analyses[name]
        features = {f"features/{one}": self.find("features", one) for one in section.features}
        dataset = self.study.features[section.features[0]].dataset
        self._job(
            "analyse",
            name,
            section,
            needs={"ingest": self.find("ingest", dataset), **features},
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
            for job in self.jobs.values()
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


def _criteria(select: Select) -> list[tuple[str, list[str]]]:
    """Return (key in a file name, allowed labels) for every entity that is chosen."""
    keys = {"subject": "sub", "session": "ses", "task": "task", "run": "run"}
    keys |= {"acquisition": "acq", "space": "space", "description": "desc"}
    chosen = ((key, getattr(select, name)) for name, key in keys.items())
    return [(key, labels) for key, labels in chosen if labels is not None]


def _rdm_subjects(root: Path, pattern: str) -> list[str]:
    """Return the labels 01, 02, ... of the subjects in an RDM archive, from its header alone."""
    from fornix.ingest.rdms import rdm_shape

    return [f"{i + 1:02d}" for i in range(rdm_shape(root, pattern)[0])]
