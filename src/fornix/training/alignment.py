"""Features of events to features of samples that follow one another in time.

A volume's time is where its interval starts, which is nilearn's ``slice_time_ref=0``. Every method
is linear in the features, so that it is one sparse matrix (sample, row of the features), made once
and applied to each layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from fornix.solvers.panels import Delayed

if TYPE_CHECKING:
    from fornix.study.fits.encoding import Align

Floats = NDArray[np.float64]

OVERSAMPLING = 50
"""Steps of the fine time grid in a repetition time, on which an HRF is convolved; nilearn's."""

EARLIEST_S = 24.0
"""Events that begin so long before a recording leave nothing in it (nilearn's ``min_onset``)."""

EPSILON_S = 1e-6


@dataclass(frozen=True)
class Alignment:
    """Features of stimuli to features of samples.

    Attributes
    ----------
    operators
        One matrix (sample, row of the features) a delay.
    """

    operators: tuple[sparse.csr_array, ...]

    def __call__(self, values: NDArray[Any]) -> Floats | Delayed:
        """Return (sample, delay * feature) of a layer (row, ...): the delays' copies in turn.

        Several copies are made when they are used, one at a time.
        """
        flat = np.asarray(values).reshape(len(values), -1)
        if len(self.operators) > 1:
            return Delayed(self.operators, flat)
        return np.asarray(self.operators[0] @ flat.astype(np.float64))


@dataclass(frozen=True)
class Kernel:
    """How a sample at one time weighs the points near it.

    Attributes
    ----------
    before, after
        Points that begin up to this long (s) before, or after, the sample's time may count.
    weights
        (time of the sample, onsets, ends of the points; s) -> their weights.
    """

    before: float
    after: float
    weights: Callable[[float, Floats, Floats], Floats]


def align(section: Align, samples: pd.DataFrame, points: pd.DataFrame, n_rows: int) -> Alignment:
    """Build the operators.

    Parameters
    ----------
    section
        Method and delays.
    samples
        One row a sample: ``recording``, ``onset`` (s) and ``duration`` (s, the interval).
    points
        One row each time a row of the features is shown: ``recording``, ``onset``, ``duration``
        (s) and ``row``. See :func:`points_of`.
    n_rows
        Rows of the features.
    """
    shape = (len(samples), n_rows)
    parts: list[list[tuple[NDArray[Any], ...]]] = [[] for _ in section.delays]
    shown = dict(iter(points.sort_values("onset", kind="stable").groupby("recording")))
    for recording, mine in samples.groupby("recording", sort=False):
        if recording not in shown:
            continue
        there = shown[recording]
        onset, duration = (there[key].to_numpy(np.float64) for key in ("onset", "duration"))
        times = mine["onset"].to_numpy(np.float64)
        kernel = _KERNELS[section.method](section, times, mine["duration"].to_numpy(), duration)
        for part, delay in zip(parts, section.delays, strict=True):
            entries = _entries(kernel, times - delay, onset, onset + duration, times[0])
            sample, point, weight = entries
            part.append((mine.index.to_numpy()[sample], there["row"].to_numpy()[point], weight))
    return Alignment(tuple(_matrix(part, shape) for part in parts))


def points_of(events: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return when each row of the features is shown.

    Parameters
    ----------
    events
        ``recording``, ``onset``, ``duration`` (s), ``stimulus``.
    rows
        One line a row of the features: ``stimulus``, and ``time`` (s from the stimulus' onset)
        where a stimulus has a row a frame.

    Returns
    -------
    pandas.DataFrame
        ``recording``, ``onset``, ``duration`` and ``row``. A static row is shown as long as its
        event; a frame until the next one.
    """
    rows = rows.assign(row=np.arange(len(rows)))
    shown = events[["recording", "onset", "duration", "stimulus"]].merge(rows, on="stimulus")
    if "time" in rows:
        step = rows.groupby("stimulus")["time"].diff().median()
        shown["onset"] += shown["time"]
        shown["duration"] = 0.0 if np.isnan(step) else float(step)
    return shown[["recording", "onset", "duration", "row"]]


def _entries(
    kernel: Kernel, times: Floats, onset: Floats, end: Floats, start: float
) -> tuple[NDArray[Any], ...]:
    """Return (sample, point, weight) of what isn't 0; before the recording starts, all is."""
    first = np.searchsorted(onset, times - kernel.before - EPSILON_S)
    last = np.searchsorted(onset, times + kernel.after + EPSILON_S)
    found: list[tuple[NDArray[Any], ...]] = []
    for i in np.flatnonzero(times >= start - EPSILON_S):
        near = slice(first[i], last[i])
        weights = kernel.weights(times[i], onset[near], end[near])
        used = np.flatnonzero(weights)
        found.append((np.full(len(used), i), first[i] + used, weights[used]))
    if not found:
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _matrix(parts: list[tuple[NDArray[Any], ...]], shape: tuple[int, int]) -> sparse.csr_array:
    if not parts:
        return sparse.csr_array(shape)
    sample, row, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sparse.csr_array(sparse.coo_array((weight, (sample, row)), shape=shape))


def _lanczos(section: Align, times: Floats, interval: Floats, durations: Floats) -> Kernel:
    """Weigh by a sinc with a sinc for a window, both 0 at whole repetition times.

    Huth et al. 2016 (Nature 532:453) downsample features of words in this way.
    """
    del durations
    repetition, lobes = _repetition_time(times, interval), section.lobes

    def weights(time: float, onset: Floats, end: Floats) -> Floats:
        del end
        t = (time - onset) / repetition
        return np.asarray(np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0))

    return Kernel(lobes * repetition, lobes * repetition, weights)


def _mean(section: Align, times: Floats, interval: Floats, durations: Floats) -> Kernel:
    total = _sum(section, times, interval, durations)

    def weights(time: float, onset: Floats, end: Floats) -> Floats:
        inside = total.weights(time, onset, end)
        return np.asarray(inside / max(1.0, float(inside.sum())))

    return Kernel(total.before, total.after, weights)


def _sum(section: Align, times: Floats, interval: Floats, durations: Floats) -> Kernel:
    del section, durations
    repetition = _repetition_time(times, interval)

    def weights(time: float, onset: Floats, end: Floats) -> Floats:
        del end
        early, late = time - EPSILON_S, time + repetition - EPSILON_S
        return ((onset >= early) & (onset < late)).astype(np.float64)

    return Kernel(0.0, repetition, weights)


def _last(section: Align, times: Floats, interval: Floats, durations: Floats) -> Kernel:
    del section, durations
    repetition = _repetition_time(times, interval)

    def weights(time: float, onset: Floats, end: Floats) -> Floats:
        del end
        begun = int((onset < time + repetition - EPSILON_S).sum())
        # Rows that begin together are a grid of their own: the last of the file stands.
        return np.asarray(np.arange(len(onset)) == begun - 1, dtype=np.float64)

    return Kernel(np.inf, repetition, weights)


def _hrf(section: Align, times: Floats, interval: Floats, durations: Floats) -> Kernel:
    """Convolve boxcars with a response on the fine grid, as nilearn's ``compute_regressor`` does.

    With the running sum of the response, a boxcar's convolution is one difference.
    """
    from nilearn.glm.first_level import hemodynamic_models

    repetition = _repetition_time(times, interval)
    step = repetition / OVERSAMPLING
    response = getattr(hemodynamic_models, f"{section.hrf}_hrf")(repetition, OVERSAMPLING)
    summed = np.concatenate([[0.0], np.cumsum(response)])
    origin = times[0] - EARLIEST_S
    span = len(response) * step

    def bins(at: Floats) -> NDArray[np.intp]:
        # Rounding mustn't move an onset on the grid to the next step.
        return np.asarray(np.ceil((at - origin) / step - 1e-6), dtype=np.intp)

    def until(place: NDArray[np.intp], now: int) -> Floats:
        """Return the response so far to a step at ``place``."""
        return np.asarray(summed[np.clip(now - place + 1, 0, len(response))])

    def weights(time: float, onset: Floats, end: Floats) -> Floats:
        on = bins(onset)
        off = np.maximum(on + 1, on if section.impulse else bins(end))
        exact = (time - origin) / step
        now = int(np.floor(exact + 1e-6))
        share = max(0.0, exact - now)
        value = until(on, now) - until(off, now)
        if share > 1e-6:
            value = (1 - share) * value + share * (until(on, now + 1) - until(off, now + 1))
        return np.asarray(np.where(onset < origin - EPSILON_S, 0.0, value))

    longest = 0.0 if section.impulse or not len(durations) else float(durations.max())
    return Kernel(span + longest + 2 * step, step, weights)


_KERNELS = {"lanczos": _lanczos, "mean": _mean, "sum": _sum, "last": _last, "hrf": _hrf}


def _repetition_time(times: Floats, interval: Floats) -> float:
    return float(np.diff(times).min() if len(times) > 1 else interval[0])
