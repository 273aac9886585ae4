"""Intervals of what is drawn: of the mean over subjects, or of the only one's score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import GROUP
from fornix.report.material import Material

PLACE = ["target", "unit", "time"]
Intervals = dict[tuple[str, str, float | None], tuple[float, float]]
"""Target, unit and time (None: no time) -> lower and upper end."""
SAME = 1e-6
"""The group's score is the mean over subjects if it differs by no more than this."""


def intervals(material: Material, rows: pd.DataFrame) -> Intervals:
    """Return the interval of each mean over subjects; empty where there is none.

    The group's row can be about something else, such as the mean of everybody's predictions of one
    story: such a row says nothing on the mean of scores, and is left out.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects, of one fit by one metric.
    """
    if rows.empty:
        return {}
    found = rows
    if len(set(rows["subject"])) > 1:
        table = material.scores
        group = table[
            (table["fit"] == rows["fit"].iloc[0])
            & (table["subject"] == GROUP)
            & (table["metric"] == rows["metric"].iloc[0])
        ]
        means = rows.groupby(PLACE, dropna=False)["value"].mean()
        means = means.reindex(pd.MultiIndex.from_frame(group[PLACE]))
        same = np.isclose(group["value"].to_numpy(float), means.to_numpy(float), rtol=0, atol=SAME)
        found = group[same]
    found = found.dropna(subset=["lower", "upper"])
    sides = zip(found["lower"].astype(float), found["upper"].astype(float), strict=True)
    keys = zip(found["target"], found["unit"], found["time"].astype(float), strict=True)
    return {_key(*key): one for key, one in zip(keys, sides, strict=True)}


def interval_of(
    known: Intervals, target: str, unit: str, time: float = np.nan
) -> tuple[float, float] | None:
    """Return one interval of :func:`intervals`, or None."""
    return known.get(_key(target, unit, time))


def _key(target: str, unit: str, time: float) -> tuple[str, str, float | None]:
    return target, unit, None if np.isnan(time) else time  # NaN isn't equal to itself


def band(axis: Axes, x: Any, found: list[tuple[float, float] | None], colour: str) -> bool:
    """Shade the intervals along a line; return whether there was any."""
    sides = np.array([(np.nan, np.nan) if one is None else one for one in found], dtype=float)
    if not np.isfinite(sides).any():
        return False
    axis.fill_between(x, sides[:, 0], sides[:, 1], color=colour, alpha=0.15, linewidth=0, zorder=1)
    return True


def whisker(axis: Axes, x: float, found: tuple[float, float] | None, colour: str) -> bool:
    """Draw an interval upright; return whether there was one."""
    if found is None:
        return False
    axis.plot([x, x], found, color=colour, linewidth=1.1, zorder=3)
    return True


def told(n: int, confidence: float) -> str:
    """Say whose intervals they are, for a caption.

    Parameters
    ----------
    n
        Subjects.
    confidence
        Of the intervals, 0 to 1.
    """
    whose = "the mean" if n > 1 else "the score"
    return f"{100 * confidence:g} % interval of {whose}"
