"""The group's map: every voxel, or sensor and time, tested over subjects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.adjacency import VOXEL, adjacency_of
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import p_value
from fornix.evaluation.statistics.clusters import cluster_test
from fornix.evaluation.statistics.families import false_discovery
from fornix.evaluation.statistics.signs import ENOUGH, sign_patterns, t_of_signs
from fornix.evaluation.table import GROUP, VOLUME
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.scores import Scores

HOW = (
    "maps-group: mean over subjects; p by flipping the signs of subjects' scores less chance, the "
    "same flips for all units and targets"
)
HOW_CORRECTED = {
    "none": "",
    "fdr": "; corrected by the false discovery rate over units and targets",
    "max": "; corrected by the largest t of each pattern of signs, over units and targets",
    "cluster": "; corrected by clusters of neighbours (voxels that share a face; sensors next to "
    "one another, and times that follow one another), MNE's test, over the units of a target",
}

CHUNK_BYTES = 64 << 20
"""Memory of the t of some units under all patterns of signs."""


class _Tests(NamedTuple):
    """What flipping signs says of every target and unit, float64 (target, unit)."""

    t: Floats
    p: Floats
    corrected: Floats


def group_map(
    maps: Mapping[str, xr.Dataset], scores: Scores, notes: list[str], *, seed: int
) -> xr.Dataset | None:
    """Return the mean map of all subjects, with p of every unit.

    Parameters
    ----------
    maps
        Subject -> scores (target, unit), the first variable; ``chance`` (target, unit) beside
        it, where that isn't 0.
    scores
        How fits are judged.
    notes
        Gets a sentence where there can be no map of the group.
    seed
        The study's seed.

    Returns
    -------
    xarray.Dataset
        The metric's mean, ``t``, ``p`` and ``p_corrected`` (target, unit), of the units that all
        subjects have, with their coordinates. None with fewer than six subjects, and where units
        of different subjects aren't the same.
    """
    if not scores.maps or not maps:
        return None
    if problem := _incomparable(maps):
        notes.append(f"there is no map of the group: {problem}")
        return None
    first = next(iter(maps.values()))
    if set(VOXEL) <= set(first.coords) and not str(first.attrs.get("space", "")):
        notes.append(
            "maps of the group take voxels of the same place in the grid for the same: recordings "
            "name no standard space (BIDS entity space)"
        )
    together = _aligned(list(maps.values()))
    metric = next(name for name, one in together[0].items() if one.dims == ("target", "unit"))
    value = np.stack([one[metric].values for one in together]).astype(np.float64)
    above = value.copy()
    if all("chance" in one for one in together):
        above -= np.stack([one["chance"].values for one in together])
    units = together[0]
    found = _tests(above, units, scores, seed)
    kept = {name: one for name, one in units.coords.items() if one.dims in (("unit",), ("target",))}
    dims = ("target", "unit")
    variables: dict[str, Any] = {
        str(metric): (dims, value.mean(0).astype(np.float32)),
        "t": (dims, found.t.astype(np.float32)),
        "p": (dims, found.p),
    }
    if scores.correction != "none":
        variables["p_corrected"] = (dims, found.corrected)
    attrs = {key: units.attrs[key] for key in VOLUME if key in units.attrs}
    how = HOW + HOW_CORRECTED[scores.correction]
    return xr.Dataset(variables, coords=kept, attrs=attrs | {"n_subjects": len(maps), "how": how})


def unit_table(group: xr.Dataset) -> pd.DataFrame:
    """Return the group's map as a table, one row a target and unit.

    Columns: subject (``group``), target, unit, what is known of the unit (roi, channel, time in
    s, i, j, k), metric, value, t, p, p_corrected (where p is corrected) and n, the subjects.
    """
    metric = next(iter(group.data_vars))
    names = [name for name in ("unit", "roi", "channel", "time", *VOXEL) if name in group.coords]
    n_targets, n_units = group[metric].shape
    columns: dict[str, Any] = {
        "subject": GROUP,
        "target": np.repeat([str(one) for one in group["target"].values], n_units),
    }
    for name in names:
        values = group[name].values
        values = values if values.dtype.kind in "biuf" else values.astype(str)
        columns[name] = np.tile(values, n_targets)
    columns |= {"metric": str(metric), "value": group[metric].values.ravel()}
    tests = [name for name in ("t", "p", "p_corrected") if name in group]
    columns |= {name: group[name].values.ravel() for name in tests}
    return pd.DataFrame(columns | {"n": int(group.attrs["n_subjects"])})


def _incomparable(maps: Mapping[str, xr.Dataset]) -> str:
    """Return why units of different subjects can't be taken for the same; "" where they can."""
    if len(maps) < ENOUGH:
        return f"{len(maps)} subjects are too few for flips of their signs ({ENOUGH} are enough)"
    first = next(iter(maps.values()))
    if "unit" not in first.coords:
        return "units have no names"
    if set(VOXEL) <= set(first.coords):
        grids = {
            json.dumps([np.asarray(_listed(one.attrs.get(key, ""))).tolist() for key in VOLUME])
            for one in maps.values()
        }
        if len(grids) > 1:
            return "subjects have different grids of voxels"
    targets = {tuple(map(str, one["target"].values)) for one in maps.values()}
    if len(targets) > 1:
        return "not all subjects have the same targets"
    names = [{str(unit) for unit in one["unit"].values} for one in maps.values()]
    return "" if set.intersection(*names) else "subjects have no units in common"


def _listed(value: Any) -> Any:
    """Return an attribute of zarr: it may hold JSON."""
    if isinstance(value, str) and value.startswith("["):
        return json.loads(value)
    return value


def _aligned(maps: list[xr.Dataset]) -> list[xr.Dataset]:
    """Return maps of the units that all have, in the order of the first."""
    names = [[str(unit) for unit in one["unit"].values] for one in maps]
    common = set(names[0]).intersection(*names[1:])
    order = [unit for unit in names[0] if unit in common]
    found = []
    for one, mine in zip(maps, names, strict=True):
        place = {unit: k for k, unit in enumerate(mine)}
        found.append(one.isel(unit=[place[unit] for unit in order]))
    return found


def _tests(above: Floats, units: xr.Dataset, scores: Scores, seed: int) -> _Tests:
    n_targets, n_units = above.shape[1:]
    rng = generator(seed, "evaluate", "maps")
    signs = sign_patterns(len(above), scores.permutations, rng)
    t, p, corrected = (np.full((n_targets, n_units), np.nan) for _ in range(3))
    largest = np.full(len(signs) - 1, -np.inf)
    step = max(1, CHUNK_BYTES // (8 * len(signs)))
    for target in range(n_targets):
        for start in range(0, n_units, step):
            some = slice(start, start + step)
            draws = t_of_signs(above[:, target, some], signs)
            t[target, some], p[target, some] = draws[0], p_value(draws[1:], draws[0])
            known = np.isfinite(draws[0])
            if known.any():
                np.maximum(largest, draws[1:, known].max(1), out=largest)
    if scores.correction == "fdr":
        corrected = false_discovery(p.ravel()).reshape(p.shape)
    elif scores.correction == "max" and np.isfinite(largest).all():
        corrected = np.where(np.isnan(t), np.nan, p_value(largest[:, None, None], t))
    elif scores.correction == "cluster":
        corrected = _clusters(above, units, scores, seed)
    return _Tests(t, p, corrected)


def _clusters(above: Floats, units: xr.Dataset, scores: Scores, seed: int) -> Floats:
    """Return p of each unit's cluster, a target at a time; NaN where neighbours aren't known."""
    found = np.full(above.shape[1:], np.nan)
    known_before: NDArray[np.bool_] | None = None
    adjacency: Any = None
    for target in track(list(range(above.shape[1])), "clusters: targets"):
        known = np.asarray(np.isfinite(above[:, target]).all(0))
        if not known.any():
            continue
        if known_before is None or not np.array_equal(known, known_before):
            adjacency = adjacency_of(units.isel(unit=np.flatnonzero(known)))
            known_before = known
        if adjacency is None:
            break
        rng = generator(seed, "evaluate", "maps", str(target))
        found[target, known] = cluster_test(
            above[:, target, known], scores.permutations, rng, adjacency=adjacency
        )
    return found
