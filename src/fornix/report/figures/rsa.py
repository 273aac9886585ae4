"""RSA: models ranked under the noise ceiling, and the matrices themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fornix.evaluation.table import ALL, GROUP
from fornix.report.figures import times
from fornix.report.figures.canvas import (
    GREY,
    INK,
    PALETTE,
    Picture,
    chance_line,
    colour_bar,
    key,
    panels,
    picture,
    shortened,
    spread,
)
from fornix.report.material import Material, words
from fornix.report.words import metric as metric_name

LEARNED = (":selected", ":weighted", ":reweighted")
"""Ends of targets that aren't a layer as it is."""

MAX_BARS = 20
MAX_UNITS = 6
MIN_LAYERS = 3
"""Layers that make a profile."""

TABLES = frozenset({"columns", "words"})
"""Kinds whose layers don't follow one another."""

MAX_KINDS = 12
"""Distinct values of a column by which stimuli are sorted in the matrices."""


def draw(material: Material, fit: str, control: str | None) -> list[Picture]:
    """Return the figures of an RSA fit: bars under a ceiling, and dissimilarity matrices."""
    rows = material.rows(fit, material.metric(fit))
    if rows.empty:
        return []
    if material.in_time(fit):
        name = metric_name(material.metric(fit))
        about = times.About(
            "Time course of similarity", name, f"{name} of models' dissimilarities with the brain's"
        )
        units = list(dict.fromkeys(rows["unit"]))[:MAX_UNITS]
        return [times.draw(material, rows, control, units, about)]
    bars = _bars(material, fit, rows, control)
    fixed = rows[~rows["target"].str.endswith(LEARNED)]
    if fixed.empty:
        return [bars]
    return [bars, *_profiles(material, fit, fixed), *_matrices(material, fit, fixed)]


def _bars(material: Material, fit: str, rows: pd.DataFrame, control: str | None) -> Picture:
    """Return the models' mean correlations in falling order, after Nili et al. (2014), fig. 4."""
    units = list(dict.fromkeys(rows["unit"]))[:MAX_UNITS]
    n_bars = min(rows["target"].nunique(), MAX_BARS)
    sections = list(dict.fromkeys(t.partition("/")[0] for t in material.targets(fit)))
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sections)}
    columns = 1 if len(units) == 1 else 2 if len(units) in (2, 4) else 3
    width = 7.6 if columns == 1 else 10.25
    figure, axes = panels(len(units), columns=columns, width=width, height=0.9 + 0.2 * n_bars)
    metric = material.metric(fit)
    null = material.rows(control, metric)
    several = len(set(rows["subject"])) > 1
    intervals = _intervals(material, fit)
    for axis, unit in zip(axes, units, strict=True):
        here = rows[rows["unit"] == unit]
        means = here.groupby("target", sort=False)["value"].mean()
        means = means.sort_values(ascending=False, kind="stable").head(MAX_BARS)
        y = np.arange(len(means))[::-1]
        _ceiling(axis, material, fit, unit)
        shades = [colours.get(target.partition("/")[0], GREY) for target in means.index]
        axis.barh(y, means, 0.68, color=shades, alpha=0.9)
        found = intervals[intervals["unit"] == unit].set_index("target").reindex(means.index)
        axis.hlines(y, found["low"], found["high"], color=INK, linewidth=1.1, zorder=3)
        for place, target in zip(y, means.index, strict=True):
            each = here.loc[here["target"] == target, "value"].to_numpy()
            if several:
                axis.plot(each, place + spread(len(each), 0.3), ".", color=INK, markersize=4,
                          alpha=0.75, label="subject")  # fmt: skip
            shuffled = null.loc[(null["unit"] == unit) & (null["target"] == target), "value"]
            if len(shuffled):
                axis.plot(shuffled.mean(), place, "D", markersize=4.5, markeredgecolor=GREY,
                          markerfacecolor="white", label="shuffled control")  # fmt: skip
        chance_line(axis, float(here["chance"].mean()), across=False)
        axis.set_yticks(y, [shortened(target) for target in means.index])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(-0.7, len(means) - 0.3)
        axis.grid(axis="x")
        axis.set_xlabel(metric_name(metric))
        axis.set_title("" if unit == ALL else unit)
    reach = [axis.get_xlim() for axis in axes]
    for axis in axes:
        axis.set_xlim(min(low for low, _ in reach), max(high for _, high in reach))
    key(figure, axes[0])
    n = rows["subject"].nunique()
    caption = f"{metric_name(metric)} of each model's dissimilarities with the brain's"
    caption += f", mean over {n} subjects (dots)" if several else ""
    hidden = rows["target"].nunique() - n_bars
    caption += f"; the {n_bars} best, {hidden} more are in the table" if hidden else ""
    caption += _over(material, intervals)
    if rows["ceiling"].notna().any():
        caption += ". Band: between the lower and upper noise ceiling (Nili et al. 2014)"
    caption += "; diamonds: the shuffled control." if control else "."
    best = rows.pivot_table(index="target", columns="unit", values="value", sort=False)
    alt = "Best model: " + "; ".join(
        f"{best[unit].idxmax()} in {unit}, {best[unit].max():.2f}" for unit in units
    )
    return picture(figure, "Models under the noise ceiling", caption, alt=alt)


def _intervals(material: Material, fit: str) -> pd.DataFrame:
    """Return the bootstrap intervals of the mean over subjects, or of the one subject."""
    artifact = material.artifact(f"scores/{fit}")
    if "bootstrap.parquet" not in artifact.manifest["parts"]:
        return pd.DataFrame(columns=["unit", "target", "low", "high", "over"])
    table = artifact.table("bootstrap")
    return table if len(set(table["subject"])) == 1 else table.iloc[:0]


def _over(material: Material, intervals: pd.DataFrame) -> str:
    """Say what the lines are."""
    if intervals.empty:
        return ""
    level, over = f"{material.study.scores.confidence:.0%}", str(intervals["over"].iloc[0])
    over = {"both": "stimuli and subjects"}.get(over, over)
    return f"; lines: {level} confidence intervals over {over} (bootstrap)"


def _profiles(material: Material, fit: str, rows: pd.DataFrame) -> list[Picture]:
    """Return the correlation by depth of each network of several layers, a panel a region."""
    networks: dict[str, list[str]] = {}
    known = set(rows["target"])
    for target in (one for one in material.targets(fit) if one in known):
        name = target.partition("/")[0]
        section = material.study.features.get(name)
        if section is not None and section.kind not in TABLES:
            networks.setdefault(name, []).append(target)
    networks = {name: layers for name, layers in networks.items() if len(layers) >= MIN_LAYERS}
    if not networks:
        return []
    units = list(dict.fromkeys(rows["unit"]))[:MAX_UNITS]
    columns = 1 if len(units) == 1 else 2 if len(units) in (2, 4) else 3
    width = 7.6 if columns == 1 else 10.25
    figure, axes = panels(len(units), columns=columns, width=width, height=2.75, share=True)
    for number, (axis, unit) in enumerate(zip(axes, units, strict=True)):
        table = rows[rows["unit"] == unit].pivot_table(
            index="subject", columns="target", values="value", sort=False
        )
        for at, (name, layers) in enumerate(networks.items()):
            values = table.reindex(columns=layers)
            depth = np.linspace(0, 1, len(layers))
            colour = PALETTE[at % len(PALETTE)]
            for _, each in values.iterrows():
                axis.plot(depth, each, color=colour, alpha=0.3, linewidth=0.9)
            axis.plot(depth, values.mean(), color=colour, marker=".", markersize=6, linewidth=1.9,
                      label=name, zorder=4)  # fmt: skip
        chance_line(axis, float(rows["chance"].mean()))
        axis.grid(axis="y")
        axis.set_title("" if unit == ALL else unit)
        axis.set_xticks([0, 1], ["first layer", "last layer"])
        if number % columns == 0:
            axis.set_ylabel(metric_name(material.metric(fit)))
    key(figure, axes[0])
    n = rows["subject"].nunique()
    caption = f"{metric_name(material.metric(fit))} of each network's layers with the brain, in "
    caption += "the order of the network."
    caption += f" Thick: mean over {n} subjects; thin: each of them." if n > 1 else ""
    means = rows.groupby("target")["value"].mean()
    best = [str(means.reindex(layers).idxmax()) for layers in networks.values()]
    alt = "Best layer: " + "; ".join(f"{one}, {float(means.loc[one]):.2f}" for one in best)
    return [picture(figure, "Layer profiles", caption, alt=alt)]


def _ceiling(axis: Axes, material: Material, fit: str, unit: str) -> None:
    table = material.scores
    mine = (table["fit"] == fit) & (table["unit"] == unit) & (table["subject"] == GROUP)
    bounds = table[mine].drop_duplicates("metric").set_index("metric")["value"]
    low = bounds.get("noise_ceiling_lower", np.nan)
    high = bounds.get("noise_ceiling_upper", np.nan)
    if np.isfinite([low, high]).all():
        axis.axvspan(low, high, color=INK, alpha=0.13, linewidth=0, label="noise ceiling")


def _matrices(material: Material, fit: str, rows: pd.DataFrame) -> list[Picture]:
    """Return each region's matrix above that of the model that fits it best."""
    units = list(dict.fromkeys(rows["unit"]))[:MAX_UNITS]
    means = rows.groupby(["unit", "target"], sort=False)["value"].mean()
    if len(units) == 1:
        ranked = means[units[0]].sort_values(ascending=False, kind="stable").index[:2]
        wanted = [(units[0], list(ranked))]
    else:
        wanted = [(unit, [str(means[unit].idxmax())]) for unit in units]
    found = [_shared(material, fit, unit, targets) for unit, targets in wanted]
    if not any(found):
        return []
    order, sorted_by = _order(material, fit, next(stimuli for stimuli, *_ in filter(None, found)))
    shown: list[tuple[str, NDArray[np.float64]]] = []
    for (unit, targets), one in zip(wanted, found, strict=True):
        if one is None:
            continue
        _, brain, models = one
        shown.append(("brain" if unit == ALL else f"brain, {unit}", brain))
        shown += list(zip(targets, models, strict=True))
    columns = len(shown) if len(units) == 1 else len(shown) // 2
    if len(units) > 1:  # brains in the first row, models below them
        shown = shown[::2] + shown[1::2]
    side = min(2.9, 9.3 / columns)
    figure, axes = panels(
        len(shown), columns=columns, width=side * columns + 0.9, height=side + 0.15
    )
    image = None
    for axis, (name, pairs) in zip(axes, shown, strict=True):
        square = squareform(rankdata(pairs) / len(pairs), checks=False)
        square = square[np.ix_(order, order)] if len(order) == len(square) else square
        np.fill_diagonal(square, np.nan)
        image = axis.imshow(square, cmap="viridis", vmin=0, vmax=1, interpolation="none")
        axis.set_title(shortened(name, 24), fontsize=8.5)
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    colour_bar(figure, image, axes, "dissimilarity, rank", shrink=0.7)
    n = len(order)
    caption = f"Dissimilarities of all pairs of {n} stimuli as ranks (dark: alike), mean over "
    caption += "subjects, and of the models that fit them best"
    caption += f"; stimuli sorted by {sorted_by}." if sorted_by else "."
    alt = "Matrices: " + "; ".join(name for name, _ in shown)
    return [picture(figure, "Dissimilarity matrices", caption, alt=alt)]


def _shared(
    material: Material, fit: str, unit: str, targets: list[str]
) -> tuple[list[str], NDArray[np.float64], list[NDArray[np.float64]]] | None:
    """Return stimuli, the mean brain's ranks and the models' dissimilarities of a region.

    Subjects who saw other stimuli than the first one are left out of the mean.
    """
    stimuli: list[str] = []
    brains, models = [], []
    for subject in material.subjects(fit):
        data = material.artifact(f"fit/{fit}/{subject}").dataset("rdms").load()
        units, names = words(data["unit"]), words(data["target"])
        n = int(data.attrs["n_stimuli"])
        own = [words(data["stimulus_a"])[0], *words(data["stimulus_b"])[: n - 1]]
        if unit not in units or not set(targets) <= set(names) or (stimuli and own != stimuli):
            continue
        brain = np.nan_to_num(data["brain"].values[units.index(unit)].astype(float).mean(0))
        brains.append(rankdata(brain) / len(brain))
        if not stimuli:
            stimuli = own
            rows = [data["model"].values[names.index(target)] for target in targets]
            models = [np.nan_to_num(row.astype(float)) for row in rows]
    return (stimuli, np.mean(brains, axis=0), models) if brains else None


def _order(material: Material, fit: str, stimuli: list[str]) -> tuple[NDArray[np.intp], str]:
    """Return the order in which stimuli are shown: by a column of kinds, if there is one."""
    responses = material.study.responses[material.study.brain_fits[fit].responses]
    table = material.artifact(f"ingest/{responses.dataset}").table("stimuli")
    table = table.drop_duplicates("stimulus").set_index("stimulus").reindex(stimuli)
    known = {"modality", "path", "text", "digest", "stim_file"}
    for name in table.columns:
        column = table[name]
        if name in known or pd.api.types.is_numeric_dtype(column) or column.isna().any():
            continue
        if 2 <= column.nunique() <= min(MAX_KINDS, len(column) // 2):
            # Kinds in the order of the table, which is often one that means something.
            return np.argsort(pd.factorize(column.astype(str))[0], kind="stable"), str(name)
    return np.arange(len(stimuli)), ""
