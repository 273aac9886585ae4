"""Encoding: which layer predicts which region, how well, and where in the brain."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.evaluation.table import GROUP
from fornix.report.figures.canvas import (
    ACCENT,
    GREY,
    INK,
    PALETTE,
    Picture,
    chance_line,
    colour_bar,
    panels,
    picture,
    plain,
    slanted,
)
from fornix.report.material import Material, words

MAX_REGIONS = 12
MAX_SUBJECTS = 6


def draw(material: Material, fit: str, control: str | None, *, maps: bool) -> list[Picture]:
    """Return the figures of a ridge fit: layer profiles, voxels, slices."""
    rows = _rows(material, fit)
    if rows.empty:
        return []
    found = []
    if len(set(rows["target"])) > 1 or len(set(rows["subject"])) > 1:
        found.append(_profiles(material, rows, control))
    found += _voxels(material, fit, control)
    if maps:
        found += _slices(material, fit)
    return found


def _rows(material: Material, fit: str) -> pd.DataFrame:
    scores = material.scores
    mine = (scores["fit"] == fit) & (scores["metric"] == "pearson_r")
    return scores[mine & (scores["subject"] != GROUP)]


def _profiles(material: Material, rows: pd.DataFrame, control: str | None) -> Picture:
    regions = list(dict.fromkeys(rows["unit"]))[:MAX_REGIONS]
    targets = list(dict.fromkeys(rows["target"]))
    names = list(dict.fromkeys(target.partition("/")[0] for target in targets))
    # The layers of a network follow one another; the columns of a table don't.
    ordered = [material.study.features[name].kind != "columns" for name in names]
    figure, axes = panels(len(regions), height=2.7)
    null = material.scores[
        (material.scores["fit"] == control) & (material.scores["metric"] == "pearson_r")
    ]
    for axis, region in zip(axes, regions, strict=True):
        here = rows[rows["unit"] == region]
        table = here.pivot_table(index="subject", columns="target", values="value", sort=False)
        table = table.reindex(columns=targets)
        groups = _groups(targets)
        for number, places in enumerate(groups):
            colour = PALETTE[number % len(PALETTE)]
            thin = {"linewidth": 0.8} if ordered[number] else {"marker": "_", "linewidth": 0}
            for _, values in table.iterrows():
                axis.plot(places, values.iloc[places], color=colour, alpha=0.5, **thin)
            mean = table.mean().iloc[places]
            width = 1.8 if ordered[number] else 0
            axis.plot(places, mean, color=colour, marker="o", markersize=4, linewidth=width)
        shuffled = null[null["unit"] == region].groupby("target")["value"].mean().reindex(targets)
        if shuffled.notna().any():
            axis.plot(range(len(targets)), shuffled, color=GREY, marker=".", linewidth=0.7)
        ceiling = here["ceiling"].mean()
        if np.isfinite(ceiling):
            axis.axhline(ceiling, color=INK, linewidth=0.9)
            axis.annotate(
                "ceiling", (1, ceiling), xycoords=("axes fraction", "data"), ha="right",
                va="bottom", fontsize=7.5,
            )  # fmt: skip
        chance_line(axis, 0)
        axis.set_title(plain(region))
        slanted(axis, range(len(targets)), [target.partition("/")[2] for target in targets])
    for axis in axes[::3]:
        axis.set_ylabel("Pearson r")
    for number, name in enumerate(names):
        axes[0].plot([], [], color=PALETTE[number % len(PALETTE)], marker="o", label=plain(name))
    if len(null):
        axes[0].plot([], [], color=GREY, marker=".", label="shuffled")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=8)
    best = _best(rows)
    alt = "Best layer: " + "; ".join(f"{region}: {layer}" for region, layer in best.items())
    caption = (
        "Held-out prediction by layer, region by region. Thick lines: mean over subjects; thin "
        "lines: subjects; solid line: noise ceiling"
    ) + ("; grey: the shuffled control." if control else ".")
    return picture(figure, "Layer profiles", caption, alt=alt)


def _groups(targets: list[str]) -> list[list[int]]:
    names = [target.partition("/")[0] for target in targets]
    return [[i for i, one in enumerate(names) if one == name] for name in dict.fromkeys(names)]


def _best(rows: pd.DataFrame) -> dict[str, str]:
    means = rows.groupby(["unit", "target"], sort=False)["value"].mean().reset_index()
    winners = means.loc[means.groupby("unit", sort=False)["value"].idxmax()]
    return dict(zip(winners["unit"], winners["target"], strict=True))


def _voxel_scores(material: Material, fit: str) -> pd.DataFrame:
    """Return the score of every unit by its region's best target, one row a unit."""
    artifact = material.artifact(f"scores/{fit}")
    scores = material.scores
    best = _best(
        scores[
            (scores["fit"] == fit)
            & (scores["metric"] == "pearson_r")
            & (scores["subject"] != GROUP)
        ]
    )
    found = []
    for subject in material.subjects(fit):
        if f"maps-{subject}.zarr" not in artifact.manifest["parts"]:
            continue
        data = artifact.dataset(f"maps-{subject}").load()
        if "pearson_r" not in data or "roi" not in data.coords:
            continue
        targets = words(data["target"])
        roi = np.array(words(data["roi"]))
        which = [targets.index(best[name]) if best.get(name) in targets else -1 for name in roi]
        rows = np.flatnonzero(np.array(which) >= 0)
        values = data["pearson_r"].values[np.array(which)[rows], rows]
        table = pd.DataFrame({"subject": subject, "roi": roi[rows], "value": values})
        if {"i", "j", "k"} <= set(data.coords):
            table = table.assign(**{axis: data[axis].values[rows] for axis in "ijk"})
            table.attrs["shape"] = [int(size) for size in data.attrs["volume_shape"]]
        found.append(table)
    joined = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    joined.attrs = found[0].attrs if found else {}
    return joined


def _voxels(material: Material, fit: str, control: str | None) -> list[Picture]:
    table = _voxel_scores(material, fit)
    if table.empty:
        return []
    null = _voxel_scores(material, control) if control else pd.DataFrame()
    regions = list(dict.fromkeys(table["roi"]))[:MAX_REGIONS]
    figure, axes = panels(len(regions), height=1.9)
    everything = pd.concat([table, null])["value"].dropna()
    bins = np.linspace(everything.min(), everything.max(), 41)
    for axis, region in zip(axes, regions, strict=True):
        if len(null):
            shuffled = null.loc[null["roi"] == region, "value"]
            axis.hist(shuffled, bins, color=GREY, alpha=0.55, label="shuffled", density=True)
        values = table.loc[table["roi"] == region, "value"]
        axis.hist(values, bins, color=ACCENT, alpha=0.8, label="model", density=True)
        axis.axvline(values.median(), color=INK, linewidth=1)
        axis.set_title(f"{plain(region)}: median {values.median():.2f}")
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("Pearson r")
    axes[0].legend()
    caption = (
        f"Scores of single voxels by their region's best layer, {table['subject'].nunique()} "
        "subjects together; line: median"
    ) + ("; grey: the shuffled control." if control else ".")
    return [picture(figure, "Distribution over voxels", caption)]


def _slices(material: Material, fit: str) -> list[Picture]:
    table = _voxel_scores(material, fit)
    if table.empty or "k" not in table:
        return []
    shape = table.attrs["shape"]
    subjects = list(dict.fromkeys(table["subject"]))[:MAX_SUBJECTS]
    used = np.unique(table["k"])
    chosen = used[np.unique(np.linspace(0, len(used) - 1, min(8, len(used))).round().astype(int))]
    limit = max(0.05, float(np.nanpercentile(np.abs(table["value"]), 99)))
    figure, axes = panels(
        len(subjects) * len(chosen), columns=len(chosen), height=9.2 / max(len(chosen), 4)
    )
    image = None
    for number, axis in enumerate(axes):
        subject, k = subjects[number // len(chosen)], chosen[number % len(chosen)]
        here = table[(table["subject"] == subject) & (table["k"] == k)]
        plane = np.full(shape[:2], np.nan)
        plane[here["i"], here["j"]] = here["value"]
        image = axis.imshow(
            plane.T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none"
        )
        axis.set_facecolor("#f2f4f6")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
        if number < len(chosen):
            names = ", ".join(dict.fromkeys(here["roi"])) or f"k = {k}"
            axis.set_title(plain(names if len(names) < 16 else f"k = {k}"), fontsize=8)
        if number % len(chosen) == 0:
            axis.set_ylabel(plain(f"sub-{subject}"))
    colour_bar(figure, image, axes, "Pearson r", shrink=0.7)
    caption = "Every voxel's score by its region's best layer, in slices of the recordings' grid."
    return [picture(figure, "Slices", caption, vector=False)]
