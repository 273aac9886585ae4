"""Decoding: how well, for whom, when, and what is taken for what."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.evaluation.table import ALL, GROUP
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

MAX_CLASSES = 24
MAX_UNITS = 6


def draw(material: Material, fit: str, control: str | None) -> list[Picture]:
    """Return the figures of a classifier: over time, or bars and a confusion matrix."""
    scores = material.scores
    rows = scores[(scores["fit"] == fit) & (scores["subject"] != GROUP)]
    if rows.empty:
        return []
    if len(set(rows["time"].dropna())) > 1:
        metric = "auc" if (rows["metric"] == "auc").any() else "accuracy"
        return [_over_time(material, rows[rows["metric"] == metric], control, metric)]
    found = [_bars(material, rows, control)]
    confused = _confusion(material, fit)
    return found + ([confused] if confused else [])


def _over_time(material: Material, rows: pd.DataFrame, control: str | None, metric: str) -> Picture:
    units = list(dict.fromkeys(rows["unit"]))[:MAX_UNITS]
    figure, axes = panels(len(units), columns=min(2, len(units)), height=3.0)
    scores, intervals = material.scores, material.intervals
    null = scores[(scores["fit"] == control) & (scores["metric"] == metric)]
    for axis, unit in zip(axes, units, strict=True):
        here = rows[rows["unit"] == unit]
        band = intervals[
            (intervals["fit"] == here["fit"].iloc[0])
            & (intervals["metric"] == metric)
            & (intervals["unit"] == unit)
        ]
        band = band.groupby("time")[["low", "high"]].mean().dropna()
        if len(band):
            axis.fill_between(
                band.index, band["low"], band["high"], color=GREY, alpha=0.2, linewidth=0,
                label="null, central interval",
            )  # fmt: skip
        shuffled = null[null["unit"] == unit].groupby("time")["value"].mean()
        if len(shuffled):
            axis.plot(shuffled.index, shuffled, color=GREY, linewidth=1, label="shuffled")
        by_time = here.sort_values("time", kind="stable")
        for number, (subject, one) in enumerate(by_time.groupby("subject")):
            colour = PALETTE[number % len(PALETTE)]
            label = plain(f"sub-{subject}")
            axis.plot(one["time"], one["value"], color=colour, marker=".", label=label)
        chance_line(axis, float(here["chance"].mean()))
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.set_xlabel("time from onset (s)")
        axis.set_ylabel(_name(metric))
        axis.set_title("" if unit == ALL else plain(unit))
        axis.legend(loc="upper left")
    peak = rows.sort_values("value").iloc[-1]
    alt = f"The highest {_name(metric)} is {peak['value']:.2f} at {peak['time']:.2f} s."
    caption = f"{_name(metric)} of each window (its centre). {alt}"
    return picture(figure, "Time course of decoding", caption, alt=alt)


def _bars(material: Material, rows: pd.DataFrame, control: str | None) -> Picture:
    metrics = list(dict.fromkeys(rows["metric"]))
    units = list(dict.fromkeys(rows["unit"]))
    subjects = list(dict.fromkeys(rows["subject"]))
    figure, axes = panels(len(metrics), columns=2, height=2.8)
    scores, intervals = material.scores, material.intervals
    slot = 0.8 / len(subjects)
    for axis, metric in zip(axes, metrics, strict=True):
        here = rows[rows["metric"] == metric]
        for s, subject in enumerate(subjects):
            mine = here[here["subject"] == subject].set_index("unit")["value"].reindex(units)
            x = np.arange(len(units)) - 0.4 + slot * (s + 0.5)
            colour = PALETTE[s % len(PALETTE)] if len(units) > 1 else ACCENT
            axis.bar(x, mine, slot * 0.86, color=colour, label=plain(f"sub-{subject}"))
            key = (scores["subject"] == subject) & (scores["metric"] == metric)
            if control:
                null = scores[key & (scores["fit"] == control)].set_index("unit")["value"]
                axis.plot(
                    x, null.reindex(units), color="white", marker="D", markersize=5,
                    markeredgecolor=GREY, markerfacecolor="white", linestyle="",
                    label="shuffled" if s == len(subjects) - 1 else None,
                )  # fmt: skip
            band = intervals[
                (intervals["fit"] == here["fit"].iloc[0])
                & (intervals["subject"] == subject)
                & (intervals["metric"] == metric)
            ].set_index("unit")
            band = band[["low", "high"]].reindex(units)
            axis.vlines(x, band["low"], band["high"], color=INK, linewidth=1.2, alpha=0.6)
        chance_line(axis, float(here["chance"].mean()))
        if len(units) > 1:
            slanted(axis, range(len(units)), units)
        else:
            places = -0.4 + slot * (np.arange(len(subjects)) + 0.5)
            axis.set_xticks(places, [plain(f"sub-{subject}") for subject in subjects])
            axis.set_xlim(-0.4 - max(0, 4 - len(subjects)) * slot / 2, 0.4)
        axis.set_ylabel(_name(metric))
        axis.set_ylim(0, 1.02)
        axis.set_title(_name(metric))
    if len(units) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=8)
    caption = (
        "Held-out samples. Dashed: chance; vertical lines: central interval of the permutation null"
    ) + ("; diamonds: the shuffled control." if control else ".")
    return picture(figure, "Decoding", caption)


def _confusion(material: Material, fit: str) -> Picture | None:
    """Return the share of each class' samples that were taken for each class."""
    counts = None
    for subject in material.subjects(fit):
        data = material.artifact(f"fit/{fit}/{subject}").dataset("predictions").load()
        names = np.array(words(data["class"]))
        if not 2 < len(names) <= MAX_CLASSES:
            return None
        units = words(data["unit"]) if "unit" in data.dims else [ALL]
        score = data["score"]
        if "unit" in data.dims:
            score = score.isel(unit=units.index(ALL) if ALL in units else 0)
        guess = names[score.isel(time=0).values.argmax(-1)]
        truth = np.array(words(data["label"]))
        one = pd.crosstab(truth, guess).reindex(index=names, columns=names, fill_value=0)
        counts = one if counts is None else counts.add(one, fill_value=0)
    if counts is None:
        return None
    share = counts.div(counts.sum(axis=1), axis=0)
    side = min(6.5, 2.2 + 0.36 * len(share))
    figure, (axis,) = panels(1, width=side + 1.2, height=side)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    labels = [str(name) for name in share.columns]
    slanted(axis, range(len(labels)), labels)
    axis.set_yticks(range(len(labels)), [plain(label) for label in labels])
    axis.set_xlabel("decoded")
    axis.set_ylabel("shown")
    for (row, column), value in np.ndenumerate(share.to_numpy()):
        if value >= 0.005 and len(labels) <= 12:
            colour = "white" if value > 0.55 else INK
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                      color=colour)  # fmt: skip
    colour_bar(figure, image, axis, "share of samples", shrink=0.8)
    caption = "What each class was taken for, all subjects together; rows add up to 1."
    return picture(figure, "Confusion matrix", caption)


def _name(metric: str) -> str:
    return {"auc": "area under ROC curve", "accuracy": "accuracy"}.get(metric, metric)
