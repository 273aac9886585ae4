"""Three spaces: the seven parts of the variance that they explain together, as circles.

A part follows from R² of every combination of spaces by inclusion and exclusion (de Heer et al.
2017, J Neurosci 37:6539).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from fornix.evaluation.table import ALL
from fornix.evaluation.unique import JOINT
from fornix.report.figures.canvas import INK, PALETTE, Picture, key, panels, picture
from fornix.report.material import Material
from fornix.report.words import number

PARTS = ("a", "b", "c", "ab", "ac", "bc", "abc")
"""What only the named spaces explain: a, b, c are the first, the second and the third."""

RADIUS = 1.0
DISTANCE = 0.62
"""Of the circles' centres from the middle."""


def seven(r2: pd.DataFrame) -> pd.DataFrame:
    """Return the seven parts from R² of all combinations.

    Parameters
    ----------
    r2
        Columns :data:`PARTS`, where ``ab`` is R² of the first two spaces together.

    Returns
    -------
    pandas.DataFrame
        The same columns: what is explained by these spaces and by no other. They add up to ``abc``
        of the input. Noise, or spaces that suppress one another, make parts negative.
    """
    whole = r2["abc"]
    found = {"a": whole - r2["bc"], "b": whole - r2["ac"], "c": whole - r2["ab"]}
    found["ab"] = r2["ac"] + r2["bc"] - r2["c"] - whole
    found["ac"] = r2["ab"] + r2["bc"] - r2["b"] - whole
    found["bc"] = r2["ab"] + r2["ac"] - r2["a"] - whole
    pairs = r2["ab"] + r2["ac"] + r2["bc"]
    found["abc"] = r2["a"] + r2["b"] + r2["c"] - pairs + whole
    return pd.DataFrame(found)[list(PARTS)]


def parts_of(material: Material, fit: str, spaces: list[str]) -> pd.DataFrame:
    """Return the parts of each region, mean over subjects.

    Empty unless there are three spaces that were each fitted alone too: spaces of one layer.
    """
    if len(spaces) != len("abc"):
        return pd.DataFrame()
    targets = {JOINT: "abc"}
    without = zip(spaces, ("bc", "ac", "ab"), strict=True)
    targets |= {f"{JOINT}-{space}": part for space, part in without}
    targets |= {alone(material, fit, one): part for one, part in zip(spaces, "abc", strict=True)}
    rows = material.rows(fit, "r2")
    rows = rows[rows["target"].isin(targets)]
    table = rows.assign(part=rows["target"].map(targets)).pivot_table(
        index=["subject", "unit"], columns="part", values="value", sort=False
    )
    if set(table.columns) != set(PARTS):
        return pd.DataFrame()
    return seven(table.dropna()).groupby("unit", sort=False).mean()


def alone(material: Material, fit: str, space: str) -> str:
    """Return the target of a space's own fit; the space's name if it has several layers."""
    layers = getattr(material.study.fits[fit], "spaces", {}).get(space, [])
    return str(layers[0]) if len(layers) == 1 else space


def draw(table: pd.DataFrame, spaces: list[str]) -> Picture:
    """Return three circles a region, with R² of each part in them.

    Parameters
    ----------
    table
        From :func:`parts_of`.
    spaces
        Names of the first, the second and the third.
    """
    figure, axes = panels(len(table), columns=3, height=2.9)
    for axis, (region, row) in zip(axes, table.iterrows(), strict=True):
        _circles(axis, row)
        axis.set_title(f"{'all units' if region == ALL else region}: R² {row.sum():.3f}")
    for name, colour in zip(spaces, PALETTE, strict=False):
        axes[0].plot([], [], "o", color=colour, alpha=0.5, label=name)
    key(figure, axes[0])
    caption = "R² of the three spaces together, split into what one alone, two, or all three of "
    caption += "them explain: in each part of the circles its R², mean over subjects. Areas aren't "
    caption += "to scale. A negative part is noise, or spaces that suppress one another."
    told = "; ".join(
        f"{region}: " + ", ".join(f"{_named(part, spaces)} {row[part]:.3f}" for part in PARTS)
        for region, row in table.iterrows()
    )
    return picture(figure, "Variance partition, three spaces", caption, alt=told)


def _named(part: str, spaces: list[str]) -> str:
    return " and ".join(spaces["abc".index(letter)] for letter in part)


def _circles(axis: Axes, row: pd.Series[float]) -> None:
    angles = np.deg2rad([150, 30, 270])
    centres = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for place, colour in zip(DISTANCE * centres, PALETTE, strict=False):
        axis.add_patch(Circle((place[0], place[1]), RADIUS, color=colour, alpha=0.4, linewidth=0))
    for part in PARTS:
        middle = centres[["abc".index(letter) for letter in part]].mean(0)
        # A part of one space is outwards of its circle's centre; one of two, between the two.
        place = {1: 1.1, 2: 1.2, 3: 0.0}[len(part)] * middle
        text = number(float(row[part]), 3)
        axis.text(place[0], place[1], text, ha="center", va="center", color=INK, fontsize=8.5)
    axis.set_xlim(-2.1, 2.1)
    axis.set_ylim(-1.75, 1.45)
    axis.set_aspect("equal")
    axis.set_axis_off()
