"""Analyse: stored features in, scores of the features themselves out."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from fornix.analysis.material import Analysed, Material
from fornix.errors import FornixError
from fornix.evaluation.table import interval_table, score_table
from fornix.features.layers import matches, select_layers
from fornix.store.artifact import Recipe, Target, adopt, create, open_artifact
from fornix.study.analyses import Analysis
from fornix.study.compute import Compute
from fornix.study.features.base import Layers
from fornix.training.samples import feature_layers, feature_rows, plain_text

Rows = NDArray[np.intp]


def run(
    section: Analysis,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Carry out one analysis.

    Parameters
    ----------
    section
        A section of ``analyses``; its kind names the module in ``fornix.analysis``.
    inputs
        ``features/<name>`` for each name in the section, and ``ingest``: their dataset's index.
    target
        The artifact to make: ``scores.parquet``, ``intervals.parquet``, ``details.json``, and
        where the kind has them ``arrays.zarr`` and ``weights.safetensors``. The column ``fit``
        is the name before the digest in the artifact's folder; ``subject`` is empty.
    resources
        Threads, and the device of torch.
    subject
        Unused: stimuli are the dataset's.
    seed
        The study's seed.
    """
    del subject
    artifacts = {name: open_artifact(inputs[f"features/{name}"]) for name in section.features}
    ingest = open_artifact(inputs["ingest"])
    read = {f"features/{name}": one.digests("features.zarr") for name, one in artifacts.items()}
    read |= {"stimuli": ingest.digests("stimuli.parquet")}
    recipe = Recipe("analyse", section.identity() | {"seed": seed}, read)
    if adopt(target, recipe):
        return
    name = target.path.name.rpartition("-")[0] or target.path.name
    where = f"analyses.{name}"
    notes: list[str] = []
    features = {key: plain_text(one.dataset("features")) for key, one in artifacts.items()}
    places, rows = common_rows(features, notes, where=where)
    layers = StoredLayers(
        {
            f"{key}/{layer}": (features[key][layer], places[key])
            for key, layer in chosen_layers(
                {key: feature_layers(dataset) for key, dataset in features.items()},
                section.layers,
                where=where,
            )
        }
    )
    stimuli = stimulus_table(ingest.table("stimuli"), rows, where=where)
    material = Material(layers, stimuli, seed, resources, where, notes)
    kind = importlib.import_module(f"fornix.analysis.{section.kind}")
    with create(target, recipe) as draft, threadpool_limits(resources.threads):
        found: Analysed = kind.analyse(section, material)
        scores = score_table(found.rows, name)
        draft.write_table("scores", scores)
        draft.write_table("intervals", interval_table(found.rows, name))
        if found.arrays is not None:
            draft.write_dataset("arrays", found.arrays, along=str(next(iter(found.arrays.dims))))
        if found.weights:
            save_file(found.weights, draft.file("weights.safetensors"))
        details = {"how": found.how, "notes": notes, "layers": list(layers), "rows": len(rows)}
        draft.write_json("details.json", details)
        draft.note(n_rows=len(scores), n_layers=len(layers), n_stimuli=len(rows), notes=notes)


@dataclass(frozen=True)
class StoredLayers(Mapping[str, NDArray[np.float32]]):
    """Layers of stored features as matrices; each is read when it is asked for, and not kept.

    Attributes
    ----------
    sources
        Target -> its variable, and which of its rows.
    """

    sources: Mapping[str, tuple[xr.DataArray, Rows]]

    def __getitem__(self, target: str) -> NDArray[np.float32]:
        """Return float32 (row, feature); places and tokens of a stimulus side by side.

        Raises
        ------
        FornixError
            If it holds values that aren't finite.
        """
        variable, rows = self.sources[target]
        values = np.asarray(variable.values, dtype=np.float32)
        values = values.reshape(len(values), -1)
        if len(rows) < len(values) or (np.diff(rows) != 1).any():
            values = values[rows]
        if bad := int((~np.isfinite(values)).any(1).sum()):
            problem = f"layer {target} has values that aren't finite for {bad} stimuli"
            mend = "leave the layer or these stimuli out"
            raise FornixError(problem, where=f"features {target.partition('/')[0]}", mend=mend)
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


def chosen_layers(
    layers: Mapping[str, Sequence[str]], wanted: Layers, *, where: str
) -> list[tuple[str, str]]:
    """Return (name of the features, layer) of the layers to read.

    Positions count in each of the features; a pattern has to match a layer of one of them, by the
    layer's name or by ``features/layer``.

    Raises
    ------
    FornixError
        If a pattern or position matches no layer.

    Examples
    --------
    >>> chosen_layers({"a": ["x", "y"], "b": ["z"]}, ["x", "b/*"], where="analyses.cka")
    [('a', 'x'), ('b', 'z')]
    """
    every = [(key, layer) for key, names in layers.items() for layer in names]
    if wanted == "all":
        return every
    kept = set()
    for one in wanted:
        if isinstance(one, int):
            for key, names in layers.items():
                kept |= {(key, layer) for layer in select_layers(names, [one], where=where)}
            continue
        found = {
            pair for pair in every if matches(pair[1], [one]) or matches("/".join(pair), [one])
        }
        if not found:
            select_layers([layer for _, layer in every], [one], where=where)  # says which there are
        kept |= found
    return [pair for pair in every if pair in kept]


def common_rows(
    features: Mapping[str, xr.Dataset], notes: list[str], *, where: str
) -> tuple[dict[str, Rows], pd.DataFrame]:
    """Return which rows of each section to take, so that all have the same in the same order.

    Parameters
    ----------
    features
        Section of ``features`` -> its dataset, whose rows have the coordinate ``stimulus`` and,
        where they are frames, ``time``.
    notes
        Gets a sentence if rows are left out.
    where
        The section, for messages.

    Returns
    -------
    places
        Section -> rows to take.
    rows
        ``stimulus`` (and ``time``) of each.

    Raises
    ------
    FornixError
        If the sections have no row in common.
    """
    tables = {name: feature_rows(dataset) for name, dataset in features.items()}
    first = next(iter(tables.values()))
    if any([*one.columns] != [*first.columns] for one in tables.values()):
        problem = "features of whole stimuli and features in time have no rows in common"
        mend = "analyse them in two sections"
        raise FornixError(problem, where=f"{where}: features", mend=mend)
    indexes = {name: pd.MultiIndex.from_frame(one) for name, one in tables.items()}
    common = next(iter(indexes.values()))
    for index in indexes.values():
        common = common[common.isin(index)]
    if not len(common):
        problem = f"{', '.join(features)} have no stimulus in common"
        raise FornixError(problem, where=f"{where}: features", mend="analyse them one by one")
    if lost := max(map(len, indexes.values())) - len(common):
        notes.append(f"{lost} rows that not all features have were left out.")
    places = {name: index.get_indexer(common) for name, index in indexes.items()}
    return places, common.to_frame(index=False)


def stimulus_table(stimuli: pd.DataFrame, rows: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """Return the line of the stimulus table for each row of the features.

    Raises
    ------
    FornixError
        If the table lacks some of them.
    """
    table = stimuli.set_index(stimuli["stimulus"].astype(str))
    names = rows["stimulus"].astype(str)
    if lacking := sorted(set(names) - set(table.index)):
        problem = f"the stimulus table lacks {len(lacking)} stimuli: {', '.join(lacking[:5])}"
        raise FornixError(problem, where=where, mend="rerun the features of this dataset")
    found = table.loc[names.to_list()].reset_index(drop=True)
    return found.assign(time=rows["time"].to_numpy()) if "time" in rows else found
