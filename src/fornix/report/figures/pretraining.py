"""Training curves of networks that learn from stimuli alone."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fornix.report.figures.canvas import MARKERS, PALETTE, Picture, key, panels, picture
from fornix.report.words import number

SHOWN = {
    "loss": "loss",
    "entropy": "entropy of the teacher's answers (nats)",
    "spread": "spread of the tokens",
    "dimensions": "dimensions of the tokens",
    "neighbours": "accuracy of nearest neighbours",
}
"""Name in the log -> label, in the order of the panels."""


def draw(logs: Mapping[str, pd.DataFrame]) -> Picture:
    """Return the logs of all pretrainings, a panel a number, a line a network.

    Parameters
    ----------
    logs
        Fit -> its log (see :mod:`fornix.training.log`).
    """
    there = {str(name) for log in logs.values() for name in set(log["name"])}
    names = [name for name in SHOWN if name in there]
    figure, axes = panels(len(names), columns=3, height=2.5)
    for axis, name in zip(axes, names, strict=True):
        for i, (fit, log) in enumerate(logs.items()):
            rows = log[log["name"] == name]
            at_checkpoints = (rows["split"] == "checkpoint").all()
            axis.plot(
                rows["step"], rows["value"], color=PALETTE[i % len(PALETTE)], linewidth=1.3,
                marker=MARKERS[i % len(MARKERS)] if at_checkpoints else None, markersize=4,
                label=fit,
            )  # fmt: skip
        axis.set_title(SHOWN[name])
        axis.set_xlabel("step")
        # Much happens in the first steps; step 0 is there too.
        axis.set_xscale("symlog", linthresh=10)
        axis.grid(axis="y")
    key(figure, axes[0])
    caption = (
        "Training of each network. Spread: how far the tokens of different pictures lie apart (0: "
        "collapsed, 1: in all directions); dimensions: participation ratio of their covariance."
    )
    ends = {fit: log[log["name"] == "loss"]["value"].iloc[-1] for fit, log in logs.items()}
    alt = "Last loss: " + "; ".join(f"{fit} {number(float(one))}" for fit, one in ends.items())
    return picture(figure, "Training curves", caption, alt=alt)
