"""Depth: how well each region is predicted along networks of different lengths, on one axis."""

from __future__ import annotations

import pandas as pd

from fornix.evaluation.brain_likeness import relative_depth
from fornix.evaluation.table import ALL
from fornix.report.figures import intervals
from fornix.report.figures.canvas import (
    MARKERS,
    PALETTE,
    Picture,
    ceiling_band,
    chance_line,
    key,
    panels,
    picture,
)
from fornix.report.material import Material
from fornix.study.features.base import ModelSection

LEAST_LAYERS = 3
"""Layers that a network needs for a profile."""
MAX_MODELS = 8


def draw(material: Material, rows: pd.DataFrame, regions: list[str]) -> list[Picture]:
    """Return r over relative depth, a panel a region; none unless there are two networks.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects of an encoding fit without times, by Pearson's r.
    regions
        Those that are drawn.
    """
    models = networks(material, rows)
    if len(models) < 2:
        return []
    shown = dict(list(models.items())[:MAX_MODELS])
    figure, axes = panels(len(regions), columns=3, height=2.5, share=True)
    known = intervals.intervals(material, rows)
    shaded = False
    told = []
    for axis, region in zip(axes, regions, strict=True):
        here = rows[rows["unit"] == region]
        means = here.groupby("target")["value"].mean()
        for i, (model, targets) in enumerate(shown.items()):
            depth, colour = relative_depth(len(targets)), PALETTE[i % len(PALETTE)]
            line = means.reindex(targets)
            axis.plot(
                depth, line, color=colour, marker=MARKERS[i % len(MARKERS)], markersize=4,
                linewidth=1.7, label=model, zorder=4,
            )  # fmt: skip
            sides = [intervals.interval_of(known, one, region) for one in targets]
            shaded |= intervals.band(axis, depth, sides, colour)
            if line.notna().any():
                best = line.index.get_loc(line.idxmax())
                told.append(f"{region}, {model}: {depth[best]:.2f}")
        ceiling_band(axis, here.groupby("subject")["ceiling"].mean())
        chance_line(axis, float(here["chance"].mean()), label="chance")
        axis.set_title("all units" if region == ALL else region)
        axis.set_xlabel("relative depth (0: first layer, 1: last)")
        axis.grid(axis="y")
    for axis in axes[::3]:
        axis.set_ylabel("Pearson's r")
    key(figure, axes[0])
    n = rows["subject"].nunique()
    caption = "Correlation of predicted and measured responses to held-out stimuli over the depth "
    caption += "of each network: the place of a layer among those that were read, from the first "
    caption += f"to the last. {f'Mean over {n} subjects' if n > 1 else 'One subject'}"
    confidence = material.study.scores.confidence
    caption += f"; shaded: {intervals.told(n, confidence)}." if shaded else "."
    more = len(models) - len(shown)
    caption += f" {more} more networks are in the table." if more else ""
    return [picture(figure, "Depth profiles", caption, alt=f"Best depth: {'; '.join(told)}")]


def networks(material: Material, rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return model -> its targets in the model's order, for networks of several layers.

    A layer that is read out in several ways, ``<layer>@<readout>``, is a layer of several models.
    """
    found: dict[str, list[str]] = {}
    for target in material.targets(str(rows["fit"].iloc[0])):
        name, _, layer = target.partition("/")
        if isinstance(material.study.features.get(name), ModelSection):
            readout = layer.partition("@")[2]
            found.setdefault(f"{name}@{readout}" if readout else name, []).append(target)
    there = set(rows["target"])
    kept = {name: [one for one in targets if one in there] for name, targets in found.items()}
    return {name: targets for name, targets in kept.items() if len(targets) >= LEAST_LAYERS}
