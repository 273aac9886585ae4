"""What each space of features predicts that the others don't."""

from __future__ import annotations

import numpy as np

from fornix.evaluation.table import ALL
from fornix.report.figures.canvas import (
    PALETTE,
    Picture,
    chance_line,
    panels,
    picture,
    slanted,
    spread,
)
from fornix.report.material import Material

METRIC = "unique_r2"
MAX_REGIONS = 12


def draw(material: Material, fit: str) -> list[Picture]:
    """Return a panel a space: its own share of the variance in each region; none without spaces."""
    rows = material.rows(fit, METRIC)
    if rows.empty:
        return []
    spaces = list(dict.fromkeys(rows["target"]))
    best = rows.groupby("unit")["value"].mean().nlargest(MAX_REGIONS)
    regions = [unit for unit in dict.fromkeys(rows["unit"]) if unit in best.index]
    figure, axes = panels(len(spaces), columns=3, height=2.6, share=True)
    told = []
    for number, (axis, space) in enumerate(zip(axes, spaces, strict=True)):
        here = rows[rows["target"] == space]
        table = here.pivot_table(index="subject", columns="unit", values="value", sort=False)
        table = table.reindex(columns=regions)
        colour = PALETTE[number % len(PALETTE)]
        x = np.arange(len(regions))
        for place, region in zip(x, regions, strict=True):
            values = table[region].dropna().to_numpy()
            axis.plot(place + spread(len(values)), values, ".", color=colour, alpha=0.4, zorder=2)
        axis.plot(x, table.mean(), "_", color=colour, markersize=16, markeredgewidth=2.2, zorder=3)
        chance_line(axis, 0.0)
        axis.set_title(space)
        slanted(axis, x, ["all units" if region == ALL else region for region in regions])
        if number % 3 == 0:
            axis.set_ylabel("unique R²")
        top = table.mean().idxmax()
        told.append(f"{space}: {top}, {table[top].mean():.3f}")
    n = rows["subject"].nunique()
    caption = "R² of all spaces together minus R² of all but this one, for held-out samples."
    caption += f" Bars: means over {n} subjects; dots: each of them." if n > 1 else ""
    return [picture(figure, "Own contributions", caption, alt=f"Most: {'; '.join(told)}")]
