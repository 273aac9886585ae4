"""Create, commit, adopt, open and verify artifacts.

Life of an artifact at ``cache/features/vit-1a2b3c4d5e6f``:

1. ``create`` opens a draft in the sibling folder ``.vit-1a2b3c4d5e6f.partial``.
2. The stage writes parts into it: zarr groups, parquet tables, JSON, any file.
3. On leaving the block, every part is digested, ``manifest.json`` is written last, and the
   folder is renamed into place. A path that exists is whole; a crash leaves a ``.partial``.

Snakemake deletes a job's output (the manifest) before it starts the job, also when the job was
killed after its artifact was committed but before Snakemake noted it. A twin of the manifest,
``.manifest.json``, survives that: ``adopt`` finds it, checks the recipe and every digest, and
puts the manifest back, so that nothing finished is computed twice.

A stage that takes hours may keep its draft over a kill: it lays its arrays out whole, writes them
block by block, and calls ``save`` after each with what it needs to go on. The next process finds
that in ``resumed``, if the recipe is still the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fornix.errors import FornixError
from fornix.store.commit import clear_up, put_in_place, remove_temporaries, sync
from fornix.store.digests import combine, part_digest
from fornix.store.draft import PROGRESS, Draft, dumps, write_atomically
from fornix.store.locks import hold
from fornix.store.provenance import Meter
from fornix.store.space import PARTIAL, told

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

MANIFEST = "manifest.json"
TWIN = ".manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Read:
    """An artifact that a job reads, as it was when the job began.

    Attributes
    ----------
    path
        Its folder.
    digest
        Digest of its contents.
    inode
        Number of the folder: another making of the same contents is another folder.
    """

    path: Path
    digest: str
    inode: int

    @classmethod
    def begin(cls, path: Path, identity: str) -> Read:
        """Make sure that an artifact is whole, and the one that is meant.

        A manifest that another run's Snakemake has deleted, since it is about to make the artifact
        again, is put back from its twin.

        Raises
        ------
        FornixError
            If it isn't there, or was made from something else.
        """
        folder, twin, manifest = path, path / TWIN, path / MANIFEST
        if not manifest.exists() and twin.exists():
            text = twin.read_text(encoding="utf-8")
            if json.loads(text).get("identity") == identity:
                write_atomically(manifest, text)
        found = open_artifact(folder)
        if found.manifest.get("identity") != identity:
            problem = "this artifact was made from other data, settings or code than the study says"
            mend = (
                "run the study again. Don't edit data or code while it runs; checkouts that differ "
                "in them need a cache each"
            )
            raise FornixError(problem, where=str(folder), mend=mend)
        return cls(folder, found.digest, folder.stat().st_ino)

    def check_same(self) -> None:
        """Raise FornixError if the artifact was replaced since."""
        try:
            twin = json.loads((self.path / TWIN).read_text(encoding="utf-8"))
            same = (twin["digest"], self.path.stat().st_ino) == (self.digest, self.inode)
        except (OSError, ValueError, KeyError):
            same = False
        if not same:
            problem = "another run replaced this artifact while a job was reading it"
            mend = "run again; checkouts that differ in data or code need a cache each"
            raise FornixError(problem, where=str(self.path), mend=mend)


@dataclass(frozen=True)
class Target:
    """Where a job's artifact goes, and which code makes it.

    Attributes
    ----------
    path
        Folder of the artifact.
    code
        Module or file -> digest of every source file that the stage imports from fornix.
    versions
        Library -> version, for those that decide the stage's numbers.
    identity
        Digest of what the artifact is made from, as far as it is known before the work: noted, so
        that whoever finds it can tell whether it is the one that is meant.
    reads
        The artifacts that the stage reads. Nothing is committed if one of them is replaced while
        it works.
    agree
        Of several processes that make it together: turns what this one has found into what the
        first one has.
    """

    path: Path
    code: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    reads: Sequence[Read] = ()
    agree: Callable[[bool], bool] = bool


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made from; two equal recipes make equal artifacts.

    Attributes
    ----------
    stage
        Name of the stage.
    section
        The settings, JSON-like.
    inputs
        Input name -> digest of the contents that were read (not of their paths).
    """

    stage: str
    section: Mapping[str, Any]
    inputs: Mapping[str, str]

    def describe(self, target: Target) -> dict[str, Any]:
        """Return the recipe with the code and versions that carry it out."""
        return {
            "stage": self.stage,
            "section": dict(self.section),
            "inputs": dict(self.inputs),
            "code": dict(target.code),
            "versions": dict(target.versions),
        }


@dataclass(frozen=True)
class Artifact:
    """A committed artifact."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Digest of all parts' contents."""
        return str(self.manifest["digest"])

    def digests(self, *names: str) -> str:
        """Return the digest of some parts only, for inputs that read no more than these."""
        parts = self.manifest["parts"]
        return combine((name, parts[name]) for name in names)

    def part(self, name: str) -> Path:
        """Return the path of a part.

        Raises
        ------
        FornixError
            If the artifact has no such part.
        """
        if name not in self.manifest["parts"]:
            problem = f"the artifact has no part '{name}'; it has {sorted(self.manifest['parts'])}"
            raise FornixError(problem, where=str(self.path), mend="delete the folder and rerun")
        return self.path / name

    def share(self, name: str, subject: str) -> str:
        """Return the name of a subject's part: its own in a cohort's artifact, else the only one.

        For zarr groups and tables, without their suffix.
        """
        own = f"{name}-{subject}"
        parts = self.manifest["parts"]
        return own if any(f"{own}.{end}" in parts for end in ("zarr", "parquet")) else name

    def dataset(self, name: str) -> xr.Dataset:
        """Open ``<name>.zarr``, lazily."""
        import xarray as xr

        path = self.part(f"{name}.zarr")
        return xr.open_dataset(path, engine="zarr", consolidated=False, chunks=None)

    def table(self, name: str) -> pd.DataFrame:
        """Read ``<name>.parquet``."""
        import pandas as pd

        return pd.read_parquet(self.part(f"{name}.parquet"))

    def json(self, name: str) -> Any:
        """Read a JSON part."""
        return json.loads(self.part(name).read_text(encoding="utf-8"))

    def damage(self) -> list[str]:
        """Return the parts that are missing or whose contents have changed since the commit."""
        return [
            name
            for name, digest in self.manifest["parts"].items()
            if not (self.path / name).exists() or part_digest(self.path / name) != digest
        ]

    def verify(self) -> None:
        """Raise FornixError if any part isn't what was committed."""
        if damage := self.damage():
            problem = f"parts of the artifact were changed or lost: {', '.join(damage)}"
            raise FornixError(problem, where=str(self.path), mend="delete the folder and rerun")


def open_artifact(path: Path | str) -> Artifact:
    """Open an artifact by its folder or its manifest.

    Raises
    ------
    FornixError
        If there is no whole artifact.
    """
    path = Path(path)
    folder = path.parent if path.name == MANIFEST else path
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = "no artifact here: the folder has no manifest.json"
        raise FornixError(problem, where=str(folder), mend="run the study to make it") from None
    except (OSError, ValueError) as error:
        problem = f"the manifest can't be read: {error}"
        raise FornixError(problem, where=str(folder), mend="delete the folder and rerun") from None
    return Artifact(folder, manifest)


def adopt(target: Target, recipe: Recipe) -> bool:
    """Return True if the artifact is already there, made by this very recipe and undamaged.

    From here on the artifact is this process's until it ends: another process that is about to
    make the same one waits here, and then adopts what this one has made.
    """
    hold(target.path)
    return target.agree(_adopted(target, recipe))


def _adopted(target: Target, recipe: Recipe) -> bool:
    twin = target.path / TWIN
    try:
        manifest = json.loads(twin.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return False
    if manifest["recipe"] != json.loads(dumps(recipe.describe(target))):
        return False
    if Artifact(target.path, manifest).damage():
        return False
    text = dumps(manifest | {"identity": target.identity})
    for path in (twin, target.path / MANIFEST):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    clear_up(target.path, own=(TWIN, MANIFEST))
    return True


@contextmanager
def create(target: Target, recipe: Recipe) -> Iterator[Draft]:
    """Open a draft; commit it on leaving the block.

    On an exception it is thrown away, unless the stage has saved it to go on with it later.

    Raises
    ------
    FornixError
        If the disk is full, nothing can be written there, or an artifact that was read has been
        replaced meanwhile.
    """
    draft_path = target.path.with_name(f".{target.path.name}{PARTIAL}")
    draft, meter = Draft(draft_path, recipe.describe(target)), Meter()
    try:
        if draft.resumed is None:
            shutil.rmtree(draft_path, ignore_errors=True)
            draft_path.mkdir(parents=True)
        else:
            remove_temporaries([*draft_path.rglob("*")])
        yield draft
        own = (PROGRESS, TWIN, MANIFEST)  # a kill in mid-commit leaves some of them
        names = sorted(part.name for part in draft_path.iterdir() if part.name not in own)
        parts = {name: part_digest(draft_path / name) for name in names}
        manifest = {
            "format": FORMAT,
            "digest": combine(parts.items()),
            "identity": target.identity,
            "parts": parts,
            "recipe": recipe.describe(target),
            "notes": draft.notes,
            "provenance": meter.record(),
        }
        for name in (TWIN, MANIFEST):
            write_atomically(draft_path / name, dumps(manifest))
        sync(draft_path)
        for read in target.reads:
            read.check_same()
        (draft_path / PROGRESS).unlink(missing_ok=True)
    except BaseException as error:
        known = None if isinstance(error, FornixError) else told(error, draft_path)
        if not (draft_path / PROGRESS).exists():
            shutil.rmtree(draft_path, ignore_errors=True)
        if known is not None:
            raise known from error
        raise
    put_in_place(draft_path, target.path, own=(TWIN, MANIFEST))
