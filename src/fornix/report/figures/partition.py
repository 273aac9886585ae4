"""Variance partitions: what each space explains alone, and what it shares with the others.

Two spaces are circles to scale, three are circles of one size (areas to scale have no solution in
general), more are bars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from scipy.optimize import brentq

from fornix.evaluation.table import ALL
from fornix.evaluation.unique import JOINT
from fornix.report.figures import triples
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
)
from fornix.report.material import Material
from fornix.report.words import number

MAX_CIRCLES = 6
"""Regions whose circles are drawn; more are bars."""

MAX_NEGATIVE = 0.2
"""Share of the largest R² that negative parts may reach in circles; beyond, bars show them."""
MAX_REGIONS = 16
SHARED = "shared"


def shares(material: Material, fit: str) -> pd.DataFrame:
    """Return the partition of the joint R² of each region, mean over subjects.

    Returns
    -------
    pandas.DataFrame
        A row a region: a column a space (what it alone explains), and ``shared``, which more than
        one of them explain; they add up to the joint R². Empty where spaces weren't joined.
    """
    rows = material.rows(fit)
    alone = rows[rows["metric"] == "unique_r2"]
    whole = rows[(rows["metric"] == "r2") & (rows["target"] == JOINT)]
    if alone.empty or whole.empty:
        return pd.DataFrame()
    keys = ["subject", "unit"]
    table = alone.pivot_table(index=keys, columns="target", values="value", sort=False)
    joint = whole.groupby(keys, sort=False)["value"].mean().reindex(table.index)
    table[SHARED] = joint - table.sum(axis=1)
    return table.dropna().groupby("unit", sort=False).mean()


def draw(material: Material, fit: str) -> list[Picture]:
    """Return circles for two or three spaces, stacked bars for more or for many regions.

    Bars too where parts are negative: circles can't show that spaces suppress one another, as they
    do in a joint fit with one penalty for all.
    """
    table = shares(material, fit)
    if table.empty:
        return []
    total = table.sum(axis=1).nlargest(MAX_REGIONS).index
    table = table.loc[[unit for unit in table.index if unit in total]]
    spaces = [name for name in table.columns if name != SHARED]
    if len(spaces) == 2 and len(table) <= MAX_CIRCLES and _are_areas(table):
        return [_circles(table, spaces)]
    three = triples.parts_of(material, fit, spaces)
    three = three.loc[[unit for unit in table.index if unit in three.index]]
    found = [_bars(table, spaces)]
    if 0 < len(three) <= MAX_CIRCLES and _are_areas(three):
        found.insert(0, triples.draw(three, spaces))
    return found


def _are_areas(parts: pd.DataFrame) -> bool:
    """Return whether negative parts are so small that circles don't mislead."""
    below, above = parts.clip(upper=0).sum(axis=1), parts.clip(lower=0).sum(axis=1)
    return bool(-below.min() <= MAX_NEGATIVE * above.max())


def _circles(table: pd.DataFrame, spaces: list[str]) -> Picture:
    figure, axes = panels(len(table), columns=3, height=2.5)
    whole = table.clip(lower=0).sum(axis=1).max()
    for axis, (region, row) in zip(axes, table.iterrows(), strict=True):
        _venn(axis, row[spaces[0]], row[spaces[1]], row[SHARED], whole)
        axis.set_title(f"{'all units' if region == ALL else region}: R² {row.sum():.3f}")
    axes[0].plot([], [], "o", color=PALETTE[0], alpha=0.5, label=spaces[0])
    axes[0].plot([], [], "o", color=PALETTE[1], alpha=0.5, label=spaces[1])
    key(figure, axes[0])
    caption = "R² of both spaces together, split into what either explains alone and what both "
    caption += "explain: areas are to scale, over all regions. Numbers, first alone, both, "
    caption += "second alone, are means over subjects; a negative one, which noise makes, has no "
    caption += "area."
    told = "; ".join(
        f"{region}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items())
        for region, row in table.iterrows()
    )
    return picture(figure, "Variance partition", caption, alt=told)


def radii_and_distance(first: float, second: float, shared: float) -> tuple[float, float, float]:
    """Return the radii of two circles and the distance of their centres, by areas.

    Parameters
    ----------
    first, second
        Areas that only one of them covers; negative ones count as 0.
    shared
        Area that both cover.
    """
    a, b, both = (max(0.0, one) for one in (first, second, shared))
    r, s = (float(np.sqrt((one + both) / np.pi)) for one in (a, b))
    if both <= 0 or min(r, s) == 0:
        return r, s, r + s
    inside = abs(r - s)
    if both >= _overlap(r, s, inside) * (1 - 1e-9):
        return r, s, inside
    found = brentq(lambda d: _overlap(r, s, d) - both, inside, r + s)
    return r, s, float(found)


def _overlap(r: float, s: float, distance: float) -> float:
    """Return the area that two circles share."""
    if distance >= r + s:
        return 0.0
    if distance <= abs(r - s):
        return float(np.pi * min(r, s) ** 2)
    left = np.arccos(np.clip((distance**2 + r**2 - s**2) / (2 * distance * r), -1, 1))
    right = np.arccos(np.clip((distance**2 + s**2 - r**2) / (2 * distance * s), -1, 1))
    kite = (-distance + r + s) * (distance + r - s) * (distance - r + s) * (distance + r + s)
    return float(r**2 * left + s**2 * right - np.sqrt(max(0.0, kite)) / 2)


def _venn(axis: Axes, first: float, second: float, shared: float, whole: float) -> None:
    r, s, distance = radii_and_distance(first, second, shared)
    centres = (-distance / 2, distance / 2)
    for colour, x, radius in zip(PALETTE, centres, (r, s), strict=False):
        axis.add_patch(Circle((x, 0), radius, color=colour, alpha=0.45, linewidth=0))
    # Below, where they don't lie on one another however small the areas are.
    inks, values = (PALETTE[0], INK, PALETTE[1]), (first, shared, second)
    for x, value, ink in zip((0.25, 0.5, 0.75), values, inks, strict=True):
        text = number(float(value), 3)
        axis.text(x, 0.02, text, transform=axis.transAxes, ha="center", color=ink)
    reach = 1.25 * 2 * float(np.sqrt(max(whole, 1e-12) / np.pi))
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-0.6 * reach, 0.6 * reach)
    axis.set_aspect("equal")
    axis.set_axis_off()


def _bars(table: pd.DataFrame, spaces: list[str]) -> Picture:
    figure, (axis,) = panels(1, columns=1, width=WIDTH, height=3.0)
    x, base, below = np.arange(len(table)), np.zeros(len(table)), np.zeros(len(table))
    colours = [*(PALETTE[i % len(PALETTE)] for i in range(len(spaces))), GREY]
    for name, colour in zip([*spaces, SHARED], colours, strict=True):
        values = table[name].to_numpy()
        start = np.where(values >= 0, base, below)
        axis.bar(x, values, 0.72, bottom=start, color=colour, label=name, zorder=2)
        base, below = base + values.clip(min=0), below + values.clip(max=0)
    chance_line(axis, 0.0)
    axis.set_ylabel("R²")
    axis.grid(axis="y")
    slanted(axis, x, ["all units" if region == ALL else region for region in table.index])
    key(figure, axis)
    caption = "R² of all spaces together, split into what each explains that the others don't, and "
    caption += f"what more than one explain ({SHARED}). Means over subjects; a negative share, by "
    caption += "noise or by spaces that suppress one another, is below the line."
    told = "; ".join(f"{region}: R² {row.sum():.3f}" for region, row in table.iterrows())
    return picture(figure, "Variance partition", caption, alt=told)
