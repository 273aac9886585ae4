"""Regions: how well the best layer of each model predicts each, under the ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import ALL
from fornix.report.figures import intervals
from fornix.report.figures.canvas import (
    GREY,
    INK,
    PALETTE,
    WIDTH,
    Picture,
    chance_line,
    key,
    panels,
    picture,
    slanted,
    spread,
)
from fornix.report.material import Material

MAX_REGIONS = 16
MAX_MODELS = 6
REACH = 0.8
"""Of the distance between two regions, what the bars of one take."""


def draw(material: Material, rows: pd.DataFrame, control: str | None) -> list[Picture]:
    """Return bars of regions, in the order of the table; none for one region.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects of an encoding fit without times, by one metric.
    control
        The shuffled twin.
    """
    shown = rows.groupby("unit", sort=False)["value"].max().nlargest(MAX_REGIONS).index
    regions = [str(unit) for unit in dict.fromkeys(rows["unit"]) if unit in shown]
    if len(regions) < 2:
        return []
    means = rows.pivot_table(index="target", columns="unit", values="value", sort=False)
    sections = pd.Series(means.index, index=means.index).str.partition("/")[0]
    order = means.groupby(sections, sort=False).max().mean(axis=1)
    models = list(order.sort_values(ascending=False, kind="stable").index[:MAX_MODELS])
    figure, (axis,) = panels(1, columns=1, width=WIDTH, height=3.2)
    x, step = np.arange(len(regions)), REACH / len(models)
    metric = str(rows["metric"].iloc[0])
    null = material.rows(control, metric)
    known = intervals.intervals(material, rows)
    whiskers = False
    for number, model in enumerate(models):
        best = means[sections == model].idxmax()
        places = x + (number - (len(models) - 1) / 2) * step
        heights = [means.loc[best[region], region] for region in regions]
        colour = PALETTE[number % len(PALETTE)]
        axis.bar(places, heights, 0.86 * step, color=colour, alpha=0.9, label=model, zorder=2)
        for place, region in zip(places, regions, strict=True):
            here = rows[(rows["unit"] == region) & (rows["target"] == best[region])]
            _subjects(axis, place, here, step)
            sides = intervals.interval_of(known, best[region], region)
            whiskers |= intervals.whisker(axis, place, sides, INK)
            shuffled = null[(null["unit"] == region) & (null["target"] == best[region])]["value"]
            if len(shuffled):
                axis.plot(place, shuffled.mean(), "D", markersize=4, markeredgecolor=GREY,
                          markerfacecolor="white", label="shuffled control", zorder=5)  # fmt: skip
    for place, region in zip(x, regions, strict=True):
        _ceiling(axis, float(place), rows[rows["unit"] == region])
    chance_line(axis, float(rows["chance"].mean()))
    axis.set_ylabel("Pearson's r" if metric == "pearson_r" else metric)
    axis.grid(axis="y")
    axis.set_xlim(-0.6, len(regions) - 0.4)
    slanted(axis, x, ["all units" if region == ALL else region for region in regions])
    key(figure, axis)
    n = rows["subject"].nunique()
    caption = "The best layer of each model in each region, for held-out samples"
    caption += f": mean over {n} subjects (dots)" if n > 1 else ""
    told = intervals.told(n, material.study.scores.confidence)
    caption += f"; whiskers: {told}" if whiskers else ""
    caption += "; dark band: noise ceilings" if rows["ceiling"].notna().any() else ""
    hidden = rows["unit"].nunique() - len(regions)
    caption += f". {hidden} regions with lower scores are in the table." if hidden else "."
    caption += " The layer is chosen on these scores themselves, so that a model of many layers "
    caption += "has an advantage over one of few."
    top = ((region, means[region].idxmax(), means[region].max()) for region in regions)
    alt = "; ".join(f"{region}: {layer} {r:.2f}" for region, layer, r in top)
    return [picture(figure, "Regions under the ceiling", caption, alt=alt)]


def _subjects(axis: Axes, place: float, here: pd.DataFrame, step: float) -> None:
    if len(here) > 1:
        dots = place + spread(len(here), 0.45 * step)
        axis.plot(dots, here["value"], ".", color=INK, markersize=3.5, alpha=0.7, zorder=4)


def _ceiling(axis: Axes, place: float, here: pd.DataFrame) -> None:
    """Draw the subjects' mean ceiling, and their range as a band."""
    each = here.groupby("subject")["ceiling"].mean().dropna()
    if each.empty:
        return
    sides = [place - REACH / 2, place + REACH / 2]
    axis.fill_between(sides, each.min(), each.max(), color=INK, alpha=0.12, linewidth=0)
    axis.plot(sides, [each.mean()] * 2, color=INK, linewidth=1.2, label="noise ceiling")
