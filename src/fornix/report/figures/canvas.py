"""The look of all figures, and how they become part of a page that needs nothing else."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK, GREY, PALE = "#1d2733", "#8a94a0", "#e3e7eb"
ACCENT = "#0b6e99"
PALETTE = ["#0b6e99", "#d1495b", "#3f8f5b", "#c98a1b", "#6a4c93", "#2f9c95", "#a14a76", "#5b6770"]
"""Told apart also by people who confuse red and green, and in grey print."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "svg.hashsalt": "fornix",
    "figure.max_open_warning": 0,
}
mpl.rcParams.update(STYLE)


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes
    ----------
    title, caption
        What it shows, and how to read it.
    alt
        The same for those who can't see it.
    source
        A data URI.
    """

    title: str
    caption: str
    alt: str
    source: str


def panels(n: int, *, columns: int = 3, width: float = 9.2, height: float = 2.5) -> Any:
    """Return a canvas and its axes, in rows of ``columns``; axes beyond ``n`` are hidden."""
    columns = min(columns, n)
    rows = -(-n // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:n])


def picture(
    figure: Canvas, title: str, caption: str, *, alt: str = "", vector: bool = True
) -> Picture:
    """Close a canvas and return it as a part of the page."""
    buffer = io.BytesIO()
    if vector:
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    else:
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    plt.close(figure)
    kind = "svg+xml" if vector else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(title, caption, alt or f"{title}. {caption}", source)


def plain(text: object) -> str:
    """Return a text from data so that matplotlib prints it and doesn't read it as mathematics."""
    return str(text).replace("$", r"\$")


def slanted(axis: Axes, positions: Any, labels: list[str]) -> None:
    """Label the x axis with long names."""
    axis.set_xticks(positions, [plain(label) for label in labels], rotation=40, ha="right")


def colour_bar(figure: Canvas, image: Any, axes: Any, label: str, *, shrink: float) -> None:
    """Draw a thin colour bar beside axes."""
    bar = figure.colorbar(image, ax=axes, label=label, shrink=shrink, aspect=30, pad=0.01)
    bar.outline.set_visible(False)


def chance_line(axis: Axes, level: float) -> None:
    """Draw the chance level."""
    axis.axhline(level, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
