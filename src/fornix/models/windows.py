"""Windows that slide over the epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError

Floats = NDArray[np.float64]

SLACK = 0.01
"""Part of the sampling interval by which times may be off through rounding."""


def windows(
    times: Floats, length: float, step: float | None
) -> list[tuple[float, float, float, NDArray[np.bool_]]]:
    """Return (centre, start, stop, samples inside) of windows that lie within the epoch.

    One of them starts at onset; a window holds its start and not its stop.

    Parameters
    ----------
    times
        Samples of the epoch, s from onset.
    length, step
        Of the windows, s; without a step, half the length.

    Raises
    ------
    FornixError
        If the epoch is shorter than a window, or a window shorter than a sample.
    """
    step = step or length / 2
    dt = interval(times)
    slack = SLACK * dt
    low = int(np.ceil((times[0] - slack) / step))
    high = int(np.floor((times[-1] + dt + slack - length) / step))
    spans = []
    for k in range(low, high + 1):
        start, stop = k * step, k * step + length
        inside = (times >= start - slack) & (times < stop - slack)
        if inside.any():
            spans.append((round((start + stop) / 2, 6), start, stop, inside))
    if not spans:
        problem = f"no window of {length} s fits an epoch of {times[0]:.3f} to {times[-1]:.3f} s "
        problem += f"with a sample every {dt:.4f} s"
        mend = "give a window between the sampling interval and the epoch's length"
        raise FornixError(problem, where="fits.<name>.window", mend=mend)
    return spans


def interval(times: Floats) -> float:
    """Return the sampling interval, s; 1 for a single sample."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0
