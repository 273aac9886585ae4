"""The look of all figures, and how they become part of a page that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK, SOFT, GREY, PALE = "#1d2733", "#55616e", "#8a94a0", "#e3e7eb"
ACCENT = "#0b6e99"
PALETTE = ["#0b6e99", "#d1495b", "#3f8f5b", "#c98a1b", "#6a4c93", "#2f9c95", "#a14a76", "#5b6770"]
"""Told apart also by people who confuse red and green, and in grey print."""
MARKERS = "osD^vPX*"
"""So that colour is never the only difference."""

ALPHA = 0.05
"""p below which a figure marks something as above chance."""

WIDTH = 10.25
"""Width of a figure, inches: the page's 984 CSS pixels at 96 a inch, so that 9 pt is 9 pt."""
DRAWN_WITH = "DejaVu Sans"
"""Font that texts are measured with. It is wider than those that pages are read in."""
FOLDER = "figures"
"""Folder beside the page, with a file a figure."""
SHOWN_WITH = (
    "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, "
    "'DejaVu Sans', sans-serif"
)
"""Fonts that vector figures are shown in: the page's own."""

STYLE = {
    "font.family": DRAWN_WITH,
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "grid.color": "#edf0f3",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,  # names of layers and conditions aren't mathematics
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "figure.facecolor": "white",
    "figure.max_open_warning": 0,
    "svg.fonttype": "none",
    "svg.hashsalt": "fornix",
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
    width
        Its natural width, CSS pixels.
    file
        Where it lies beside the page; empty until :func:`filed` names it.
    """

    title: str
    caption: str
    alt: str
    source: str
    width: int
    file: str = ""

    @property
    def content(self) -> bytes:
        """The bytes of the file: SVG or PNG."""
        return base64.b64decode(self.source.partition(",")[2])


def filed(pictures: Iterable[Picture], part: str) -> list[Picture]:
    """Name the files of a part's pictures: ``figures/<part>-<number>-<title>.<svg or png>``.

    Parameters
    ----------
    pictures
        In the order of the page.
    part
        Name of a fit or an analysis.
    """
    found = []
    for number, one in enumerate(pictures, start=1):
        title = re.sub(r"[^a-z0-9]+", "-", one.title.lower()).strip("-")
        ending = "svg" if one.source.startswith("data:image/svg") else "png"
        file = f"{FOLDER}/{part}-{number}-{title}.{ending}"
        found.append(replace(one, file=file))
    return found


def panels(
    n: int, *, columns: int = 3, width: float = WIDTH, height: float = 2.5, share: bool = False
) -> Any:
    """Return a canvas and its axes, in rows of ``columns``; axes beyond ``n`` are hidden.

    Parameters
    ----------
    n
        How many axes.
    columns
        Axes a row, at most.
    width, height
        Of the canvas and of a row, inches.
    share
        One y axis for all of them.
    """
    columns = min(columns, n)
    rows = -(-n // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height * rows), squeeze=False, layout="constrained",
        sharey=share,
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
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
        text = buffer.getvalue().decode()
        data = text.replace(f"'{DRAWN_WITH}'", SHOWN_WITH).encode()
    else:
        figure.savefig(buffer, format="png", dpi=170, metadata={"Software": None})
        data = buffer.getvalue()
    width = round(figure.get_figwidth() * 96)
    plt.close(figure)
    kind = "svg+xml" if vector else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Picture(title, caption, alt or f"{title}. {caption}", source, width)


def slanted(axis: Axes, positions: Any, labels: Iterable[object]) -> None:
    """Label the x axis with long names."""
    texts = [shortened(label) for label in labels]
    axis.set_xticks(positions, texts, rotation=40, ha="right", rotation_mode="anchor")


def shortened(label: object, most: int = 26) -> str:
    """Return a label with its middle left out, if it is too long."""
    text = str(label)
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def colour_bar(figure: Canvas, image: Any, axes: Any, label: str, *, shrink: float) -> None:
    """Draw a thin colour bar beside axes."""
    bar = figure.colorbar(image, ax=axes, label=label, shrink=shrink, aspect=30, pad=0.01)
    bar.outline.set_visible(False)


def chance_line(axis: Axes, level: float, *, across: bool = True, label: str = "") -> None:
    """Draw the chance level, as a line across or upright."""
    draw = axis.axhline if across else axis.axvline
    draw(level, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label=label or None)


def ceiling_band(axis: Axes, ceilings: pd.Series[Any]) -> None:
    """Draw the subjects' mean ceiling as a line across, and their range as a band."""
    known = ceilings.dropna()
    if known.empty:
        return
    axis.axhspan(known.min(), known.max(), color=INK, alpha=0.1, linewidth=0)
    axis.axhline(known.mean(), color=INK, linewidth=1, label="noise ceiling")


def key(figure: Canvas, axis: Axes) -> None:
    """Put an axis' labelled artists above the figure, each label once."""
    found: dict[str, Any] = {}
    for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
        found.setdefault(label, handle)
    for last in ("noise ceiling", "chance", "shuffled control"):
        if last in found:
            found[last] = found.pop(last)
    if found:
        figure.legend(
            list(found.values()), list(found), loc="outside upper left", ncols=7,
            columnspacing=1.4, handletextpad=0.5, borderaxespad=0.2,
        )  # fmt: skip


def spread(n: int, width: float = 0.5) -> np.ndarray:
    """Return n offsets around zero, for dots of one category side by side."""
    return np.linspace(-width / 2, width / 2, n) if n > 1 else np.zeros(1)
