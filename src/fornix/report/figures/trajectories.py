"""How brain-like a model becomes along its training, and when, region by region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fornix.evaluation.table import ALL, GROUP
from fornix.evaluation.trajectories import HALF_TIMES, steps_of
from fornix.report.figures.canvas import (
    INK,
    MARKERS,
    PALETTE,
    Picture,
    chance_line,
    key,
    panels,
    picture,
    slanted,
)
from fornix.report.material import Material
from fornix.report.words import number

LABELS = {
    "encoding_score": "encoding score (Pearson's r)",
    "spatial_score": "spatial score (r over regions)",
    "temporal_score": "temporal score (r over layers)",
}
FIRST = 10
"""Step up to which the axis is linear, so that step 0 has a place on it."""


def draw(material: Material, fit: str) -> list[Picture]:
    """Return scores along training, and half-times by region; none without trajectories."""
    families = material.study.scores.trajectories
    rows = material.rows(fit)
    shown = rows[rows["metric"].isin(LABELS)]
    followed = {one: steps_of(list(dict.fromkeys(shown["target"])), one) for one in families}
    followed = {family: steps for family, steps in followed.items() if steps}
    if not followed:
        return []
    found = [_curves(material, fit, shown, followed)]
    regions = [name for name in material.study.scores.positions() if name in set(rows["unit"])]
    halves = _halves(material, fit, "encoding_half_time")
    if len(regions) > 1 and not halves[halves["unit"].isin(regions)].empty:
        found.append(_by_region(halves, list(followed), regions))
    return found


def _halves(material: Material, fit: str, metric: str) -> pd.DataFrame:
    """Return half-times of the mean over subjects, or of the only one."""
    table = material.scores
    table = table[(table["fit"] == fit) & (table["metric"] == metric)]
    together = table[table["subject"] == GROUP]
    return table if together.empty else together


def _curves(
    material: Material, fit: str, rows: pd.DataFrame, followed: dict[str, dict[int, str]]
) -> Picture:
    metrics = [one for one in LABELS if one in set(rows["metric"])]
    figure, axes = panels(len(metrics), columns=3, height=2.9)
    told = []
    for axis, metric in zip(axes, metrics, strict=True):
        here = rows[(rows["metric"] == metric) & (rows["unit"] == ALL)]
        halves = _halves(material, fit, HALF_TIMES[metric])
        half_of = {
            str(one["target"]): float(one["value"])
            for one in halves[halves["unit"] == ALL].to_dict("records")
        }
        for i, (family, steps) in enumerate(followed.items()):
            colour, marker = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]
            table = here.pivot_table(index="subject", columns="target", values="value")
            table = table.reindex(columns=list(steps.values()))
            for _, values in table.iterrows():
                axis.plot(list(steps), values, color=colour, alpha=0.3, linewidth=0.8)
            axis.plot(
                list(steps), table.mean(), color=colour, marker=marker, markersize=4.5,
                linewidth=1.9, label=family,
            )  # fmt: skip
            half = half_of.get(family, np.nan)
            if np.isfinite(half):
                axis.axvline(half, color=colour, linewidth=1, linestyle=(0, (1, 2)))
                told.append(f"{family}, {metric.partition('_')[0]}: {number(half, 0)}")
        chance_line(axis, 0)
        axis.set_xscale("symlog", linthresh=FIRST)
        axis.set_xlabel("training step")
        axis.set_title(LABELS[metric])
        axis.grid(axis="y")
    key(figure, axes[0])
    caption = (
        "Brain-likeness along training; step 0 is the untrained twin. Thick: mean over subjects; "
        "thin: each of them. Dotted: half-times of the mean, the step at which half of what "
        "training adds is there."
    )
    alt = f"Half-times in steps: {'; '.join(told) or 'none'}"
    return picture(figure, "Along training", caption, alt=alt)


def _by_region(halves: pd.DataFrame, families: list[str], regions: list[str]) -> Picture:
    figure, (axis,) = panels(1, width=6.4, height=2.9)
    x: Any = np.arange(len(regions))
    for i, family in enumerate(families):
        here = halves[halves["target"] == family].groupby("unit")["value"].mean().reindex(regions)
        axis.plot(
            x, here, color=PALETTE[i % len(PALETTE)], marker=MARKERS[i % len(MARKERS)],
            markersize=5.5, linewidth=0.9, label=family,
        )  # fmt: skip
    axis.set_yscale("symlog", linthresh=FIRST)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("half-time (step)")
    axis.tick_params(axis="y", colors=INK)
    axis.grid(axis="y")
    slanted(axis, x, regions)
    key(figure, axis)
    caption = (
        "Half-time of the encoding score of each region, from the lowest of the hierarchy up; no "
        "mark where training adds nothing."
    )
    return picture(figure, "Half-times by region", caption)
