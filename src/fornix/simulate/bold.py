"""From what a voxel answers to each trial to a BOLD series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import gamma

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 0.05
"""Time step of the convolution, s."""

BASELINE = 100.0


def glover(duration: float) -> NDArray[np.float64]:
    """Return the response to a stimulus of some duration (s) on a grid of ``STEP``, peak 1.

    Difference of two gamma densities, peaks at 5.4 and 10.8 s (Glover 1999, NeuroImage 9:416).
    """
    times = np.arange(0, 32, STEP)
    peak = gamma.pdf(times, 6 / 0.9, scale=0.9)
    undershoot = gamma.pdf(times, 12 / 0.9, scale=0.9)
    impulse = peak - 0.48 * undershoot
    boxcar = np.ones(max(1, round(duration / STEP)))
    response: NDArray[np.float64] = np.convolve(impulse, boxcar)
    return np.asarray(response / response.max())


def series(
    amplitudes: NDArray[np.float64],
    onsets: NDArray[np.float64],
    duration: float,
    n_volumes: int,
    repetition_time: float,
) -> NDArray[np.float64]:
    """Return the sum of the responses to all trials.

    Parameters
    ----------
    amplitudes
        Peak of each trial's response, (trial, voxel).
    onsets
        s.
    duration
        Of every trial, s.
    n_volumes, repetition_time
        Volume k is acquired at k TR.

    Returns
    -------
    array (volume, voxel)
    """
    kernel = glover(duration)
    times = np.arange(n_volumes) * repetition_time
    since = np.round((times[:, np.newaxis] - onsets) / STEP).astype(int)
    inside = (since >= 0) & (since < len(kernel))
    design = np.where(inside, kernel[since.clip(0, len(kernel) - 1)], 0.0)
    summed: NDArray[np.float64] = design @ amplitudes
    return summed


def scanner(
    n_volumes: int, n_voxels: int, random: np.random.Generator, *, noise: float, drift: float
) -> NDArray[np.float64]:
    """Return thermal noise and a slow drift (a random line and half a cosine a voxel).

    Parameters
    ----------
    n_volumes, n_voxels
        Shape of the result.
    random
        Generator.
    noise, drift
        Standard deviations.
    """
    time = np.linspace(-1, 1, n_volumes)[:, np.newaxis]
    slow = random.standard_normal((1, n_voxels)) * time
    slow = slow + random.standard_normal((1, n_voxels)) * np.cos(np.pi * time)
    thermal = random.standard_normal((n_volumes, n_voxels))
    total: NDArray[np.float64] = drift * slow + noise * thermal
    return total
