"""One archive of a finished study: the study, the lock, results, provenance, and the artifacts.

The archive is a zip file whose bytes depend on its contents alone. It is written beside its place
and renamed, so that what has its name is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from fornix.dag.crate import METADATA, NO_LICENSE, Crate, File, Made
from fornix.dag.graph import Graph
from fornix.dag.plan import reasons
from fornix.dag.records import record_of
from fornix.dag.workflow import study_of
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, TWIN, Artifact, open_artifact
from fornix.store.draft import dumps
from fornix.store.publish import publish

FORMAT = 1
JOBS = "jobs.json"
LOCK = "environment/constraints.txt"
INSTALLED = "environment/installed.txt"
STUDIES = "config/studies"
CONSTRAINTS = Path("envs/constraints.txt")
TEXTS = frozenset({".css", ".csv", ".html", ".json", ".svg", ".tsv", ".txt", ".yaml", ".yml"})
"""What is compressed; arrays, tables and pictures are already."""
BLOCK = 1 << 20


def export(
    study: Path,
    variant: str | None = None,
    *,
    output: Path | None = None,
    caches: bool = False,
    license_: str = NO_LICENSE,
) -> Path:
    """Write the archive of a study that has been run here; return its path.

    Parameters
    ----------
    study, variant
        The study.
    output
        The archive; by default ``<name>.crate.zip``.
    caches
        Put the artifacts in, so that a run elsewhere has nothing to do.
    license_
        A URL or a sentence.

    Raises
    ------
    FornixError
        If the study isn't finished, an artifact is damaged or missing, or the archive is there.
    """
    config = {"study": str(study)} | ({"variant": variant} if variant else {})
    graph = Graph(*study_of(config))
    output = output or Path(f"{graph.label}.crate.zip")
    if output.exists():
        problem = "there is a file of this name already"
        mend = "move it away, or give another name with --output"
        raise FornixError(problem, where=str(output), mend=mend)
    if not output.absolute().parent.is_dir():
        problem = "the archive's folder doesn't exist"
        raise FornixError(problem, where=str(output), mend="make the folder first")
    if todo := reasons(config, graph):
        problem = f"the study isn't finished: {len(todo)} of {len(graph.jobs)} jobs would run"
        mend = f"run it (snakemake --configfile {study}), then export; `fornix plan` says why"
        raise FornixError(problem, where=graph.label, mend=mend)
    publish(graph.report.folder, graph.results)  # what is there may be of other settings
    draft = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(draft, "w", allowZip64=True) as archive:
            _Writer(archive, graph, study, license_, caches=caches).write(variant)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    return output


class _Writer:
    """Fills an archive, noting every file for the metadata."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        graph: Graph,
        study: Path,
        license_: str,
        *,
        caches: bool,
    ) -> None:
        self.archive, self.graph, self.study, self.caches = archive, graph, study, caches
        name = f"{STUDIES}/{study.name}"
        self.crate = Crate(graph.study, graph.label, name, license_, caches)

    def write(self, variant: str | None) -> None:
        """Write all members, the metadata last."""
        self._add(self.crate.study_file, self.study.read_bytes(), "the study file")
        if CONSTRAINTS.exists():
            self._add(LOCK, CONSTRAINTS.read_bytes(), "the lock: versions of all libraries")
        self._add(INSTALLED, _installed().encode(), "the libraries that were installed")
        self._results()
        for job in self.graph.jobs.values():
            artifact = open_artifact(job.folder)
            if self.caches:
                self._artifact(artifact)
            manifest = (job.folder / MANIFEST).read_bytes()
            name = f"provenance/{job.folder.relative_to(self.graph.cache).as_posix()}.json"
            self._add(name, manifest, f"provenance of: {job.title}")
            needs = dict.fromkeys(one.folder.as_posix() for one in job.needs.values())
            folder = job.folder.as_posix()
            self.crate.made.append(Made(job.title, folder, list(needs), artifact.manifest))
        self._add(JOBS, dumps(self._jobs(variant)).encode(), "the jobs, as Snakemake compares them")
        metadata = json.dumps(self.crate.metadata(), indent=1, ensure_ascii=False) + "\n"
        self._put(METADATA, metadata.encode())

    def _jobs(self, variant: str | None) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "label": self.graph.label,
            "study": self.crate.study_file,
            "variant": variant,
            "caches": self.caches,
            "jobs": [record_of(job) for job in self.graph.jobs.values()],
        }

    def _results(self) -> None:
        folder = self.graph.results
        report = open_artifact(folder)
        report.verify()
        for path in sorted(_files(folder, [*report.manifest["parts"], MANIFEST])):
            name = f"results/{self.graph.label}/{path.relative_to(folder).as_posix()}"
            self._add(name, path.read_bytes(), f"results: {path.name}")

    def _artifact(self, artifact: Artifact) -> None:
        artifact.verify()
        for path in sorted(_files(artifact.path, [*artifact.manifest["parts"], MANIFEST])):
            self._stream(path.as_posix(), path)
        # The twin is the manifest, and need not be trusted to be.
        self._put(f"{artifact.path.as_posix()}/{TWIN}", (artifact.path / MANIFEST).read_bytes())

    def _add(self, name: str, content: bytes, what: str) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self.crate.files.append(File(name, what, len(content), digest))
        self._put(name, content)

    def _put(self, name: str, content: bytes) -> None:
        self.archive.writestr(_info(name), content)

    def _stream(self, name: str, path: Path) -> None:
        info = _info(name)
        info.file_size = path.stat().st_size
        with path.open("rb") as source, self.archive.open(info, "w") as target:
            while block := source.read(BLOCK):
                target.write(block)


def _files(folder: Path, parts: list[str]) -> Iterator[Path]:
    """Yield the files of an artifact's parts."""
    for name in parts:
        path = folder / name
        if path.is_dir():
            yield from (one for one in path.rglob("*") if one.is_file())
        else:
            yield path


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)  # with the date on which zip files begin: contents alone count
    info.compress_type = zipfile.ZIP_STORED
    if f".{name.rpartition('.')[2]}" in TEXTS:
        info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _installed() -> str:
    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions()}
    return "\n".join(sorted(found, key=str.lower)) + "\n"
