"""A study as a research object: the JSON-LD of an RO-Crate 1.1.

Every file of the archive is an entity with its size and SHA-256; every job is an action with its
instrument, its inputs and its result; artifacts are data sets, in the archive or only known by
the digest of their contents.

Source: https://w3id.org/ro/crate/1.1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fornix.study.study import Study

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
CONTEXT = [f"{SPECIFICATION}/context", {"sha256": "https://schema.org/sha256"}]
NO_LICENSE = "No licence has been stated: ask the authors before you reuse this."

FORMATS = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


@dataclass(frozen=True)
class File:
    """A file of the archive: its name in it, what it is, its size (bytes) and SHA-256."""

    name: str
    what: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Made:
    """An artifact and the job that made it.

    Attributes
    ----------
    title
        The job, in words.
    folder
        Its folder, relative to the project's root.
    needs
        Folders of the artifacts that it was made from.
    manifest
        Its manifest.
    """

    title: str
    folder: str
    needs: Sequence[str]
    manifest: Mapping[str, Any]


@dataclass
class Crate:
    """What the metadata are written from.

    Attributes
    ----------
    study, label
        The study, and the name of its results.
    study_file
        Name in the archive of the file that says what was done.
    license
        A URL, or a sentence.
    with_caches
        Whether the artifacts are in the archive.
    files, made
        What the archive holds, and how it came about.
    """

    study: Study
    label: str
    study_file: str
    license: str = NO_LICENSE
    with_caches: bool = False
    files: list[File] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        """Return the content of ``ro-crate-metadata.json``."""
        artifacts = [self._artifact(one) for one in self.made]
        parts = [_ref(one.name) for one in self.files]
        parts += [_ref(one["@id"]) for one in artifacts] if self.with_caches else []
        ends = [_ended(one.manifest["provenance"]) for one in self.made]
        root: dict[str, Any] = {
            "@id": "./",
            "@type": "Dataset",
            "name": self.study.title or self.label,
            "description": self._description(),
            "datePublished": max(ends),
            "license": self.license,
            "hasPart": parts,
            "mainEntity": _ref(self.study_file),
            "mentions": [_ref(_action(one)) for one in self.made],
            "identifier": self.label,
        }
        graph = [
            {
                "@id": METADATA,
                "@type": "CreativeWork",
                "conformsTo": _ref(SPECIFICATION),
                "about": _ref("./"),
            },
            root,
            *(self._file(one) for one in self.files),
            *artifacts,
            *(self._action(one) for one in self.made),
            *self._software(),
        ]
        if self.license.startswith(("http://", "https://")):
            root["license"] = _ref(self.license)
            graph.append({"@id": self.license, "@type": "CreativeWork", "name": self.license})
        if doi := self.study.paper.doi:
            url = doi if doi.startswith("http") else f"https://doi.org/{doi}"
            root["citation"] = _ref(url)
            name = self.study.paper.citation or doi
            graph.append({"@id": url, "@type": "ScholarlyArticle", "name": name})
        return {"@context": CONTEXT, "@graph": graph}

    def _description(self) -> str:
        study = self.study
        found = f"The study '{self.label}': {len(study.fits)} fits, {len(study.features)} features"
        found += f", {len(study.claims)} claims; made by Fornix."
        if study.paper.citation:
            found += f" After {study.paper.citation}."
        return found

    def _file(self, one: File) -> dict[str, Any]:
        kinds = ["File", "SoftwareSourceCode"] if one.name == self.study_file else "File"
        suffix = f".{one.name.rpartition('.')[2]}"
        return {
            "@id": one.name,
            "@type": kinds,
            "name": one.what,
            "contentSize": str(one.size),
            "encodingFormat": FORMATS.get(suffix, "application/octet-stream"),
            "sha256": one.sha256,
        }

    def _artifact(self, one: Made) -> dict[str, Any]:
        return {
            "@id": self._id(one.folder),
            "@type": "Dataset",
            "name": f"artifact of: {one.title}",
            "identifier": str(one.manifest["digest"]),
        }

    def _id(self, folder: str) -> str:
        return f"{folder}/" if self.with_caches else f"#{folder}"

    def _action(self, one: Made) -> dict[str, Any]:
        spent = one.manifest["provenance"]
        return {
            "@id": _action(one),
            "@type": "CreateAction",
            "name": one.title,
            "instrument": _ref(_software(one.manifest)),
            "object": [_ref(self._id(folder)) for folder in one.needs],
            "result": _ref(self._id(one.folder)),
            "startTime": str(spent["started"]),
            "endTime": _ended(spent),
            "description": (
                f"on {spent['platform']}, Python {spent['python']}; {spent['cpu_s']} s of "
                f"processor time, at most {spent['peak_memory_mb']} MB"
            ),
        }

    def _software(self) -> list[dict[str, Any]]:
        found = {}
        for one in self.made:
            spent = one.manifest["provenance"]
            version = (
                f"{spent['fornix']} ({spent['commit']})" if spent["commit"] else spent["fornix"]
            )
            found[_software(one.manifest)] = {
                "@id": _software(one.manifest),
                "@type": "SoftwareApplication",
                "name": "Fornix",
                "softwareVersion": version,
            }
        return list(found.values())


def _ref(identifier: str) -> dict[str, str]:
    return {"@id": identifier}


def _action(one: Made) -> str:
    return f"#made/{one.folder}"


def _software(manifest: Mapping[str, Any]) -> str:
    spent = manifest["provenance"]
    return f"#fornix-{spent['fornix']}-{spent['commit']}".rstrip("-")


def _ended(spent: Mapping[str, Any]) -> str:
    started = datetime.fromisoformat(spent["started"])
    return (started + timedelta(seconds=float(spent["wall_s"]))).isoformat(timespec="seconds")
