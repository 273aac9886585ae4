"""Encoding: which layer predicts which region, how well, and when."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.report.figures import (
    attention,
    brain,
    contributions,
    depth,
    maps,
    partition,
    preferences,
    profiles,
    regions,
    scatter,
    sensors,
    times,
    training,
)
from fornix.report.figures.canvas import (
    ACCENT,
    GREY,
    INK,
    WIDTH,
    Picture,
    chance_line,
    key,
    panels,
    picture,
)
from fornix.report.material import Material

METRIC = "pearson_r"
MAX_REGIONS = 12


def draw(material: Material, fit: str, control: str | None, *, with_maps: bool) -> list[Picture]:
    """Return the figures of a ridge fit: layer profiles or time courses, voxels, slices."""
    rows = material.rows(fit, METRIC)
    # Fits without one space are there for what this adds, which has a figure of its own.
    rows = rows[~rows["target"].str.startswith("joint-")]
    if rows.empty:
        return []
    if material.in_time(fit):
        course = times.draw(material, rows, control, _regions(rows))
        return [course, *sensors.draw(material, fit, rows), *training.draw(material, fit)]
    found = regions.draw(material, rows, control)
    targets = set(rows["target"])
    # Where each model has one layer, the bars have shown all of them.
    if len(targets) > len({one.partition("/")[0] for one in targets}) or not found:
        found.append(profiles.draw(material, rows, control, _regions(rows)))
    found += depth.draw(material, rows, _regions(rows))
    found += contributions.draw(material, fit)
    found += partition.draw(material, fit)
    best = profiles.best_layers(rows)
    found += scatter.draw(material, fit, best)
    top = rows.groupby("target", sort=False)["value"].mean()
    found += attention.draw(material, fit, str(top.idxmax()))
    found += training.draw(material, fit)
    table = maps.voxels(material, fit, best)
    if not table.empty:
        null = maps.voxels(material, control, best) if control else pd.DataFrame()
        found.append(_distribution(table, null))
        if with_maps:
            found += maps.slices(table, "each voxel by the best layer of its region")
            found += maps.above_chance(material, fit, str(top.idxmax()), "Pearson's r")
            found += brain.draw(table)
    if with_maps:
        found += preferences.draw(material, fit)
    return found


def _distribution(table: pd.DataFrame, null: pd.DataFrame) -> Picture:
    """Return histograms of single voxels' scores, a panel a region."""
    regions = _regions(table.rename(columns={"roi": "unit"}))
    columns = 1 if len(regions) == 1 else 3 if len(regions) < 4 or len(regions) > 5 else 5
    width = WIDTH if len(regions) > 1 else 6.0
    figure, axes = panels(len(regions), columns=columns, width=width, height=1.95)
    everything = pd.concat([table, null])[["value", "ceiling"]].to_numpy(dtype=float)
    low, high = np.nanmin(everything), np.nanmax(everything)
    bins = np.linspace(low, high if high > low else low + 1, 41)
    for axis, region in zip(axes, regions, strict=True):
        if len(null):
            shuffled = null.loc[null["roi"] == region, "value"]
            axis.hist(shuffled, bins, color=GREY, alpha=0.55, label="shuffled control")
        here = table[table["roi"] == region]
        axis.hist(here["value"], bins, color=ACCENT, alpha=0.85, label="best layer")
        if here["ceiling"].notna().any():
            axis.hist(here["ceiling"], bins, color=INK, histtype="step", linewidth=1,
                      label="noise ceiling")  # fmt: skip
        chance_line(axis, 0, across=False)
        axis.set_title(f"{region}: median {here['value'].median():.2f}")
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("Pearson's r")
    key(figure, axes[0])
    n = table["subject"].nunique()
    who = f"{n} subjects together" if n > 1 else "one subject"
    caption = f"Scores of single voxels, {who}, by the best layer of their region"
    caption += "; outline: their noise ceilings" if table["ceiling"].notna().any() else ""
    caption += "; grey: the same in the shuffled control" if len(null) else ""
    medians = "; ".join(
        f"{region} {table.loc[table['roi'] == region, 'value'].median():.2f}" for region in regions
    )
    return picture(figure, "Distribution over voxels", f"{caption}.", alt=f"Medians: {medians}")


def _regions(rows: pd.DataFrame) -> list[str]:
    """Return the regions that are drawn, in the table's order: all, or those of the best scores."""
    regions = list(dict.fromkeys(rows["unit"]))
    best = rows.groupby("unit")["value"].mean().sort_values(ascending=False, kind="stable")
    chosen = set(best.index[:MAX_REGIONS])
    return [str(region) for region in regions if region in chosen]
