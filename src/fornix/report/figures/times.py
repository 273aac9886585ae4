"""Times: the best layer of each model at each moment after the onset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import ALL, GROUP
from fornix.report.figures import intervals
from fornix.report.figures.canvas import (
    ALPHA,
    GREY,
    INK,
    PALETTE,
    Picture,
    chance_line,
    key,
    panels,
    picture,
)
from fornix.report.material import Material


class About(NamedTuple):
    """What a course over time is about: title, label of the axis, first words of the caption."""

    title: str
    axis: str
    what: str


ENCODING = About(
    "Time course of encoding",
    "Pearson's r",
    "Correlation of predicted and measured responses to held-out stimuli",
)


def draw(
    material: Material,
    rows: pd.DataFrame,
    control: str | None,
    regions: list[str],
    about: About = ENCODING,
) -> Picture:
    """Return scores over time, a panel a region, of the best layer of each features section.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects of a fit with times, by one metric.
    control
        The shuffled twin.
    regions
        Those that are drawn.
    about
        What is drawn, in words.
    """
    peaks = rows.groupby(["target", "time"])["value"].mean().groupby("target").max()
    sections: dict[str, str] = {}
    for target in peaks.sort_values(ascending=False, kind="stable").index:
        sections.setdefault(target.partition("/")[0], target)
    figure, axes = panels(len(regions), columns=1 if len(regions) == 1 else 2, height=2.8,
                          share=True)  # fmt: skip
    null = material.rows(control, str(rows["metric"].iloc[0]))
    known = intervals.intervals(material, rows)
    shaded = marked = False
    for axis, region in zip(axes, regions, strict=True):
        shuffled = null[null["unit"] == region].groupby("time")["value"].mean()
        if len(shuffled):
            axis.plot(shuffled.index, shuffled, color=GREY, linewidth=1, label="shuffled control")
        for g, target in enumerate(sections.values()):
            here = rows[(rows["unit"] == region) & (rows["target"] == target)]
            colour = PALETTE[g % len(PALETTE)]
            if len(set(here["subject"])) > 1:
                for _, one in here.groupby("subject", sort=False):
                    line = one.sort_values("time")
                    axis.plot(line["time"], line["value"], color=colour, alpha=0.3, linewidth=0.8)
            mean = here.groupby("time")["value"].mean()
            axis.plot(mean.index, mean, color=colour, linewidth=1.9, label=target)
            sides = [intervals.interval_of(known, target, region, time) for time in mean.index]
            shaded |= intervals.band(axis, mean.index, sides, colour)
        ceiling = rows[rows["unit"] == region].groupby("time")["ceiling"].mean()
        if ceiling.notna().any():
            axis.plot(ceiling.index, ceiling, color=INK, linewidth=1, label="noise ceiling")
        marked |= _marks(axis, material, rows, region, sections.values())
        chance_line(axis, float(rows["chance"].mean()), label="chance")
        axis.axvline(0, color=INK, linewidth=0.8, alpha=0.5)
        axis.grid(axis="y")
        axis.set_title("" if region == ALL else region)
        axis.set_xlabel("time from onset (s)")
        axis.set_ylabel(about.axis)
    key(figure, axes[0])
    n = rows["subject"].nunique()
    caption = f"{about.what} over time, for the best layer of each kind of features, the one with "
    caption += "the highest peak."
    caption += f" Thick: mean over {n} subjects; thin: each of them." if n > 1 else " One subject."
    confidence = material.study.scores.confidence
    caption += f" Shaded: {intervals.told(n, confidence)}." if shaded else ""
    caption += f" Dots: p < {ALPHA}{_corrected(material)}." if marked else ""
    top = peaks.idxmax()
    when = rows[rows["target"] == top].groupby("time")["value"].mean().idxmax()
    alt = f"The highest mean is {peaks.max():.2f}, by {top} at {when} s."
    return picture(figure, about.title, caption, alt=alt)


def _marks(
    axis: Axes, material: Material, rows: pd.DataFrame, region: str, targets: Iterable[str]
) -> bool:
    """Draw a row of dots a target, where its course lies above chance; return if it does.

    The group's p where it has been tested, else that of the only subject.
    """
    table = material.scores
    mine = table[(table["fit"] == rows["fit"].iloc[0]) & (table["unit"] == region)]
    mine = mine[mine["metric"] == rows["metric"].iloc[0]]
    several = len(set(rows["subject"])) > 1
    mine = mine[(mine["subject"] == GROUP) == several]
    column = "p" if material.study.scores.correction == "none" else "p_corrected"
    found = False
    for k, target in enumerate(targets):
        here = mine[(mine["target"] == target) & (mine[column] < ALPHA)]
        axis.plot(here["time"], [0.02 + 0.025 * k] * len(here), ".", markersize=3.5,
                  color=PALETTE[k % len(PALETTE)],
                  transform=axis.get_xaxis_transform())  # fmt: skip
        found |= len(here) > 0
    return found


def _corrected(material: Material) -> str:
    """Say by what p is corrected."""
    words = {
        "none": ", not corrected",
        "fdr": ", corrected by the false discovery rate",
        "max": ", corrected by the largest score",
        "cluster": ", of the cluster of times",
    }
    return words[material.study.scores.correction]
