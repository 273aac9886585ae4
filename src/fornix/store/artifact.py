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
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fornix.errors import FornixError
from fornix.store.commit import put_in_place, sync
from fornix.store.digests import combine, part_digest
from fornix.store.locks import hold
from fornix.store.provenance import Meter

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

MANIFEST = "manifest.json"
TWIN = ".manifest.json"
PROGRESS = ".progress.json"
FORMAT = 1
CLOCK_NS = 2_000_000_000
"""How much the clocks of a file server and of this machine may differ, ns."""

SHARD_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20


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
    """

    path: Path
    code: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


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


class Draft:
    """An artifact in the making: a private folder and the writers for its parts.

    Attributes
    ----------
    path
        The private folder.
    resumed
        What a process that was killed had last saved of this draft; None: a fresh one.
    """

    def __init__(self, path: Path, recipe: Mapping[str, Any]) -> None:
        self.path = path
        self.notes: dict[str, Any] = {}
        self._recipe = recipe
        self._synced_ns = 0
        self.resumed: Any = self._saved()

    def save(self, state: Any) -> None:
        """Keep the draft over a kill from here on, with what is needed to go on (JSON-like)."""
        started = time.time_ns()
        sync(self.path, since_ns=self._synced_ns)
        self._synced_ns = started - CLOCK_NS
        text = _dumps({"recipe": self._recipe, "state": state})
        _write_atomically(self.path / PROGRESS, text)

    def _saved(self) -> Any:
        try:
            found = json.loads((self.path / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        same = isinstance(found, dict) and found.get("recipe") == json.loads(_dumps(self._recipe))
        return found["state"] if same else None

    def note(self, **values: Any) -> None:
        """Add JSON-like facts to the provenance record (counts, throughput, warnings)."""
        self.notes.update(values)

    def file(self, name: str) -> Path:
        """Return the path at which to write a part of any other format."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON part."""
        self.file(name).write_text(_dumps(value), encoding="utf-8")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as ``<name>.parquet``."""
        table.to_parquet(self.file(f"{name}.parquet"), index=False, compression="zstd")

    def write_dataset(self, name: str, dataset: xr.Dataset, *, along: str) -> None:
        """Write a sharded zarr v3 group ``<name>.zarr``.

        Parameters
        ----------
        name
            Name of the part.
        dataset
            Variables with named dimensions, coordinates and ``units`` in their attributes.
        along
            The dimension that is cut into chunks, as the part will be read: ``unit`` for
            solvers, ``sample`` for training. The other dimensions stay whole.
        """
        dataset = _with_plain_text(dataset)
        encoding = {
            str(key): _chunking(variable, along)
            for key, variable in dataset.variables.items()
            if variable.ndim and variable.size and variable.dtype.kind not in "OUT"
        }
        path = self.file(f"{name}.zarr")
        dataset.to_zarr(path, mode="w", consolidated=False, zarr_format=3, encoding=encoding)

    def lay_out(
        self,
        name: str,
        variables: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]],
        coords: Mapping[str, Any],
        attrs: Mapping[str, Any],
        *,
        rows: int,
    ) -> None:
        """Create a zarr v3 group of float32 arrays at their full size, to be filled in blocks.

        Parameters
        ----------
        name
            Name of the part.
        variables
            Variable -> its dimensions and shape; the first dimension is the one that is filled.
        coords
            Coordinates, as xarray takes them.
        attrs
            Attributes of the group; :meth:`describe` may replace them later.
        rows
            Rows of a shard, a power of two: blocks of as many rows are written once each.
        """
        import dask.array as da
        import xarray as xr

        empty = {
            key: (dims, da.zeros(shape, chunks=-1, dtype="float32"))
            for key, (dims, shape) in variables.items()
        }
        dataset = _with_plain_text(xr.Dataset(empty, coords=coords, attrs=dict(attrs)))
        encoding: dict[str, Any] = {}
        for key, (_, shape) in variables.items():
            row_bytes = max(1, 4 * math.prod(shape[1:]))
            chunk = min(rows, 1 << (max(1, CHUNK_BYTES // row_bytes).bit_length() - 1))
            encoding[key] = {"chunks": (chunk, *shape[1:]), "shards": (rows, *shape[1:])}
            encoding[key] |= {"fill_value": math.nan}  # what is lost must not read as zeros
        path = self.file(f"{name}.zarr")
        shutil.rmtree(path, ignore_errors=True)
        dataset.to_zarr(
            path, mode="w", compute=False, consolidated=False, zarr_format=3, encoding=encoding
        )

    def write_rows(self, name: str, start: int, values: Mapping[str, Any]) -> None:
        """Fill rows of arrays that were laid out, from row ``start`` on."""
        import zarr

        group: Any = zarr.open_group(self.path / f"{name}.zarr", mode="r+", zarr_format=3)
        for key, rows in values.items():
            group[key][start : start + len(rows)] = rows

    def describe(self, name: str, **attrs: str) -> None:
        """Set attributes of a group that was laid out."""
        import zarr

        zarr.open_group(self.path / f"{name}.zarr", mode="r+", zarr_format=3).attrs.update(attrs)


def _with_plain_text(dataset: xr.Dataset) -> xr.Dataset:
    # zarr v3 specifies variable-length strings, and not numpy's fixed-length ones.
    text = {key: _as_text(v) for key, v in dataset.variables.items() if _is_text(v)}
    dataset = dataset.assign({key: v for key, v in text.items() if key in dataset.data_vars})
    return dataset.assign_coords({k: v for k, v in text.items() if k in dataset.coords})


def _is_text(variable: xr.Variable) -> bool:
    # pandas' own string type isn't numpy's, and xarray keeps it.
    return variable.dtype.kind == "U" or str(variable.dtype) in ("str", "string")


def _as_text(variable: xr.Variable) -> xr.Variable:
    import xarray as xr

    values = variable.values.astype(object)
    return xr.Variable(variable.dims, values, attrs=variable.attrs)


def _chunking(variable: xr.Variable, along: str) -> dict[str, tuple[int, ...]]:
    """Return chunk and shard shapes: up to 1 MiB and 64 MiB, cut along one dimension."""
    shape = dict(zip(map(str, variable.dims), variable.shape, strict=True))
    axis = along if along in shape else next(iter(shape))
    row_bytes = max(1, variable.nbytes // max(1, shape[axis]))
    chunk = min(shape[axis], 1 << (max(1, CHUNK_BYTES // row_bytes).bit_length() - 1))
    shard = chunk * min(max(1, SHARD_BYTES // (chunk * row_bytes)), -(-shape[axis] // chunk))
    chunks = tuple(chunk if dim == axis else size for dim, size in shape.items())
    shards = tuple(shard if dim == axis else size for dim, size in shape.items())
    return {"chunks": chunks, "shards": shards}


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
    twin = target.path / TWIN
    try:
        manifest = json.loads(twin.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return False
    if manifest["recipe"] != json.loads(_dumps(recipe.describe(target))):
        return False
    if Artifact(target.path, manifest).damage():
        return False
    _write_atomically(target.path / MANIFEST, _dumps(manifest))
    return True


@contextmanager
def create(target: Target, recipe: Recipe) -> Iterator[Draft]:
    """Open a draft; commit it on leaving the block.

    On an exception it is thrown away, unless the stage has saved it to go on with it later.
    """
    draft_path = target.path.with_name(f".{target.path.name}.partial")
    draft, meter = Draft(draft_path, recipe.describe(target)), Meter()
    if draft.resumed is None:
        shutil.rmtree(draft_path, ignore_errors=True)
        draft_path.mkdir(parents=True)
    try:
        yield draft
        own = (PROGRESS, TWIN, MANIFEST)  # a kill in mid-commit leaves some of them
        names = sorted(part.name for part in draft_path.iterdir() if part.name not in own)
        parts = {name: part_digest(draft_path / name) for name in names}
        manifest = {
            "format": FORMAT,
            "digest": combine(parts.items()),
            "parts": parts,
            "recipe": recipe.describe(target),
            "notes": draft.notes,
            "provenance": meter.record(),
        }
        for name in (TWIN, MANIFEST):
            _write_atomically(draft_path / name, _dumps(manifest))
        sync(draft_path)
        (draft_path / PROGRESS).unlink(missing_ok=True)
    except BaseException:
        if not (draft_path / PROGRESS).exists():
            shutil.rmtree(draft_path, ignore_errors=True)
        raise
    put_in_place(draft_path, target.path, own=(TWIN, MANIFEST))


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _dumps(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
