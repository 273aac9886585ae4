"""Profiles: how well every layer of every model predicts each region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import ALL
from fornix.report.figures import intervals
from fornix.report.figures.canvas import (
    GREY,
    MARKERS,
    PALETTE,
    Picture,
    ceiling_band,
    chance_line,
    key,
    panels,
    picture,
    slanted,
)
from fornix.report.material import Material

MAX_LABELS = 28
"""Layers whose names fit under an axis; beyond, every second or third is named."""


def draw(
    material: Material, rows: pd.DataFrame, control: str | None, regions: list[str]
) -> Picture:
    """Return r of every layer, a panel a region.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects of an encoding fit without times, by Pearson's r.
    control
        The shuffled twin.
    regions
        Those that are drawn.
    """
    there = set(rows["target"])
    targets = [one for one in material.targets(str(rows["fit"].iloc[0])) if one in there]
    groups = _groups(targets)
    # A gap between the sections, so that one network ends where another begins.
    x = np.arange(len(targets)) + 0.8 * np.repeat(np.arange(len(groups)), list(map(len, groups)))
    columns = 3 if len(targets) <= MAX_LABELS / 2 or len(regions) > 6 else 2
    figure, axes = panels(len(regions), columns=columns, height=2.75, share=True)
    null = material.rows(control, str(rows["metric"].iloc[0]))
    known = intervals.intervals(material, rows)
    shown = False
    for number, (axis, region) in enumerate(zip(axes, regions, strict=True)):
        here = rows[rows["unit"] == region]
        shuffled = null[null["unit"] == region].groupby("target")["value"].mean().reindex(targets)
        if shuffled.notna().any():
            axis.plot(x, shuffled, color=GREY, marker=".", markersize=5, linewidth=0, zorder=2,
                      label="shuffled control")  # fmt: skip
        table = here.pivot_table(index="subject", columns="target", values="value", sort=False)
        sides = [intervals.interval_of(known, target, region) for target in targets]
        shown |= any(one is not None for one in sides)
        for g, places in enumerate(groups):
            _line(axis, material, x[places], table.reindex(columns=[targets[i] for i in places]), g)
            for place in places:
                intervals.whisker(axis, x[place], sides[place], PALETTE[g % len(PALETTE)])
        ceiling_band(axis, here.groupby("subject")["ceiling"].mean())
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
    alt = "Best layer: " + "; ".join(
        f"{region}: {layer}, r = {r:.2f}" for region, (layer, r) in _summary(rows).items()
    )
    caption = _caption(material, rows, regions, with_control=bool(control), with_intervals=shown)
    return picture(figure, "Layer profiles", caption, alt=alt)


def best_layers(rows: pd.DataFrame) -> dict[str, str]:
    """Return region -> the target of the highest mean over subjects."""
    return {region: target for region, (target, _) in _summary(rows).items()}


def _line(axis: Axes, material: Material, x: Any, table: pd.DataFrame, number: int) -> None:
    """Draw one section of features: table (subject, layer)."""
    name = str(table.columns[0]).partition("/")[0]
    colour = PALETTE[number % len(PALETTE)]
    # The layers of a network follow one another; the columns of a table don't.
    section = material.study.features.get(name)
    linked = section is not None and section.kind not in {"columns", "words"}
    thin = {"linewidth": 0.9} if linked else {"marker": "_", "linewidth": 0}
    if len(table) > 1:
        for _, values in table.iterrows():
            axis.plot(x, values, color=colour, alpha=0.45, **thin)
    axis.plot(
        x, table.mean(), color=colour, marker=MARKERS[number % len(MARKERS)], markersize=4.5,
        linewidth=1.9 if linked else 0, label=name, zorder=4,
    )  # fmt: skip


def _caption(
    material: Material,
    rows: pd.DataFrame,
    regions: list[str],
    *,
    with_control: bool,
    with_intervals: bool,
) -> str:
    n, n_regions = rows["subject"].nunique(), rows["unit"].nunique()
    found = ["Correlation of predicted and measured responses to held-out stimuli, layer by layer."]
    found.append(f"Thick: mean over {n} subjects; thin: each of them." if n > 1 else "One subject.")
    if with_intervals:
        found.append(f"Whiskers: {intervals.told(n, material.study.scores.confidence)}.")
    if rows["ceiling"].notna().any():
        found.append("Dark line: noise ceiling, the best that any model can do.")
    if with_control:
        found.append("Grey dots: the shuffled control.")
    if n_regions > len(regions):
        found.append(f"The {len(regions)} best of {n_regions} regions.")
    return " ".join(found)


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
