"""Take a study over from an archive: checked as a whole first, then put in place piece by piece.

:mod:`fornix.dag.archive` checks it. Artifacts are renamed into place whole, Snakemake's notes on
them come next, then the results, and the study file last; a kill leaves a hidden draft and whole
pieces, and the same call ends the work.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fornix.dag.archive import (
    BROKEN,
    artifacts_of,
    checked_jobs,
    confined,
    entities_of,
    extract,
    read_json,
    refuse,
    whole,
)
from fornix.dag.crate import METADATA
from fornix.dag.export import JOBS
from fornix.dag.plan import SNAKEFILE
from fornix.dag.records import Notes
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, TWIN
from fornix.store.commit import put_in_place, sync
from fornix.store.locks import NoLocksError, open_lock, refuse_second_run, take
from fornix.store.publish import publish
from fornix.study.load import load_study

CACHE = Path("cache")


@dataclass(frozen=True)
class Imported:
    """What was taken over.

    Attributes
    ----------
    label
        Name of the results.
    study
        The study file.
    variant
        The variant that was run, if it was one.
    made, there
        How many artifacts were put in place, and how many were here already.
    """

    label: str
    study: Path
    variant: str | None
    made: int
    there: int


def unpack(path: Path, *, replace: bool = False) -> Imported:
    """Put an archive's study, results and artifacts into the project in the working directory.

    Parameters
    ----------
    path
        From :func:`fornix.dag.export.export`.
    replace
        Take the archive's study, results and artifacts where others of their names are here.

    Raises
    ------
    FornixError
        If the archive isn't one, or isn't whole; if something else of that name is here; if a run
        is working on it. Nothing is in place then.
    """
    if not SNAKEFILE.exists():
        problem = "there is no Snakefile here"
        raise FornixError(problem, where=str(Path.cwd()), mend="cd to the project's root")
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        problem = "there is no such file"
        mend = "give an archive that `fornix export` has written"
        raise FornixError(problem, where=str(path), mend=mend) from None
    except (*BROKEN, OSError, ValueError) as error:
        refuse(f"this isn't a whole archive of a study: {error}", str(path))
    with archive:
        return _unpack(archive, path, replace=replace)


def _unpack(archive: zipfile.ZipFile, path: Path, *, replace: bool) -> Imported:
    members = confined(archive, path)
    metadata = entities_of(read_json(archive, METADATA, path), path)
    jobs = checked_jobs(read_json(archive, JOBS, path), path)
    label = str(jobs["label"])
    with refuse_second_run(CACHE / "studies" / f".{label}.lock", label):
        draft = CACHE / f".import-{label}.partial"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            extract(archive, members, metadata, draft, path)
            artifacts = artifacts_of(members, metadata, draft, path)
            records = _records(jobs, artifacts, path)
            study = _study(draft, jobs, path)
            _refuse_others(draft, label, study, artifacts, replace=replace)
            sync(draft)
            notes = Notes()
            made = sum(_install(draft / one, one, records[one], notes) for one in artifacts)
            publish(draft / "results" / label, Path("results") / label)
            _keep(draft, Path("results") / label / "crate")
            _copy(draft / study, study)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Imported(label, study, jobs["variant"], made, len(artifacts) - made)


def _records(jobs: Mapping[str, Any], artifacts: list[Path], path: Path) -> dict[Path, Any]:
    """Return artifact -> what is to be noted of the job that made it."""
    found = {Path(record["output"]).parent: record for record in jobs["jobs"]}
    if lonely := [folder for folder in artifacts if folder not in found]:
        refuse("an artifact has no job", f"{path}: {lonely[0]}")
    return found


def _study(draft: Path, jobs: Mapping[str, Any], path: Path) -> Path:
    """Return the name of the study file, which is there and can be read."""
    name, label, variant = jobs["study"], jobs["label"], jobs["variant"]
    try:
        study = load_study(draft / name, variant)
    except FornixError as error:
        refuse(f"the study can't be read here: {error.problem}", f"{path}: {name}")
    results = f"{path}: results/{label}"
    report = whole(draft / "results" / label, results, twin=False)
    own = f"{study.name}-{variant}" if variant else study.name
    if report.manifest.get("recipe", {}).get("stage") != "report" or own != label:
        refuse("its results aren't those of the study", results)
    return Path(name)


def _refuse_others(
    draft: Path, label: str, study: Path, artifacts: list[Path], *, replace: bool
) -> None:
    """Raise if something else is here under a name that the archive brings."""
    if replace:
        return
    others = []
    if study.exists() and study.read_bytes() != (draft / study).read_bytes():
        others.append(study)
    for folder in [Path("results") / label, *artifacts]:
        here = folder / MANIFEST
        if here.exists() and _digest(here) != _digest(draft / folder / MANIFEST):
            others.append(folder)
    if others:
        more = f", and {len(others) - 3} more" if len(others) > 3 else ""
        problem = f"others of these names are here: {', '.join(map(str, others[:3]))}{more}"
        mend = "import into another folder, or give --replace"
        raise FornixError(problem, where=str(Path.cwd()), mend=mend)


def _digest(manifest: Path) -> str:
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _install(draft: Path, folder: Path, record: Mapping[str, Any], notes: Notes) -> bool:
    """Put an artifact in its place; return False if it is there already."""
    with open_lock(folder.with_name(f".{folder.name}.lock")) as lock:
        with suppress(NoLocksError):
            if not take(lock):
                problem = "another process is making an artifact that the archive brings"
                mend = "import the archive again when it has ended"
                raise FornixError(problem, where=str(folder), mend=mend)
        here = folder / MANIFEST
        if here.exists() and _digest(here) == _digest(draft / MANIFEST):
            return False
        # In this order a kill leaves a job to run, never a file that Snakemake wrongly trusts.
        here.unlink(missing_ok=True)
        notes.write(record)
        put_in_place(draft, folder, own=(TWIN, MANIFEST))
    return True


def _keep(draft: Path, folder: Path) -> None:
    """Keep the metadata, the provenance and the lock beside the results."""
    fresh = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in (METADATA, "provenance", "environment"):
        if (draft / name).exists():
            shutil.move(draft / name, fresh / name)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _copy(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp")
    shutil.copyfile(source, fresh)
    fresh.replace(path)
