"""Analyses of features: scores by layer, spectra, and the similarity of all layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import ALL, KEYS
from fornix.report.figures.canvas import (
    GREY,
    MARKERS,
    PALETTE,
    Picture,
    colour_bar,
    key,
    panels,
    picture,
    shortened,
    slanted,
)
from fornix.report.material import Material, words
from fornix.report.words import metric as metric_name

METRICS = {
    "effective_dimension": ("participation_ratio_unbiased", "participation_ratio",
                            "powerlaw_exponent"),
    "probe": ("accuracy", "pearson_r", "r2"),
    "activation_codes": ("redundancy", "knn_accuracy", "logistic_accuracy", "kmeans_accuracy"),
    "sae": ("explained_variance", "l0", "dead_fraction", "monosemanticity"),
    "manifold_capacity": ("capacity", "radius", "dimension", "centroid_norm"),
}  # fmt: skip
"""Kind -> metrics that are drawn, in this order, where they are there."""
MAX_NAMES = 24
"""Layers whose names fit on an axis; of more, only where each section begins."""


def draw(material: Material, name: str) -> list[Picture]:
    """Return the figures of an analysis."""
    kind = material.study.analyses[name].kind
    if kind == "cka":
        return [_matrix(material, name)]
    rows = material.rows(name)
    rows = rows[(rows["unit"] == ALL) & rows["metric"].isin(METRICS[kind])]
    pictures = [] if rows.empty else [_by_layer(material, rows, METRICS[kind])]
    return pictures + (_spectra(material, name) if kind == "effective_dimension" else [])


def _by_layer(material: Material, rows: pd.DataFrame, order: tuple[str, ...]) -> Picture:
    metrics = [one for one in order if one in set(rows["metric"])]
    targets = list(dict.fromkeys(rows["target"]))
    figure, axes = panels(len(metrics), columns=min(len(metrics), 2 if len(metrics) == 4 else 3),
                          width=10.25 if len(metrics) > 1 else 6.4, height=2.9)  # fmt: skip
    nulls = material.intervals.merge(rows[list(KEYS)], on=[key for key in KEYS if key != "time"])
    for axis, metric in zip(axes, metrics, strict=True):
        here = rows[rows["metric"] == metric].set_index("target").reindex(targets)
        x = np.arange(len(targets))
        for one in nulls[nulls["metric"] == metric].itertuples():
            axis.vlines(targets.index(one.target), one.low, one.high, color=GREY, linewidth=7,
                        alpha=0.25, label="permuted labels, 95 %")  # fmt: skip
        if here["chance"].notna().any():
            axis.plot(x, here["chance"], color=GREY, linewidth=1, linestyle=(0, (4, 3)),
                      label="chance")  # fmt: skip
        for number, (section, places) in enumerate(_sections(targets).items()):
            axis.plot(places, here["value"].to_numpy()[places], color=PALETTE[number % 8],
                      marker=MARKERS[number % 8], markersize=5, linewidth=1.4,
                      label=section)  # fmt: skip
        _name_layers(axis, targets, whole=False)
        axis.set_title(metric_name(metric))
        axis.grid(axis="y")
    key(figure, max(axes, key=lambda axis: len(set(axis.get_legend_handles_labels()[1]))))
    first = rows[rows["metric"] == metrics[0]]
    values = "; ".join(f"{t} {v:.2f}" for t, v in zip(first["target"], first["value"], strict=True))
    caption = "Each layer's value, layers in their models' order."
    caption += " Grey bars: where permuted labels fall." if len(nulls) else ""
    caption += " Dashed: chance." if rows["chance"].notna().any() else ""
    return picture(figure, "By layer", caption, alt=f"{metric_name(metrics[0])}: {values}")


def _spectra(material: Material, name: str) -> list[Picture]:
    data = material.analysis(name).dataset("arrays").load()
    targets = words(data["target"])
    figure, (axis,) = panels(1, width=6.4, height=3.2)
    rank = data["rank"].to_numpy()
    for number, (section, places) in enumerate(_sections(targets).items()):
        for depth, place in enumerate(places):
            values = data["eigenvalue"].to_numpy()[place]
            shown = values > 1e-9 * values[0]  # a logarithm's share of nothing
            axis.plot(rank[shown], values[shown] / values[0], color=PALETTE[number % 8],
                      alpha=0.35 + 0.65 * (depth + 1) / len(places), linewidth=1.3,
                      label=section)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(lambda value, _: f"{value:g}")  # texts aren't mathematics here
    axis.set_xlabel("rank")
    axis.set_ylabel("eigenvalue, of the first")
    axis.grid()
    key(figure, axis)
    caption = "Eigenvalues of the features' covariance over stimuli; later layers are darker."
    return [picture(figure, "Spectra", caption)]


def _matrix(material: Material, name: str) -> Picture:
    data = material.analysis(name).dataset("arrays").load()
    targets, matrix = words(data["target"]), data["cka"].to_numpy()
    side = float(np.clip(2.2 + 0.26 * len(targets), 3.4, 8.0))
    figure, (axis,) = panels(1, width=side + 1.4, height=side)
    axis.set_anchor("W")
    image = axis.imshow(matrix, cmap="magma", vmin=min(0.0, float(np.nanmin(matrix))), vmax=1)
    _name_layers(axis, targets)
    if len(targets) <= MAX_NAMES:
        axis.set_yticks(range(len(targets)), [shortened(one) for one in targets])
    else:
        axis.set_yticks(*_beginnings(targets))
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for places in list(_sections(targets).values())[1:]:
        axis.axhline(places[0] - 0.5, color="white", linewidth=1.5)
        axis.axvline(places[0] - 0.5, color="white", linewidth=1.5)
    colour_bar(figure, image, axis, metric_name(str(data.attrs["metric"])), shrink=0.8)
    caption = "Linear centred kernel alignment of each pair of layers; 1: alike up to a rotation."
    return picture(figure, "Similarity of layers", caption, alt=caption + _closest(material, name))


def _closest(material: Material, name: str) -> str:
    rows = material.rows(name)
    if rows.empty:
        return ""
    best = rows.iloc[int(rows["value"].to_numpy().argmax())]
    return f" Most alike: {best['target']} and {best['unit']}, {best['value']:.2f}."


def _sections(targets: list[str]) -> dict[str, list[int]]:
    """Return section of features -> places of its layers."""
    found: dict[str, list[int]] = {}
    for place, target in enumerate(targets):
        found.setdefault(target.partition("/")[0], []).append(place)
    return found


def _beginnings(targets: list[str]) -> tuple[list[int], list[str]]:
    found = _sections(targets)
    return [places[0] for places in found.values()], [shortened(one) for one in found]


def _name_layers(axis: Axes, targets: list[str], *, whole: bool = True) -> None:
    """Name the layers along the x axis, with their sections or (where colours tell) without."""
    if len(targets) > MAX_NAMES:
        slanted(axis, *_beginnings(targets))
        return
    names = [target if whole else target.partition("/")[2] for target in targets]
    slanted(axis, range(len(targets)), names)
