"""Decoding: how well, for whom, when, and what is taken for what."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.evaluation.table import ALL
from fornix.report.figures.canvas import (
    ACCENT,
    GREY,
    INK,
    PALETTE,
    WIDTH,
    Picture,
    chance_line,
    colour_bar,
    key,
    panels,
    picture,
    shortened,
    slanted,
    spread,
)
from fornix.report.material import Material, words
from fornix.report.words import metric as metric_name

MAX_CLASSES = 24
MAX_UNITS = 6
MAX_PLACES = 24
"""Regions or channels along one axis; the best ones are drawn."""


def draw(material: Material, fit: str, control: str | None) -> list[Picture]:
    """Return the figures of a classifier: over time, or by region, and a confusion matrix."""
    rows = material.rows(fit)
    if rows.empty:
        return []
    if material.in_time(fit):
        return [_over_time(material, fit, control)]
    found = [_by_unit(material, rows, control)]
    confused = _confusion(material, fit)
    return found + ([confused] if confused else [])


def _over_time(material: Material, fit: str, control: str | None) -> Picture:
    """Return the score of every window, over the null's interval, a panel a region."""
    metric = material.metric(fit)
    rows, null = material.rows(fit, metric), material.rows(control, metric)
    section = material.study.brain_fits[fit]
    units = list(dict.fromkeys(rows["unit"]))[:MAX_UNITS]
    figure, axes = panels(len(units), columns=min(2, len(units)), height=3.2, share=True)
    several = len(set(rows["subject"])) > 1
    for axis, unit in zip(axes, units, strict=True):
        here = rows[rows["unit"] == unit].sort_values("time", kind="stable")
        band = _interval(material, here, metric).groupby("time")[["low", "high"]].mean()
        if len(band):
            axis.fill_between(
                band.index, band["low"], band["high"], color=GREY, alpha=0.18, linewidth=0,
                label=_permuted(material),
            )  # fmt: skip
        chance_line(axis, float(here["chance"].mean()), label="chance")
        baseline = getattr(section, "baseline", None)
        if baseline is not None:
            axis.axvspan(*baseline, color=PALETTE[3], alpha=0.12, linewidth=0, label="baseline")
        axis.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
        shuffled = null[null["unit"] == unit].groupby("time")["value"].mean()
        if len(shuffled):
            axis.plot(shuffled.index, shuffled, color=GREY, linewidth=1.2, label="shuffled control")
        if several:
            for _, one in here.groupby("subject"):
                axis.plot(one["time"], one["value"], color=ACCENT, alpha=0.35, linewidth=0.9)
        mean = here.groupby("time")["value"].mean()
        label = "mean over subjects" if several else f"sub-{here['subject'].iloc[0]}"
        axis.plot(mean.index, mean, color=ACCENT, marker="o", markersize=3.5, linewidth=1.9,
                  label=label)  # fmt: skip
        axis.grid(axis="y")
        axis.margins(x=0.01)
        axis.set_xlabel("time from onset, centre of the window (s)")
        axis.set_ylabel(metric_name(metric))
        axis.set_title("" if unit == ALL else unit)
    key(figure, axes[0])
    means = rows.groupby(["unit", "time"])["value"].mean()
    unit, time = means.index[int(means.to_numpy().argmax())]
    where = "" if unit == ALL else f" in {unit}"
    peak = (
        f"The highest {'mean ' if several else ''}value is {means.max():.2f}{where}, {time:.2f} s"
    )
    peak += " from onset."
    length = getattr(section, "window", None)
    windows = f" of {length:g} s" if length else ""
    caption = f"One classifier for each window{windows}. {peak}"
    caption += " Thin: single subjects." if several else ""
    return picture(figure, "Time course of decoding", caption, alt=peak)


def _by_unit(material: Material, rows: pd.DataFrame, control: str | None) -> Picture:
    """Return every subject's score, a panel a metric: by region, or by subject if there is one."""
    metrics = list(dict.fromkeys(rows["metric"]))
    by_region = len(set(rows["unit"])) > 1
    place = "unit" if by_region else "subject"
    names = list(dict.fromkeys(rows[place]))
    if len(names) > MAX_PLACES:
        top = rows[rows["metric"] == metrics[0]].groupby(place)["value"].mean()
        keep = set(top.sort_values(ascending=False, kind="stable").index[:MAX_PLACES])
        names = [name for name in names if name in keep]
    width = min(WIDTH, len(metrics) * (1.6 + 0.9 * max(len(names), 2)))
    figure, axes = panels(len(metrics), columns=2, width=width, height=3.0)
    for axis, metric in zip(axes, metrics, strict=True):
        here = rows[rows["metric"] == metric]
        null = material.rows(control, metric)
        band = _interval(material, here, metric).groupby(place)[["low", "high"]].mean()
        band = band.reindex(names)
        x = np.arange(len(names))
        axis.bar(
            x, band["high"] - band["low"], 0.72, band["low"], color=GREY, alpha=0.22,
            label=_permuted(material),
        )  # fmt: skip
        for number, name in enumerate(names):
            mine = here.loc[here[place] == name, "value"].to_numpy()
            last = number == len(names) - 1
            if len(mine) > 1:
                axis.hlines(mine.mean(), number - 0.36, number + 0.36, color=ACCENT, linewidth=2.2,
                            label="mean" if last else None)  # fmt: skip
            size, offsets = 5 if len(mine) > 1 else 8, spread(len(mine))
            axis.plot(number + offsets, mine, "o", color=ACCENT, markersize=size, alpha=0.75,
                      markeredgewidth=0, label="subject" if last else None)  # fmt: skip
            shuffled = null.loc[null[place] == name, "value"].to_numpy()
            if len(shuffled):
                axis.plot(
                    number + spread(len(shuffled)), shuffled, "D", markersize=4.5,
                    markeredgecolor=GREY, markerfacecolor="white",
                    label="shuffled control" if last else None,
                )  # fmt: skip
        chance_line(axis, float(here["chance"].mean()), label="chance")
        texts = names if by_region else [f"sub-{name}" for name in names]
        if len(names) > 6:
            slanted(axis, x, texts)
        else:
            axis.set_xticks(x, [shortened(text) for text in texts])
        axis.set_xlim(-0.7, len(names) - 0.3)
        axis.set_ylim(min(0.0, here["value"].min()), 1.02)
        axis.grid(axis="y")
        axis.set_ylabel(metric_name(metric))
    key(figure, axes[0])
    caption = "Scores on held-out samples. Grey bars: where permuted labels fall; dashed: chance"
    caption += "; diamonds: the shuffled control." if control else "."
    means = rows[rows["metric"] == metrics[0]].groupby(place, sort=False)["value"].mean()
    alt = f"{metric_name(metrics[0])}: " + "; ".join(f"{k} {v:.2f}" for k, v in means.items())
    return picture(figure, "Decoding", caption, alt=alt)


def _permuted(material: Material) -> str:
    return f"permuted labels, {100 * material.study.scores.confidence:g} %"


def _interval(material: Material, rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the null's intervals of some rows of one fit."""
    table = material.intervals
    same = (table["fit"] == rows["fit"].iloc[0]) & (table["metric"] == metric)
    found: pd.DataFrame = table[same & table["unit"].isin(set(rows["unit"]))]
    return found.dropna(subset=["low", "high"])


def _confusion(material: Material, fit: str) -> Picture | None:
    """Return the share of each class' samples that were taken for each class."""
    rows = material.rows(fit, material.metric(fit))
    # The region that decodes best shows most; all voxels together, where they are a unit.
    means = rows.groupby("unit", sort=False)["value"].mean()
    unit = ALL if ALL in means.index else str(means.idxmax())
    counts: pd.DataFrame | None = None
    subjects = 0
    for subject in material.subjects(fit):
        data = material.artifact(f"fit/{fit}/{subject}").dataset("predictions")
        names, units = words(data["class"]), words(data["unit"])
        if not 2 < len(names) <= MAX_CLASSES:
            return None
        if unit not in units:
            continue
        score = data["score"].isel(unit=units.index(unit), time=0)
        guess = np.array(names, dtype=object)[score.values.argmax(-1)]
        one = pd.crosstab(np.array(words(data["label"]), dtype=object), guess)
        one = one.reindex(index=names, columns=names, fill_value=0)
        counts = one if counts is None else counts.add(one, fill_value=0)
        subjects += 1
    if counts is None:
        return None
    order = list(dict.fromkeys([*counts.index]))
    counts = counts.reindex(index=order, columns=order).fillna(0)
    share = counts.div(counts.sum(axis=1), axis=0)
    side = min(6.2, 2.0 + 0.36 * len(share))
    figure, (axis,) = panels(1, width=side + 1.6, height=side)
    axis.set_anchor("W")
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    slanted(axis, range(len(order)), order)
    axis.set_yticks(range(len(order)), [shortened(name) for name in order])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.set_xlabel("decoded as")
    axis.set_ylabel("shown")
    for (row, column), value in np.ndenumerate(share.to_numpy()):
        if value >= 0.005 and len(order) <= 12:
            axis.text(
                column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7.5,
                color="white" if value > 0.55 else INK,
            )  # fmt: skip
    colour_bar(figure, image, axis, "share of the class' samples", shrink=0.8)
    right = float(np.trace(counts.to_numpy()) / counts.to_numpy().sum())
    people = f"{subjects} subjects together" if subjects > 1 else "one subject"
    where = "" if unit == ALL else f" from {unit}"
    caption = f"What each class was decoded as{where}, in per cent of its samples; {people}."
    return picture(figure, "Confusions", caption, alt=f"{caption} {right:.0%} were right.")
