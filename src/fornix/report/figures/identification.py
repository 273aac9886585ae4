"""Identification: accuracy of every transform, of every regime, and the regions as a map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from fornix.evaluation.table import GROUP
from fornix.report.figures.canvas import (
    ACCENT,
    GREY,
    INK,
    PALETTE,
    Picture,
    chance_line,
    colour_bar,
    key,
    panels,
    picture,
    spread,
)
from fornix.report.material import Material, words
from fornix.study.fits.identification import IdentificationFit

METRIC = "accuracy"
SHOWN_OVER = {"both": "stimuli and subjects", "subjects": "subjects", "stimuli": "stimuli"}


def draw(material: Material, fit: str, control: str | None) -> list[Picture]:
    """Return bars of the regimes, a heat map of the grid, and a map of what was identified."""
    section = material.study.fits[fit]
    table = material.scores
    rows = table[(table["fit"] == fit) & (table["metric"] == METRIC)]
    if rows.empty or not isinstance(section, IdentificationFit):
        return []
    pictures = [_bars(material, fit, rows, control), _heat_map(section, rows)]
    return [*pictures, *_map(material, fit, section)]


def _bars(material: Material, fit: str, rows: pd.DataFrame, control: str | None) -> Picture:
    each = rows[rows["subject"] != GROUP] if (rows["session"] == "all").all() else rows.iloc[:0]
    group = rows[rows["subject"] == GROUP].set_index("target")["value"]
    targets = [target for target in group.index if "-u" not in target]
    figure, (axis,) = panels(1, columns=1, width=7.6, height=0.9 + 0.34 * len(targets))
    y = np.arange(len(targets))[::-1]
    axis.barh(y, group[targets], 0.62, color=ACCENT, alpha=0.85)
    for place, target in zip(y, targets, strict=True):
        values = each.loc[each["target"] == target, "value"].to_numpy()
        if len(values):
            axis.plot(values, place + spread(len(values), 0.4), ".", color=INK, markersize=4,
                      alpha=0.7, label="subject")  # fmt: skip
    caption = (
        "Share identified by ranked dissimilarities (rank), and by those of each regime of the "
    )
    caption += "geo-topological transform, mean over its cells"
    artifact = material.artifact(f"scores/{fit}")
    if "bootstrap.parquet" in artifact.manifest["parts"]:
        found = artifact.table("bootstrap").set_index("target").reindex(targets)
        axis.hlines(y, found["low"], found["high"], color=INK, linewidth=1.2, zorder=3)
        over = SHOWN_OVER.get(str(found["over"].iloc[0]), "")
        caption += (
            f"; lines: {material.study.scores.confidence:.0%} confidence intervals over {over}"
        )
    if control:
        table = material.scores
        shuffled = table[(table["fit"] == control) & (table["subject"] == GROUP)]
        means = shuffled.set_index("target")["value"].reindex(targets)
        axis.plot(means, y, "D", markersize=4.5, markeredgecolor=GREY, markerfacecolor="white",
                  label="shuffled control")  # fmt: skip
    chance_line(axis, float(rows["chance"].iloc[0]), across=False, label="chance")
    axis.set_yticks(y, targets)
    axis.set_xlim(0, 1.02)
    axis.set_xlabel("accuracy")
    axis.grid(axis="x")
    key(figure, axis)
    alt = "; ".join(f"{target} {group[target]:.2f}" for target in targets)
    return picture(figure, "Regimes of the transform", f"{caption}.", alt=alt)


def grid(section: IdentificationFit, values: pd.Series[float]) -> NDArray[np.float64]:
    """Return accuracy by (upper, lower) bound; NaN where there is no such transform."""
    levels = section.quantiles
    found = np.full((len(levels), len(levels)), np.nan)
    for name, (lower, upper) in section.cells().items():
        found[levels.index(upper), levels.index(lower)] = values.get(name, np.nan)
    return found


def _heat_map(section: IdentificationFit, rows: pd.DataFrame) -> Picture:
    group = rows[rows["subject"] == GROUP].set_index("target")["value"]
    levels, values = section.quantiles, grid(section, group)
    figure, (axis,) = panels(1, columns=1, width=5.4, height=4.2)
    image = axis.imshow(values, cmap="viridis", origin="lower", vmin=0, vmax=1)
    ticks = np.arange(len(levels))
    axis.set_xticks(ticks, [f"{level:g}" for level in levels])
    axis.set_yticks(ticks, [f"{level:g}" for level in levels])
    axis.set_xlabel("lower quantile: below, dissimilarities become 0")
    axis.set_ylabel("upper quantile: above, they become 1")
    best = np.unravel_index(int(np.nanargmax(values)), values.shape)
    axis.plot(best[1], best[0], "o", markersize=9, markerfacecolor="none", markeredgecolor="white")
    colour_bar(figure, image, axis, "accuracy", shrink=0.9)
    upper, lower = levels[best[0]], levels[best[1]]
    top = f"best {np.nanmax(values):.2f} at {lower:g} and {upper:g} (circle); "
    top += f"ranks {group['rank']:.2f}"
    caption = (
        f"Accuracy by the transform's two bounds; {top}. On the diagonal only neighbours are told "
    )
    caption += (
        "from others; at the upper left the whole geometry is kept. The best of many cells is "
    )
    caption += "biased upwards."
    return picture(figure, "Grid of transforms", caption, alt=f"Heat map: {top}")


def _map(material: Material, fit: str, section: IdentificationFit) -> list[Picture]:
    """Return a map on which near regions have similar matrices (classical scaling)."""
    if section.what != "regions":
        return []
    named = []
    for subject in material.subjects(fit):
        data = material.artifact(f"fit/{fit}/{subject}").dataset("rdms").load()
        brain = data["brain"].mean("session").transpose("unit", "pair").values
        named.append((words(data["unit"]), rankdata(brain, axis=1)))
    regions = [name for name in named[0][0] if all(name in names for names, _ in named)]
    if len(regions) < 3 or len({ranks.shape[1] for _, ranks in named}) > 1:
        return []
    stack = [ranks[[names.index(one) for one in regions]] for names, ranks in named]
    similarity = np.corrcoef(np.concatenate(stack))
    n = len(regions)
    blocks = similarity.reshape(len(stack), n, len(stack), n)
    # Between different people only: within one, noise of the session would be shared.
    other = ~np.eye(len(stack), dtype=bool)
    distance = 1 - blocks.transpose(0, 2, 1, 3)[other].mean(0)
    distance = (distance + distance.T) / 2
    distance -= np.minimum(np.diagonal(distance)[:, None], np.diagonal(distance))
    np.fill_diagonal(distance, 0)
    places = classical_scaling(np.maximum(distance, 0))
    figure, (axis,) = panels(1, columns=1, width=5.4, height=3.9)
    axis.plot(places[:, 0], places[:, 1], color=GREY, linewidth=0.8, zorder=1)
    for k, name in enumerate(regions):
        axis.plot(*places[k], "o", color=PALETTE[k % len(PALETTE)], markersize=8)
        axis.annotate(name, places[k], xytext=(6, 4), textcoords="offset points", fontsize=8)
    axis.set_aspect("equal", adjustable="datalim")
    axis.set_xticks([])
    axis.set_yticks([])
    caption = "Regions, near one another where their ranked matrices correlate between different "
    caption += "people (classical multidimensional scaling); the line joins them in their order."
    ends = (
        np.linalg.norm(places[0] - places[-1])
        / np.linalg.norm(np.diff(places, axis=0), axis=1).mean()
    )
    alt = f"Map of {', '.join(regions)}; the first and the last are {ends:.1f} steps apart"
    return [picture(figure, "Map of regions", caption, alt=alt)]


def classical_scaling(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points in two dimensions, (item, 2), whose distances are as given (Torgerson 1952).

    Signs are such that the first item lies to the left, and above.
    """
    n = len(distance)
    centre = np.eye(n) - 1 / n
    values, directions = np.linalg.eigh(-0.5 * centre @ distance**2 @ centre)
    found = directions[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    found[:, 0] *= -1 if found[0, 0] > 0 else 1
    found[:, 1] *= -1 if found[0, 1] < 0 else 1
    return np.asarray(found)
