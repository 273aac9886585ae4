"""RSA: models ranked under the noise ceiling, and the matrices themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fornix.evaluation.table import GROUP
from fornix.report.figures.canvas import (
    ACCENT,
    GREY,
    INK,
    PALE,
    Picture,
    chance_line,
    colour_bar,
    panels,
    picture,
    plain,
    slanted,
)
from fornix.report.material import Material, words

MAX_BARS = 24
MAX_UNITS = 6
METRIC = "spearman_rho"


def draw(material: Material, fit: str, control: str | None) -> list[Picture]:
    """Return the figures of an RSA fit: bars under a ceiling, and dissimilarity matrices."""
    rows = material.scores[material.scores["fit"] == fit]
    if rows.empty:
        return []
    return [_bars(material, rows, control), _matrices(material, fit, rows)]


def _bars(material: Material, rows: pd.DataFrame, control: str | None) -> Picture:
    models = rows[rows["metric"] == METRIC]
    units = list(dict.fromkeys(models["unit"]))[:MAX_UNITS]
    n_bars = min(models["target"].nunique(), MAX_BARS)
    columns = 1 if n_bars > 14 else 2
    figure, axes = panels(len(units), columns=columns, height=3.2)
    scores = material.scores
    null = scores[(scores["fit"] == control) & (scores["metric"] == METRIC)]
    for axis, unit in zip(axes, units, strict=True):
        here = models[models["unit"] == unit]
        people = here[here["subject"] != GROUP]
        means = people.groupby("target", sort=False)["value"].mean()
        means = means.sort_values(ascending=False, kind="stable").head(MAX_BARS)
        places = np.arange(len(means))
        bounds = rows[(rows["unit"] == unit) & (rows["subject"] == GROUP)]
        bounds = bounds.set_index("metric")["value"]
        if {"noise_ceiling_lower", "noise_ceiling_upper"} <= set(bounds.index):
            low, high = bounds["noise_ceiling_lower"], bounds["noise_ceiling_upper"]
            if np.isfinite([low, high]).all():
                axis.axhspan(low, high, color=PALE, zorder=0)
                axis.annotate(
                    "noise ceiling", (1, (low + high) / 2), xycoords=("axes fraction", "data"),
                    ha="right", va="center", fontsize=7.5,
                )  # fmt: skip
        axis.bar(places, means, color=ACCENT, width=0.7)
        for place, target in zip(places, means.index, strict=True):
            each = people.loc[people["target"] == target, "value"]
            if len(each) > 1:
                axis.plot([place] * len(each), each, color=INK, marker=".", linestyle="",
                          alpha=0.7)  # fmt: skip
        shuffled = null[(null["unit"] == unit) & (null["subject"] != GROUP)]
        shuffled = shuffled.groupby("target")["value"].mean().reindex(means.index)
        if shuffled.notna().any():
            axis.plot(places, shuffled, color=GREY, marker="D", markerfacecolor="white",
                      linestyle="", markersize=4)  # fmt: skip
        chance_line(axis, 0)
        slanted(axis, places, list(means.index))
        axis.set_ylabel("Spearman's rho")
        axis.set_title(plain(unit) if len(units) > 1 else "")
    caption = (
        "Rank correlation of each model's dissimilarities with the brain's, mean over subjects; "
        "dots: subjects; band: noise ceiling (Nili et al. 2014)"
    ) + ("; diamonds: the shuffled control." if control else ".")
    return picture(figure, "Models under the noise ceiling", caption)


def _matrices(material: Material, fit: str, rows: pd.DataFrame) -> Picture:
    models = rows[(rows["metric"] == METRIC) & (rows["subject"] != GROUP)]
    unit = str(models.groupby("unit")["value"].max().idxmax())
    ranked = models[models["unit"] == unit].groupby("target", sort=False)["value"].mean()
    best = list(ranked.sort_values(ascending=False, kind="stable").index[:3])
    brains = []
    shown: dict[str, np.ndarray] = {}
    for subject in material.subjects(fit):
        data = material.artifact(f"fit/{fit}/{subject}").dataset("rdms").load()
        units = words(data["unit"])
        brain = data["brain"].values[units.index(unit) if unit in units else 0].mean(0)
        brains.append(rankdata(brain) / len(brain))
        targets = words(data["target"])
        for target in best:
            values = data["model"].values[targets.index(target)]
            shown.setdefault(target, rankdata(np.nan_to_num(values)) / len(values))
    matrices = {f"brain ({unit}, mean)": np.mean(brains, axis=0), **shown}
    figure, axes = panels(len(matrices), columns=len(matrices), height=9.2 / len(matrices) + 0.3)
    image = None
    for axis, (name, values) in zip(axes, matrices.items(), strict=True):
        ranks = rankdata(values) / len(values)
        image = axis.imshow(squareform(ranks, checks=False), cmap="viridis", vmin=0, vmax=1)
        axis.set_title(plain(name), fontsize=8.5)
        axis.set_xticks([])
        axis.set_yticks([])
    colour_bar(figure, image, axes, "rank of dissimilarity", shrink=0.6)
    caption = "Dissimilarity of every pair of stimuli, as ranks: the brain's, and the best models'."
    return picture(figure, "Dissimilarity matrices", caption, vector=False)
