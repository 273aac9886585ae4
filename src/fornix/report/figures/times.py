"""Times: how well each moment after the onset is predicted by the best layer of each model."""

from __future__ import annotations

import pandas as pd

from fornix.evaluation.table import ALL
from fornix.report.figures import intervals
from fornix.report.figures.canvas import (
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


def draw(
    material: Material, rows: pd.DataFrame, control: str | None, regions: list[str]
) -> Picture:
    """Return r over time, a panel a region, of the best layer of each features section.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects of an encoding fit with times, by one metric.
    control
        The shuffled twin.
    regions
        Those that are drawn.
    """
    peaks = rows.groupby(["target", "time"])["value"].mean().groupby("target").max()
    sections: dict[str, str] = {}
    for target in peaks.sort_values(ascending=False, kind="stable").index:
        sections.setdefault(target.partition("/")[0], target)
    figure, axes = panels(len(regions), columns=1 if len(regions) == 1 else 2, height=2.8,
                          share=True)  # fmt: skip
    null = material.rows(control, str(rows["metric"].iloc[0]))
    known = intervals.intervals(material, rows)
    shaded = False
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
        chance_line(axis, 0, label="chance")
        axis.axvline(0, color=INK, linewidth=0.8, alpha=0.5)
        axis.grid(axis="y")
        axis.set_title("" if region == ALL else region)
        axis.set_xlabel("time from onset (s)")
        axis.set_ylabel("Pearson's r")
    key(figure, axes[0])
    n = rows["subject"].nunique()
    caption = "Correlation of predicted and measured responses to held-out stimuli over time, for "
    caption += "the best layer of each kind of features, the one with the highest peak."
    caption += f" Thick: mean over {n} subjects; thin: each of them." if n > 1 else " One subject."
    confidence = material.study.scores.confidence
    caption += f" Shaded: {intervals.told(n, confidence)}." if shaded else ""
    top = peaks.idxmax()
    alt = f"The highest mean correlation is {peaks.max():.2f}, by {top}."
    return picture(figure, "Time course of encoding", caption, alt=alt)
