"""Encoding: which layer predicts which region, how well, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import ALL
from fornix.report.figures import attention, contributions, maps, training
from fornix.report.figures.canvas import (
    ACCENT,
    GREY,
    INK,
    MARKERS,
    PALETTE,
    WIDTH,
    Picture,
    chance_line,
    key,
    panels,
    picture,
    slanted,
)
from fornix.report.material import Material

METRIC = "pearson_r"
MAX_REGIONS = 12
MAX_LABELS = 28
"""Layers whose names fit under an axis; beyond, every second or third is named."""


def draw(material: Material, fit: str, control: str | None, *, with_maps: bool) -> list[Picture]:
    """Return the figures of a ridge fit: layer profiles or time courses, voxels, slices."""
    rows = material.rows(fit, METRIC)
    # Fits without one space are there for what this adds, which has a figure of its own.
    rows = rows[~rows["target"].str.startswith("joint-")]
    if rows.empty:
        return []
    if material.in_time(fit):
        return [_over_time(material, rows, control)]
    found = []
    if len(set(rows["target"])) > 1 or len(set(rows["subject"])) > 1:
        found.append(_profiles(material, fit, rows, control))
    found += contributions.draw(material, fit)
    best = _best(rows)
    top = rows.groupby("target", sort=False)["value"].mean()
    found += attention.draw(material, fit, str(top.idxmax()))
    found += training.draw(material, fit)
    table = maps.voxels(material, fit, best)
    if not table.empty:
        null = maps.voxels(material, control, best) if control else pd.DataFrame()
        found.append(_distribution(table, null))
        if with_maps:
            found += maps.slices(table, "each voxel by the best layer of its region")
    return found


def _profiles(material: Material, fit: str, rows: pd.DataFrame, control: str | None) -> Picture:
    """Return r of every layer, a panel a region."""
    regions = _regions(rows)
    targets = [one for one in material.targets(fit) if one in set(rows["target"])]
    groups = _groups(targets)
    # A gap between the sections, so that one network ends where another begins.
    x = np.arange(len(targets)) + 0.8 * np.repeat(np.arange(len(groups)), list(map(len, groups)))
    columns = 3 if len(targets) <= MAX_LABELS / 2 or len(regions) > 6 else 2
    figure, axes = panels(len(regions), columns=columns, height=2.75, share=True)
    null = material.rows(control, METRIC)
    for number, (axis, region) in enumerate(zip(axes, regions, strict=True)):
        here = rows[rows["unit"] == region]
        table = here.pivot_table(index="subject", columns="target", values="value", sort=False)
        table = table.reindex(columns=targets)
        shuffled = null[null["unit"] == region].groupby("target")["value"].mean().reindex(targets)
        if shuffled.notna().any():
            axis.plot(x, shuffled, color=GREY, marker=".", markersize=5, linewidth=0, zorder=2,
                      label="shuffled control")  # fmt: skip
        for g, places in enumerate(groups):
            name = targets[places[0]].partition("/")[0]
            colour = PALETTE[g % len(PALETTE)]
            # The layers of a network follow one another; the columns of a table don't.
            section = material.study.features.get(name)
            linked = section is not None and section.kind not in {"columns", "words"}
            thin = {"linewidth": 0.9} if linked else {"marker": "_", "linewidth": 0}
            if len(table) > 1:
                for _, values in table.iterrows():
                    axis.plot(x[places], values.iloc[places], color=colour, alpha=0.45, **thin)
            axis.plot(
                x[places], table.mean().iloc[places], color=colour, marker=MARKERS[g % 8],
                markersize=4.5, linewidth=1.9 if linked else 0, label=name, zorder=4,
            )  # fmt: skip
        _ceiling(axis, here.groupby("subject")["ceiling"].mean())
        chance_line(axis, float(here["chance"].mean()), label="chance")
        axis.grid(axis="y")
        axis.set_title("all units" if region == ALL else region)
        step = -(-len(targets) // MAX_LABELS)
        last_row = number + columns >= len(regions)
        labels = [target.partition("/")[2] or target for target in targets]
        slanted(axis, x[::step], labels[::step] if last_row else [])
        axis.margins(x=0.04)
        if number % columns == 0:
            axis.set_ylabel("Pearson's r")
    key(figure, axes[0])
    n = rows["subject"].nunique()
    caption = "Correlation of predicted and measured responses to held-out stimuli, layer by layer."
    if n > 1:
        caption += f" Thick: mean over {n} subjects; thin: each of them."
    if rows["ceiling"].notna().any():
        caption += " Dark line: noise ceiling, the best that any model can do."
    caption += " Grey dots: the shuffled control." if control else ""
    n_regions = len(set(rows["unit"]))
    caption += (
        f" The {len(regions)} best of {n_regions} regions." if n_regions > len(regions) else ""
    )
    alt = "Best layer: " + "; ".join(
        f"{region}: {layer}, r = {r:.2f}" for region, (layer, r) in _summary(rows).items()
    )
    return picture(figure, "Layer profiles", caption, alt=alt)


def _ceiling(axis: Axes, ceilings: pd.Series[Any]) -> None:
    """Draw the mean ceiling over subjects, and their range as a band."""
    ceilings = ceilings.dropna()
    if ceilings.empty:
        return
    axis.axhspan(ceilings.min(), ceilings.max(), color=INK, alpha=0.1, linewidth=0)
    axis.axhline(ceilings.mean(), color=INK, linewidth=1, label="noise ceiling")


def _over_time(material: Material, rows: pd.DataFrame, control: str | None) -> Picture:
    """Return r over time, a panel a region, of the best layer of each features section."""
    regions = _regions(rows)
    peaks = rows.groupby(["target", "time"])["value"].mean().groupby("target").max()
    sections: dict[str, str] = {}
    for target in peaks.sort_values(ascending=False, kind="stable").index:
        sections.setdefault(target.partition("/")[0], target)
    figure, axes = panels(len(regions), columns=1 if len(regions) == 1 else 2, height=2.8,
                          share=True)  # fmt: skip
    null = material.rows(control, METRIC)
    for axis, region in zip(axes, regions, strict=True):
        shuffled = null[null["unit"] == region].groupby("time")["value"].mean()
        if len(shuffled):
            axis.plot(shuffled.index, shuffled, color=GREY, linewidth=1, label="shuffled control")
        for g, target in enumerate(sections.values()):
            here = rows[(rows["unit"] == region) & (rows["target"] == target)]
            colour = PALETTE[g % len(PALETTE)]
            if len(set(here["subject"])) > 1:
                for _, one in here.groupby("subject", sort=False):
                    line = one.sort_values("time")
                    axis.plot(line["time"], line["value"], color=colour, alpha=0.3, linewidth=0.8)
            mean = here.groupby("time")["value"].mean()
            axis.plot(mean.index, mean, color=colour, linewidth=1.9, label=target)
        ceiling = rows[rows["unit"] == region].groupby("time")["ceiling"].mean()
        if ceiling.notna().any():
            axis.plot(ceiling.index, ceiling, color=INK, linewidth=1, label="noise ceiling")
        chance_line(axis, 0, label="chance")
        axis.axvline(0, color=INK, linewidth=0.8, alpha=0.5)
        axis.grid(axis="y")
        axis.set_title("" if region == ALL else region)
        axis.set_xlabel("time from onset (s)")
        axis.set_ylabel("Pearson's r")
    key(figure, axes[0])
    caption = (
        "Correlation of predicted and measured responses to held-out stimuli over time, for the "
        "best layer of each kind of features. Thick: mean over subjects; thin: each of them."
    )
    top = peaks.idxmax()
    alt = f"The highest mean correlation is {peaks.max():.2f}, by {top}."
    return picture(figure, "Time course of encoding", caption, alt=alt)


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
    caption = f"Scores of single voxels, {n} subjects together, by the best layer of their region"
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


def _groups(targets: list[str]) -> list[list[int]]:
    names = [target.partition("/")[0] for target in targets]
    return [[i for i, one in enumerate(names) if one == name] for name in dict.fromkeys(names)]


def _summary(rows: pd.DataFrame) -> dict[str, tuple[str, float]]:
    """Return region -> (best target, its mean over subjects)."""
    means = rows.groupby(["unit", "target"], sort=False)["value"].mean().reset_index()
    top = means.loc[means.groupby("unit", sort=False)["value"].idxmax()]
    return {
        str(one["unit"]): (str(one["target"]), float(one["value"]))
        for one in top.to_dict("records")
    }


def _best(rows: pd.DataFrame) -> dict[str, str]:
    return {region: target for region, (target, _) in _summary(rows).items()}
