"""``features``: what one model makes of the stimuli, every layer, in shards."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from fornix.errors import FornixError
from fornix.ingest.index import Index
from fornix.store import Recipe, Target, adopt, create, open_artifact
from fornix.store.artifact import SHARD_BYTES
from fornix.store.digests import combine
from fornix.study.base import digest_of
from fornix.study.compute import Compute
from fornix.study.features import ColumnFeatures, Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

Batch = dict[str, "NDArray[np.float32]"]


def run(
    section: Features,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Write ``features.zarr``: one variable a layer, (stimulus, feature), float32.

    Parameters
    ----------
    section
        The settings; their ``kind`` names the module that does the work.
    inputs
        ``root``: the dataset's folder. ``ingest``: its index.
    target
        The artifact.
    resources
        Threads and device.
    subject, seed
        Unused: stimuli are the same for all subjects, and a random model has its own seed.

    Raises
    ------
    FornixError
        If the dataset has no stimuli, or not of the kind that the model takes.
    """
    del subject, seed
    kind = importlib.import_module(f"fornix.features.{section.kind}")
    stimuli = Index.read(open_artifact(inputs["ingest"])).stimuli
    if stimuli.empty:
        problem = "the dataset has no stimuli to make features of"
        mend = "say in the dataset's `stimuli` which events column names them"
        raise FornixError(problem, where=f"features of {section.dataset}", mend=mend)
    recipe = Recipe("features", section.identity(), _digests(section, stimuli, kind))
    if adopt(target, recipe):
        return
    notes: list[str] = []
    start, done = time.monotonic(), 0
    sizes: dict[str, int] = {}
    with create(target, recipe) as draft:
        batches = kind.extract(section, stimuli, inputs["root"], resources, notes)
        for block in _blocks(batches):
            sizes = {name: values.shape[1] for name, values in block.items()}
            rows = stimuli["stimulus"].iloc[done : done + len(next(iter(block.values())))]
            done += len(rows)
            dataset = _dataset(section, block, list(rows))
            draft.write_dataset("features", dataset, along="stimulus", append=True)
        rate = done / max(time.monotonic() - start, 1e-9)
        draft.write_json("features.json", {"layers": list(sizes), "sizes": sizes, "notes": notes})
        draft.note(n_stimuli=done, stimuli_per_s=round(rate, 1), layers=sizes, warnings=notes)


def _digests(section: Features, stimuli: pd.DataFrame, kind: Any) -> dict[str, str]:
    """Return what the features depend on: ids and contents, or the whole table for columns."""
    if isinstance(section, ColumnFeatures):
        return {"stimuli": digest_of(json.loads(stimuli.to_json(orient="split")))}
    pairs = zip(stimuli["stimulus"], stimuli["digest"], strict=True)
    found = {"stimuli": combine((f"{i} {name}", d) for i, (name, d) in enumerate(pairs))}
    if hasattr(kind, "fingerprint"):
        found["weights"] = kind.fingerprint(section)
    return found


def _blocks(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Join batches until the largest layer fills a shard, so that memory has a bound."""
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        if max(sum(one[name].nbytes for one in held) for name in batch) >= SHARD_BYTES:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(held: list[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in held]) for name in held[0]}


def _dataset(section: Features, block: Batch, rows: list[str]) -> xr.Dataset:
    variables = {
        name: xr.Variable(("stimulus", f"feature:{name}"), values.astype(np.float32))
        for name, values in block.items()
    }
    attrs = {"kind": section.kind, "layers": json.dumps(list(block))}
    return xr.Dataset(variables, coords={"stimulus": np.array(rows, dtype=object)}, attrs=attrs)
