"""Take a study over from an archive: checked as a whole first, then put in place piece by piece.

Nothing in an archive is trusted. Members are confined to a draft folder and to the few places that
an export fills; every file has the digest that the metadata or its artifact's manifest gives, and
nothing is unpickled or run. Artifacts are renamed into place whole, Snakemake's notes on them come
next, then the results, and the study file last; a kill leaves a hidden draft and whole pieces, and
the same call ends the work.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from fornix.dag.crate import METADATA, SPECIFICATION
from fornix.dag.export import BLOCK, FORMAT, JOBS, STUDIES
from fornix.dag.graph import FOLDERS, STAGES
from fornix.dag.plan import SNAKEFILE
from fornix.dag.records import Notes
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, TWIN, Artifact, open_artifact
from fornix.store.commit import put_in_place, sync
from fornix.store.digests import combine
from fornix.store.publish import publish
from fornix.study.load import load_study

CACHE = Path("cache")
TOPS = frozenset({"config", "results", "cache", "provenance", "environment", METADATA, JOBS})
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error)
"""What a broken archive makes Python's zipfile say."""
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*(-[A-Za-z][A-Za-z0-9_]*)?")
LARGEST_TEXT = 64 << 20
"""Bytes of metadata that are read into memory at once."""


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
        _refuse(f"this isn't a whole archive of a study: {error}", str(path))
    with archive:
        return _unpack(archive, path, replace=replace)


def _unpack(archive: zipfile.ZipFile, path: Path, *, replace: bool) -> Imported:
    members = _confined(archive, path)
    metadata = _entities(_json(archive, METADATA, path), path)
    jobs = _checked_jobs(_json(archive, JOBS, path), path)
    label = str(jobs["label"])
    with _locked(label):
        draft = CACHE / f".import-{label}.partial"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            _extract(archive, members, metadata, draft, path)
            artifacts = _artifacts(members, metadata, draft, path)
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


@contextmanager
def _locked(label: str) -> Iterator[None]:
    """Hold the lock of a study's runs."""
    lock = CACHE / "studies" / f".{label}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = f"a run is working on the study '{label}' in this folder"
            mend = "wait for it, or stop it"
            raise FornixError(problem, where=str(lock), mend=mend) from None
        except OSError:  # a file system without locks
            pass
        yield


def _confined(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
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
            _refuse(problem, f"{path}: {name!r}")
        found[name] = info
    for name in (METADATA, JOBS):
        if name not in found:
            _refuse(f"the archive has no {name}", str(path))
    folders = {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}
    if both := folders & set(found):
        _refuse("a member is a file and a folder", f"{path}: {min(both)!r}")
    return found


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    if archive.getinfo(name).file_size > LARGEST_TEXT:
        _refuse("the metadata are too large to be true", f"{path}: {name}")
    try:
        return json.loads(archive.read(name))
    except (*BROKEN, ValueError, RecursionError) as error:
        _refuse(f"it can't be read as JSON: {error}", f"{path}: {name}")


def _entities(metadata: Any, path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the entities of the metadata by their identifiers."""
    try:
        entities = {str(one["@id"]): dict(one) for one in metadata["@graph"]}
        version = entities[METADATA]["conformsTo"]["@id"]
    except (KeyError, TypeError, ValueError):
        _refuse("these aren't the metadata of an RO-Crate", f"{path}: {METADATA}")
    if version != SPECIFICATION:
        problem = f"an RO-Crate 1.1 is needed, and this says {version!r}"
        _refuse(problem, f"{path}: {METADATA}")
    return dict(entities)


def _checked_jobs(jobs: Any, path: Path) -> dict[str, Any]:
    """Return the list of jobs if it is one of ours."""
    where = f"{path}: {JOBS}"
    if not isinstance(jobs, dict) or jobs.get("format") != FORMAT:
        found = jobs.get("format") if isinstance(jobs, dict) else None
        _refuse(f"its format is {found!r}, and this Fornix reads {FORMAT}", where)
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
        _refuse("this isn't a list of jobs", where)
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


def _extract(
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
                _refuse(f"the archive is damaged: {error}", f"{path}: {name}")
        if name == METADATA or name.startswith("cache/"):
            continue  # artifacts have manifests with digests of their own
        if metadata.get(name, {}).get("sha256") != digest.hexdigest():
            _refuse("a file's contents aren't those that the metadata give", f"{path}: {name}")


def _artifacts(
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
            _refuse("an artifact has no place in the cache", f"{path}: {identifier}")
        artifact = _whole(draft / folder, f"{path}: {identifier}")
        if artifact.digest != metadata[identifier].get("identifier"):
            problem = "an artifact isn't the one that the metadata name"
            _refuse(problem, f"{path}: {identifier}")
        own = {f"{folder.as_posix()}/{name}" for name in (MANIFEST, TWIN)}
        for part in artifact.manifest["parts"]:
            whole = f"{folder.as_posix()}/{part}"
            own |= {name for name in mine if name == whole or name.startswith(f"{whole}/")}
        mine -= own
        found.append(folder)
    if mine:
        _refuse("a file belongs to no artifact", f"{path}: {min(mine)!r}")
    return found


def _whole(folder: Path, where: str, *, twin: bool = True) -> Artifact:
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
        _refuse(f"parts of an artifact were changed or lost: {', '.join(damage)}", where)
    return artifact


def _records(jobs: Mapping[str, Any], artifacts: list[Path], path: Path) -> dict[Path, Any]:
    """Return artifact -> what is to be noted of the job that made it."""
    found = {Path(record["output"]).parent: record for record in jobs["jobs"]}
    if lonely := [folder for folder in artifacts if folder not in found]:
        _refuse("an artifact has no job", f"{path}: {lonely[0]}")
    return found


def _study(draft: Path, jobs: Mapping[str, Any], path: Path) -> Path:
    """Return the name of the study file, which is there and can be read."""
    name, label, variant = jobs["study"], jobs["label"], jobs["variant"]
    try:
        study = load_study(draft / name, variant)
    except FornixError as error:
        _refuse(f"the study can't be read here: {error.problem}", f"{path}: {name}")
    results = f"{path}: results/{label}"
    report = _whole(draft / "results" / label, results, twin=False)
    own = f"{study.name}-{variant}" if variant else study.name
    if report.manifest.get("recipe", {}).get("stage") != "report" or own != label:
        _refuse("its results aren't those of the study", results)
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = "another process is making an artifact that the archive brings"
            mend = "import the archive again when it has ended"
            raise FornixError(problem, where=str(folder), mend=mend) from None
        except OSError:  # a file system without locks
            pass
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


def _refuse(problem: str, where: str) -> NoReturn:
    mend = "export the study again, and trust no other file"
    raise FornixError(problem, where=where, mend=mend) from None
