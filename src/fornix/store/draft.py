"""An artifact in the making: a private folder, and the writers for its parts."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fornix.store.commit import sync

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

PROGRESS = ".progress.json"
CLOCK_NS = 2_000_000_000
"""How much the clocks of a file server and of this machine may differ, ns."""

SHARD_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20
ONE_BY_ONE = ("target", "space")
"""Dimensions of which one is read at a time."""


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
        text = dumps({"recipe": self._recipe, "state": state})
        write_atomically(self.path / PROGRESS, text)

    def forget(self) -> None:
        """Take back what was saved: the draft goes the way of any other."""
        (self.path / PROGRESS).unlink(missing_ok=True)

    def _saved(self) -> Any:
        try:
            found = json.loads((self.path / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        same = isinstance(found, dict) and found.get("recipe") == json.loads(dumps(self._recipe))
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
        self.file(name).write_text(dumps(value), encoding="utf-8")

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
            Variables with named dimensions, coordinates and ``units`` in their attributes. Those
            that are dask's are computed a shard at a time.
        along
            The dimension that is cut into chunks, as the part will be read: ``unit`` for
            solvers, ``sample`` for training. The other dimensions stay whole, but for targets and
            spaces of features, of which one is read at a time.
        """
        dataset = _with_plain_text(dataset)
        encoding = {
            str(key): _chunking(variable, along)
            for key, variable in dataset.variables.items()
            if variable.ndim and variable.size and variable.dtype.kind not in "OUT"
        }
        shards = {
            key: variable.chunk(dict(zip(variable.dims, encoding[str(key)]["shards"], strict=True)))
            for key, variable in dataset.data_vars.items()
            if variable.chunks is not None
        }
        path = self.file(f"{name}.zarr")
        calmly: AbstractContextManager[Any] = nullcontext()
        if shards:
            import dask

            calmly = dask.config.set(scheduler="synchronous")
        with calmly:
            dataset.assign(shards).to_zarr(
                path, mode="w", consolidated=False, zarr_format=3, encoding=encoding
            )

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
    apart = {dim: 1 for dim in ONE_BY_ONE if dim in shape and dim != axis}
    row_bytes = max(1, variable.nbytes // max(1, shape[axis]))
    read_bytes = max(1, row_bytes // math.prod(shape[dim] for dim in apart))
    chunk = min(shape[axis], 1 << (max(1, CHUNK_BYTES // read_bytes).bit_length() - 1))
    shard = chunk * min(max(1, SHARD_BYTES // (chunk * row_bytes)), -(-shape[axis] // chunk))
    chunks, shards = shape | apart | {axis: chunk}, shape | {axis: shard}
    return {"chunks": tuple(chunks.values()), "shards": tuple(shards.values())}


def write_atomically(path: Path, text: str) -> None:
    """Write a text so that the file has all of it or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def dumps(value: Any) -> str:
    """Return a value as JSON, the same for any order of its keys."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
