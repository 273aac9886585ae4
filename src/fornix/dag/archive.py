"""The archive of a study as it is taken in: confined, and checked as a whole.

Nothing in an archive is trusted. Members are confined to a draft folder and to the few places that
an export fills; every file has the digest that the metadata or its artifact's manifest gives, and
nothing is unpickled or run.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from fornix.dag.crate import METADATA, SPECIFICATION
from fornix.dag.export import BLOCK, FORMAT, JOBS, STUDIES
from fornix.dag.graph import FOLDERS, STAGES
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, TWIN, Artifact, open_artifact
from fornix.store.digests import combine

TOPS = frozenset({"config", "results", "cache", "provenance", "environment", METADATA, JOBS})
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error)
"""What a broken archive makes Python's zipfile say."""
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*(-[A-Za-z][A-Za-z0-9_]*)?")
LARGEST_TEXT = 64 << 20
"""Bytes of metadata that are read into memory at once."""


def confined(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their names, all of which stay inside the folder they are put in."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        # ZipInfo has cut a name at its first NUL; the one in the file counts.
        name = info.orig_filename
        parts = PurePosixPath(name).parts
        odd = "\\" in name or "\0" in name or name != "/".join(parts)
        mode = info.external_attr >> 16
        problem = ""
        if not parts or name.startswith("/") or ".." in parts or odd:
            problem = "a member's name leads out of its folder, or isn't plain"
        elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            problem = "a member is a link, a folder or a device"
        elif parts[0] not in TOPS:
            problem = "a member has no place in a project"
        elif name in found:
            problem = "a member is there twice"
        elif info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            problem = "a member is encrypted, or compressed in a way that no export takes"
        if problem:
            refuse(problem, f"{path}: {name!r}")
        found[name] = info
    for name in (METADATA, JOBS):
        if name not in found:
            refuse(f"the archive has no {name}", str(path))
    folders = {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}
    if both := folders & set(found):
        refuse("a member is a file and a folder", f"{path}: {min(both)!r}")
    return found


def read_json(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    """Return what a member of metadata says."""
    if archive.getinfo(name).file_size > LARGEST_TEXT:
        refuse("the metadata are too large to be true", f"{path}: {name}")
    try:
        return json.loads(archive.read(name))
    except (*BROKEN, ValueError, RecursionError) as error:
        refuse(f"it can't be read as JSON: {error}", f"{path}: {name}")


def entities_of(metadata: Any, path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the entities of the metadata by their identifiers."""
    try:
        entities = {str(one["@id"]): dict(one) for one in metadata["@graph"]}
        version = entities[METADATA]["conformsTo"]["@id"]
    except (KeyError, TypeError, ValueError):
        refuse("these aren't the metadata of an RO-Crate", f"{path}: {METADATA}")
    if version != SPECIFICATION:
        problem = f"an RO-Crate 1.1 is needed, and this says {version!r}"
        refuse(problem, f"{path}: {METADATA}")
    return dict(entities)


def checked_jobs(jobs: Any, path: Path) -> dict[str, Any]:
    """Return the list of jobs if it is one of ours."""
    where = f"{path}: {JOBS}"
    if not isinstance(jobs, dict) or jobs.get("format") != FORMAT:
        found = jobs.get("format") if isinstance(jobs, dict) else None
        refuse(f"its format is {found!r}, and this Fornix reads {FORMAT}", where)
    label, study, variant = (jobs.get(key) for key in ("label", "study", "variant"))
    records = jobs.get("jobs")
    right = (
        isinstance(label, str)
        and LABEL.fullmatch(label)
        and isinstance(study, str)
        and re.fullmatch(rf"{STUDIES}/[^/]+\.ya?ml", study)
        and (variant is None or (isinstance(variant, str) and LABEL.fullmatch(variant)))
        and isinstance(records, list)
        and all(_is_record(record) for record in records)
    )
    if not right:
        refuse("this isn't a list of jobs", where)
    return jobs


def _is_record(record: Any) -> bool:
    keys = {"output", "rule", "input", "params"}
    if not isinstance(record, dict) or set(record) != keys or record["rule"] not in STAGES:
        return False
    lists = (record["input"], record["params"])
    texts = all(isinstance(one, list) and all(isinstance(x, str) for x in one) for one in lists)
    output = record["output"]
    return (
        texts and isinstance(output, str) and output.startswith(f"cache/{FOLDERS[record['rule']]}/")
    )


def extract(
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    metadata: Mapping[str, Mapping[str, Any]],
    draft: Path,
    path: Path,
) -> None:
    """Write the members below a folder; those with a digest in the metadata must have it."""
    needed = sum(info.file_size for info in members.values())
    free = shutil.disk_usage(draft.parent).free
    if needed > free:
        problem = f"the archive needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise FornixError(problem, where=str(draft.parent.absolute()), mend="make room")
    for name, info in members.items():
        target = draft / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("xb") as file:
            try:
                with archive.open(info) as source:
                    while block := source.read(BLOCK):
                        digest.update(block)
                        file.write(block)
            except BROKEN as error:
                refuse(f"the archive is damaged: {error}", f"{path}: {name}")
        if name == METADATA or name.startswith("cache/"):
            continue  # artifacts have manifests with digests of their own
        if metadata.get(name, {}).get("sha256") != digest.hexdigest():
            refuse("a file's contents aren't those that the metadata give", f"{path}: {name}")


def artifacts_of(
    members: Mapping[str, zipfile.ZipInfo],
    metadata: Mapping[str, Mapping[str, Any]],
    draft: Path,
    path: Path,
) -> list[Path]:
    """Return the folders of the artifacts, each of which is what its manifest says, and no more."""
    mine = {name for name in members if name.startswith("cache/")}
    found = []
    for identifier in metadata:
        if not identifier.startswith("cache/"):
            continue
        folder = Path(identifier)
        known = folder.parts[1:2] and folder.parts[1] in FOLDERS.values()
        if (
            not known
            or len(folder.parts) not in (3, 4)
            or any(part.startswith(".") for part in folder.parts)
        ):
            refuse("an artifact has no place in the cache", f"{path}: {identifier}")
        artifact = whole(draft / folder, f"{path}: {identifier}")
        if artifact.digest != metadata[identifier].get("identifier"):
            problem = "an artifact isn't the one that the metadata name"
            refuse(problem, f"{path}: {identifier}")
        own = {f"{folder.as_posix()}/{name}" for name in (MANIFEST, TWIN)}
        for part in artifact.manifest["parts"]:
            place = f"{folder.as_posix()}/{part}"
            own |= {name for name in mine if name == place or name.startswith(f"{place}/")}
        mine -= own
        found.append(folder)
    if mine:
        refuse("a file belongs to no artifact", f"{path}: {min(mine)!r}")
    return found


def whole(folder: Path, where: str, *, twin: bool = True) -> Artifact:
    """Return an artifact whose parts, digests and twin agree."""
    try:
        artifact = open_artifact(folder)
        parts = {str(key): str(value) for key, value in artifact.manifest["parts"].items()}
        plain = all(len(PurePosixPath(one).parts) == 1 and one not in ("..", "/") for one in parts)
        same = not twin or (folder / TWIN).read_bytes() == (folder / MANIFEST).read_bytes()
        right = plain and same and artifact.digest == combine(parts.items())
        damage = artifact.damage() if right else [MANIFEST]
    except (FornixError, OSError, KeyError, AttributeError, TypeError, ValueError):
        damage = [MANIFEST]
    if damage:
        refuse(f"parts of an artifact were changed or lost: {', '.join(damage)}", where)
    return artifact


def refuse(problem: str, where: str) -> NoReturn:
    """Raise what is said of an archive that can't be taken."""
    mend = "export the study again, and trust no other file"
    raise FornixError(problem, where=where, mend=mend) from None
