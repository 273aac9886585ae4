"""Intervals of what is drawn: of the mean over subjects, or of the only one's score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fornix.evaluation.table import GROUP
from fornix.report.material import Material

PLACE = ["target", "unit", "time"]
SAME = 1e-6
"""The group's score is the mean over subjects if it differs by no more than this."""


def intervals(material: Material, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the interval of each mean over subjects.

    The group's row can be about something else, such as the mean of everybody's predictions of one
    story: such a row says nothing on the mean of scores, and is left out.

    Parameters
    ----------
    material
        The study.
    rows
        Scores of single subjects, of one fit by one metric.

    Returns
    -------
    pandas.DataFrame
        ``target``, ``unit``, ``time`` as the index, ``lower`` and ``upper``; empty where there is
        none.
    """
    empty = pd.DataFrame(columns=["lower", "upper"], dtype=float)
    if rows.empty:
        return empty
    if len(set(rows["subject"])) == 1:
        found = rows.set_index(PLACE)[["lower", "upper"]]
    else:
        table = material.scores
        group = table[
            (table["fit"] == rows["fit"].iloc[0])
            & (table["subject"] == GROUP)
            & (table["metric"] == rows["metric"].iloc[0])
        ].set_index(PLACE)
        means = rows.groupby(PLACE, dropna=False)["value"].mean().reindex(group.index)
        same = np.isclose(group["value"].to_numpy(float), means.to_numpy(float), rtol=0, atol=SAME)
        found = group.loc[same, ["lower", "upper"]]
    found = found.dropna()
    return found[~found.index.duplicated()] if len(found) else empty


def interval_of(
    table: pd.DataFrame, target: str, unit: str, time: float = np.nan
) -> tuple[float, float] | None:
    """Return one interval of :func:`intervals`, or None."""
    here: Any = (target, unit, time)
    if here not in table.index:
        return None
    low, high = table.loc[[here]].iloc[0]
    return float(low), float(high)


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
