"""Searchlight: voxels around which a model's geometry is the brain's."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.report.figures import brain, maps
from fornix.report.figures.canvas import ALPHA, Picture
from fornix.report.material import Material, words
from fornix.report.words import metric as metric_name


def draw(material: Material, fit: str) -> list[Picture]:
    """Return maps of the layer with the highest scores: slices, and the brain in standard space."""
    metric = material.metric(fit)
    every = {target: _map(material, fit, target, metric) for target in material.targets(fit)}
    every = {target: table for target, table in every.items() if not table.empty}
    if not every:
        return []
    peaks = {target: float(np.nanpercentile(one["value"], 99)) for target, one in every.items()}
    best = max(peaks, key=peaks.__getitem__)
    table, name = every[best], metric_name(metric)
    what = f"{best} in the sphere around each voxel{_counted(table, material)}"
    about = f"of {best} in the sphere around each voxel"
    found = [*maps.slices(table, what, name), *maps.above_chance(material, fit, best, name)]
    return found + brain.draw(table, name, about)


def _map(material: Material, fit: str, target: str, metric: str) -> pd.DataFrame:
    """Return one layer's score at every voxel that has one."""
    whole = dict.fromkeys(_regions(material, fit), target)
    table = maps.voxels(material, fit, whole, metric)
    if table.empty:
        return table
    attrs = table.attrs
    table = table.dropna(subset=["value"])
    table.attrs = attrs
    return table


def _regions(material: Material, fit: str) -> list[str]:
    """Return the regions of all units; "" is that of units in none."""
    artifact = material.artifact(f"scores/{fit}")
    found: dict[str, None] = {}
    for subject in material.subjects(fit):
        if f"maps-{subject}.zarr" in artifact.manifest["parts"]:
            data = artifact.dataset(f"maps-{subject}")
            found |= dict.fromkeys(words(data["roi"]))
    return list(found)


def _counted(table: pd.DataFrame, material: Material) -> str:
    """Say how many voxels are above chance, mean over subjects."""
    if "p" not in table or table["p"].isna().all():
        return ""
    scores = material.study.scores
    each = (table["p"] < ALPHA).groupby(table["subject"]).mean()
    how = "" if scores.correction == "none" else f", corrected ({scores.correction})"
    return f"; p < {ALPHA}{how} at {each.mean():.1%} of the voxels"
