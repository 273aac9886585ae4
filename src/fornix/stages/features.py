"""Features: a dataset's stimuli in, every layer of one extractor out."""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fornix.errors import FornixError
from fornix.store.artifact import SHARD_BYTES, Recipe, Target, adopt, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.features import Features

BLOCK_BYTES = 256 << 20
"""Features held in memory, all layers together, before they are written."""

Layers = dict[str, NDArray[np.float32]]


def run(
    section: Features,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Write ``features.zarr``: one variable a layer, dims (stimulus, ``feature:<layer>``).

    Batches are written as they come, so that memory doesn't grow with the number of stimuli.

    Parameters
    ----------
    section
        A section of ``features``; its kind names the module in ``fornix.features``.
    inputs
        ``root``: the dataset's folder. ``ingest``: its index.
    target
        The artifact.
    resources
        Threads, and the device of a torch model.
    subject, seed
        Not used: stimuli are the dataset's, and a random init has its own seed.

    Raises
    ------
    FornixError
        If the dataset has no stimuli, they are of the wrong kind, or one can't be read.
    """
    del subject, seed
    kind = importlib.import_module(f"fornix.features.{section.kind}")
    stimuli = open_artifact(inputs["ingest"]).table("stimuli")
    if stimuli.empty:
        problem = f"the dataset '{section.dataset}' has no stimuli"
        mend = "name the events' column in stimuli.column of the dataset"
        raise FornixError(problem, where=f"features (kind: {section.kind})", mend=mend)
    settings = {key: value for key, value in section.identity().items() if key != "dataset"}
    select = getattr(kind, "contents", _contents)
    read = {"stimuli": _digest(select(section, stimuli))}
    if fingerprint := getattr(kind, "fingerprint", None):
        read["weights"] = fingerprint(section)
    recipe = Recipe("features", settings, read)
    if adopt(target, recipe):
        return
    labels = kind.labels(section, stimuli) if hasattr(kind, "labels") else {}
    notes: list[str] = []
    with create(target, recipe) as draft, threadpool_limits(resources.threads):
        start, done = time.monotonic(), 0
        dims: dict[str, int] = {}
        bad: dict[str, int] = {}
        batches = kind.extract(section, stimuli, inputs["root"], resources, notes)
        for block, is_last in blocks(batches):
            rows = len(next(iter(block.values())))
            for name, values in block.items():
                bad[name] = bad.get(name, 0) + int((~np.isfinite(values)).any(1).sum())
            dims = {name: values.shape[1] for name, values in block.items()}
            if is_last:  # the notes are complete now
                notes += [f"layer {k}: not finite for {n} stimuli" for k, n in bad.items() if n]
            attrs = {"kind": section.kind, "layers": json.dumps([*dims])}
            attrs |= {"notes": json.dumps(notes)}
            attrs |= {"layer_labels": json.dumps(labels)} if labels else {}
            dataset = xr.Dataset(
                {name: (("stimulus", f"feature:{name}"), one) for name, one in block.items()},
                coords={"stimulus": stimuli["stimulus"].to_numpy(object)[done : done + rows]},
                attrs=attrs,
            )
            draft.write_dataset("features", dataset, along="stimulus", append=done > 0)
            done += rows
        if done != len(stimuli):
            msg = f"fornix.features.{section.kind} gave {done} rows for {len(stimuli)} stimuli"
            raise RuntimeError(msg)
        draft.note(
            n_stimuli=done,
            layers=list(dims),
            dims=dims,
            stimuli_per_s=round(done / max(time.monotonic() - start, 1e-9), 2),
            notes=notes,
        )


def blocks(batches: Iterator[Layers]) -> Iterator[tuple[Layers, bool]]:
    """Join batches into blocks of one shard each; say of the last that it is the last.

    A block's rows are a power of two, as are the store's chunks, so that each block is a whole
    number of chunks and fills its shards: nothing written is ever written again.

    Parameters
    ----------
    batches
        Layer -> float32 (stimulus, feature), the same layers each time.

    Yields
    ------
    block, is_last
        The first is only given on once the batches are exhausted, or more have come.
    """
    held: list[Layers] = []
    size = 0
    for batch in batches:
        size = size or rows_of_block({name: one.shape[1] for name, one in batch.items()})
        held.append(batch)
        while sum(len(next(iter(one.values()))) for one in held) > size:
            joined = _joined(held)
            yield {name: one[:size] for name, one in joined.items()}, False
            held = [{name: one[size:] for name, one in joined.items()}]
    if held:
        yield _joined(held), True


def rows_of_block(dims: Mapping[str, int]) -> int:
    """Return how many stimuli make a block, from the number of features of each layer."""
    row_bytes = [4 * max(1, count) for count in dims.values()]
    rows = min(BLOCK_BYTES // sum(row_bytes), SHARD_BYTES // max(row_bytes))
    return 1 << max(0, rows.bit_length() - 1) if rows else 1


def _joined(parts: list[Layers]) -> Layers:
    for one, other in pairwise(parts):
        if [*one] != [*other]:
            msg = f"batches have different layers: {[*one]} and {[*other]}"
            raise RuntimeError(msg)
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _contents(section: Features, stimuli: pd.DataFrame) -> pd.DataFrame:
    del section
    return stimuli[["stimulus", "modality", "digest"]]


def _digest(table: pd.DataFrame) -> str:
    """Return the digest of a table's columns and rows, in order."""
    rows: list[list[Any]] = [
        [None if pd.isna(cell) else str(cell) for cell in row] for row in table.to_numpy(object)
    ]
    text = json.dumps([[*map(str, table.columns)], rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
