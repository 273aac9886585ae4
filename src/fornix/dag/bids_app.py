"""A study over a BIDS folder that isn't its own: what Snakemake is called with, and where.

The work dir is a project's root: it has the cache, the logs and a link ``bids`` to the dataset.
The study names the link, so that a dataset that is moved, or mounted elsewhere, makes nothing anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import fornix
from fornix.dag.graph import Graph
from fornix.dag.workflow import study_of
from fornix.errors import FornixError, did_you_mean
from fornix.store.draft import write_atomically
from fornix.store.publish import publish
from fornix.study.base import Select, digest_of
from fornix.study.load import apply_variant, parse_study, read_raw
from fornix.study.responses import suffix_of

LINK = Path("bids")
UNUSED = ("t1w", "t2w", "flair", "fmap", "sbref", "roi")
"""Queries of fMRIPrep's filter files for images that no study reads."""

DESCRIPTION = "dataset_description.json"


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes
    ----------
    study, variant
        A study's file, or the name of one that comes with Fornix; one of its variants.
    dataset
        Which of the study's datasets the folder stands for; None if there is no doubt.
    subjects, sessions, tasks
        Labels to use, with or without ``sub-`` and ``ses-``; empty: all.
    filters
        JSON file of entities by suffix, as fMRIPrep takes it.
    threads, seed
        In place of the study's.
    """

    study: str
    variant: str | None = None
    dataset: str | None = None
    subjects: Sequence[str] = ()
    sessions: Sequence[str] = ()
    tasks: Sequence[str] = ()
    filters: Path | None = None
    threads: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Run:
    """A call of Snakemake.

    Attributes
    ----------
    work
        The folder to call it in.
    words
        Its options.
    targets
        The manifests that are wanted; empty: all of the study.
    label, report
        Name of the study's results; the artifact of its report.
    output
        Where results go; they are made by a run of all of the study.
    """

    work: Path
    words: list[str]
    targets: list[str]
    label: str
    report: Path
    output: Path

    def publish(self) -> Iterator[str]:
        """Put into the output folder what the run has made for it; yield a line for people."""
        self.output.mkdir(parents=True, exist_ok=True)
        _describe(self.output)
        if self.targets:
            yield f"{len(self.targets)} artifacts of participants in {self.work / 'cache'}"
        else:
            folder = self.output / self.label
            publish(self.report, folder)
            yield f"report: {folder / 'report.html'}"


def prepare(request: Request, *, bids: Path, output: Path, work: Path, group: bool) -> Run:
    """Make a work dir ready, and say how Snakemake is to be called in it.

    Parameters
    ----------
    request
        The study, and which recordings.
    bids
        The dataset's root.
    output, work
        Folders, made if they aren't there.
    group
        Whether to run all of the study, or only what belongs to one person each.

    Raises
    ------
    FornixError
        If the folders are in each other's way, the study can't be read, it has no such dataset or
        people, or the filters aren't ones.
    """
    bids, output, work = bids.resolve(), output.resolve(), work.resolve()
    _keep_apart(bids, output, work)
    raw, source = _study_over(request)
    work.mkdir(parents=True, exist_ok=True)
    _link(work / LINK, bids)
    with chdir(work):  # a study's paths are relative to the project's root
        graph = Graph(*study_of(raw))
        people = _known(request.subjects, graph)
        if group and people:
            raw["datasets"][source]["select"]["subject"] = people
            graph = Graph(*study_of(raw))
        file = _written(raw, graph.label)
        wanted = [] if group else _of_people(graph, people)
        report = graph.report.folder.absolute()
    if not group and not wanted:
        problem = f"the study '{graph.label}' has nothing that belongs to one person"
        raise FornixError(problem, where="--study", mend="run the level group")
    root = project_files()
    words = ["--snakefile", str(root / "Snakefile"), "--configfile", str(file)]
    words += ["--workflow-profile", str(root / "workflow/profiles/default")]
    return Run(work, words, wanted, graph.label, report, output)


def project_files() -> Path:
    """Return the folder of the Snakefile: a checkout's root, or what a wheel brings of it."""
    package = Path(fornix.__file__).parent
    installed = package / "project"
    return installed if installed.is_dir() else package.parents[1]


def profile(name: str) -> str:
    """Return a profile's folder, absolute; ``slurm`` and ``generic`` come with Fornix."""
    ours = project_files() / "workflow/profiles" / name
    return str(Path(name).resolve() if Path(name).is_dir() or not ours.is_dir() else ours)


def _study_over(request: Request) -> tuple[dict[str, Any], str]:
    """Return Snakemake's config of the study over the folder, and the dataset's name."""
    path = _study_file(request.study)
    raw, lines = read_raw(path)
    study = parse_study(raw, source=str(path), variant=request.variant, lines=lines)
    changed = apply_variant(dict(raw), request.variant, str(path))
    name = request.dataset or _only_dataset(study.datasets, str(path))
    if name not in study.datasets:
        problem = f"the study has no dataset '{name}'"
        raise FornixError(problem, where="--dataset", mend=did_you_mean(name, study.datasets))
    old = study.datasets[name]
    if old.source == "rdms":
        problem = f"the dataset '{name}' is of dissimilarity matrices, which a BIDS folder isn't"
        raise FornixError(problem, where=str(path), mend="choose another study, or --dataset")
    select = old.select.model_dump(exclude_none=True)
    select |= {"session": _labels(request.sessions, "ses-")} if request.sessions else {}
    select |= {"task": _labels(request.tasks, "task-")} if request.tasks else {}
    stimuli = old.stimuli.model_dump()
    new = {"source": "local", "path": str(LINK), "select": select, "stimuli": stimuli}
    changed["datasets"] = {**changed["datasets"], name: new}
    changed["responses"] = _filtered(changed, name, request.filters)
    if request.threads is not None:
        changed["compute"] = {**(changed.get("compute") or {}), "threads": request.threads}
    if request.seed is not None:
        changed["seed"] = request.seed
    # The variant has been merged; a name without overrides keeps the name of its results.
    changed["variants"] = {request.variant: {}} if request.variant else {}
    parse_study(changed, source=f"{path} over the folder", variant=request.variant)
    return changed | ({"variant": request.variant} if request.variant else {}), name


def _study_file(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    folder = project_files() / "config/studies"
    known = {path.stem: path for path in folder.glob("*.yaml")}
    if name not in known:
        problem = f"there is no study '{name}', nor a file of that name"
        raise FornixError(problem, where="--study", mend=did_you_mean(name, known))
    return known[name]


def _only_dataset(datasets: Mapping[str, Any], where: str) -> str:
    """Return the dataset that a folder can stand for: the only one, or the only one on disk."""
    local = [name for name, one in datasets.items() if one.source == "local"]
    for names in (list(datasets), local):
        if len(names) == 1:
            return names[0]
    problem = "the study has several datasets, and BIDS_DIR can stand for one of them"
    mend = f"give --dataset, one of: {', '.join(datasets)}"
    raise FornixError(problem, where=where, mend=mend)


def _filtered(raw: Mapping[str, Any], dataset: str, file: Path | None) -> dict[str, Any]:
    """Return the responses of a raw study, with the entities that a filter file wants."""
    responses = dict(raw.get("responses") or {})
    if file is None:
        return responses
    queries = _queries(file)
    for name, section in responses.items():
        wanted = queries.get(suffix_of(section["kind"]))
        if wanted is not None and section["dataset"] == dataset:
            responses[name] = {**section, "select": {**(section.get("select") or {}), **wanted}}
    used = {suffix_of(one["kind"]) for one in responses.values()}
    if unknown := sorted(queries.keys() - used - set(UNUSED)):
        problem = f"the study reads no recordings with the suffix '{unknown[0]}'"
        raise FornixError(problem, where=str(file), mend=did_you_mean(unknown[0], used))
    return responses


def _queries(file: Path) -> dict[str, dict[str, list[str]]]:
    """Read a filter file: suffix -> entity -> labels."""
    where = str(file)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem, mend = f"the filter file can't be read: {error}", "see fornix participant --help"
        raise FornixError(problem, where=where, mend=mend) from None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        problem, mend = "a filter file is a mapping of suffixes", 'such as {"bold": {"run": ["1"]}}'
        raise FornixError(problem, where=where, mend=mend)
    queries: dict[str, dict[str, list[str]]] = {}
    for suffix, entities in found.items():
        if suffix in UNUSED:
            continue
        queries[suffix] = {}
        for name, value in entities.items():
            entity = {"desc": "description"}.get(name, name)
            labels = value if isinstance(value, list) else [value]
            if entity in ("suffix", "datatype", "extension"):
                continue  # the kind of responses says these
            if entity not in Select.model_fields:
                problem = f"{suffix}: recordings can't be chosen by '{name}'"
                raise FornixError(
                    problem, where=where, mend=did_you_mean(name, Select.model_fields)
                )
            if not labels or not all(isinstance(one, str) for one in labels):
                problem = f"{suffix}.{name} is {value!r}, and not a label or a list of labels"
                mend = 'write labels as the file names have them, in quotes: "01"'
                raise FornixError(problem, where=where, mend=mend)
            queries[suffix][entity] = labels
    return queries


def _labels(words: Sequence[str], prefix: str) -> list[str]:
    return list(dict.fromkeys(word.removeprefix(prefix) for word in words))


def _known(subjects: Sequence[str], graph: Graph) -> list[str]:
    """Return the labels without ``sub-``; raise if the study would use no recordings of one."""
    people = _labels(subjects, "sub-")
    known = {job.subject for job in graph.jobs.values() if job.subject}
    if missing := [one for one in people if one not in known]:
        problem = f"there is no participant '{missing[0]}' with recordings that the study uses"
        mend = did_you_mean(missing[0], known)
        raise FornixError(problem, where="--participant-label", mend=mend)
    return people


def _of_people(graph: Graph, people: Sequence[str]) -> list[str]:
    """Return the manifests of the jobs that belong to one person each."""
    jobs = [job for stage in ("preprocess", "fit") for job in graph.of(stage) if job.subject]
    return [str(job.manifest) for job in jobs if not people or job.subject in people]


def _keep_apart(bids: Path, output: Path, work: Path) -> None:
    if not bids.is_dir():
        problem = "the dataset's folder doesn't exist"
        raise FornixError(problem, where=str(bids), mend="give the root of a BIDS dataset")
    for name, folder in (("OUTPUT_DIR", output), ("--work-dir", work)):
        if folder.is_relative_to(bids):
            problem = f"{name} is inside BIDS_DIR, all of which is read as data"
            raise FornixError(problem, where=str(folder), mend="give a folder beside it")


def _link(link: Path, bids: Path) -> None:
    """Let a work dir's link lead to the dataset; a work dir is of one dataset."""
    if link.is_symlink() and not link.exists():  # the dataset was moved
        link.unlink()
    if link.is_symlink() and link.resolve() == bids:
        return
    if link.exists():
        problem = f"the work dir belongs to another dataset, {link.resolve()}"
        raise FornixError(problem, where=str(link.parent), mend="give another --work-dir")
    link.symlink_to(bids, target_is_directory=True)


def _written(raw: Mapping[str, Any], label: str) -> Path:
    """Write Snakemake's config under a name that changes with its content."""
    path = Path("studies").absolute() / f"{label}-{digest_of(raw)}.yaml"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True))
    return path


def _describe(folder: Path) -> None:
    """Make a folder a derivative dataset, unless it is one already."""
    path = folder / DESCRIPTION
    if path.exists():
        return
    made_by = {"Name": "Fornix", "Version": fornix.__version__}
    about = {"Name": "Fornix", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    text = json.dumps({**about, "GeneratedBy": [made_by]}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
