"""Multivariate noise normalisation: epochs whose noise is white across channels."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.material import text
from fornix.study.base import EventSelect

EPSILON = 1e-10
"""Smallest variance of a direction, as a share of the largest: a reference takes one away."""


def whiten(
    epochs: NDArray[np.float32],
    stimuli: NDArray[Any],
    measuring: NDArray[np.bool_],
    *,
    where: str,
) -> NDArray[np.float32]:
    """Return epochs whose noise is white: multivariate noise normalisation.

    Channels are multiplied by the inverse square root of the Ledoit-Wolf covariance of single
    trials about their stimulus' mean, averaged over times (Guggenmos et al. 2018, NeuroImage
    173:434, the epoch method).

    Parameters
    ----------
    epochs
        (sample, channel, time).
    stimuli
        Stimulus of each sample. Trials of a stimulus that was shown once have no mean of others:
        they say nothing of the noise.
    measuring
        Samples that measure the noise; all are whitened by it.
    where
        Recording, for the message of an error.

    Raises
    ------
    FornixError
        If no stimulus was shown twice.
    """
    root = inverse_root(noise_covariance(epochs, stimuli, measuring, where=where))
    found = np.empty_like(epochs)
    for time in range(epochs.shape[2]):  # one time after the other: no second copy in float64
        found[:, :, time] = epochs[:, :, time].astype(np.float64) @ root
    return found


def noise_covariance(
    epochs: NDArray[np.float32],
    stimuli: NDArray[Any],
    measuring: NDArray[np.bool_],
    *,
    where: str,
) -> NDArray[np.float64]:
    """Return the covariance of single trials about their stimulus' mean, (channel, channel)."""
    from sklearn.covariance import ledoit_wolf  # a second, which most epochs needn't wait

    codes = np.unique(stimuli.astype(str), return_inverse=True)[1]
    counts = np.bincount(codes[measuring], minlength=codes.max() + 1)
    used = np.flatnonzero(measuring & (counts[codes] > 1))
    if not len(used):
        problem = "no stimulus was shown twice, so that the noise can't be told from the responses"
        mend = "set whiten: none, or let whiten_on take more events"
        raise FornixError(problem, where=where, mend=mend)
    groups, sizes = np.unique(codes[used], return_inverse=True)[1], counts[codes[used]]
    # n - 1 of n: the mean took one degree of freedom from each stimulus.
    unbiased = np.sqrt(sizes / (sizes - 1))[:, np.newaxis]
    total = np.zeros((epochs.shape[1], epochs.shape[1]))
    for time in range(epochs.shape[2]):
        values = epochs[used, :, time].astype(np.float64)
        sums = np.zeros((groups.max() + 1, values.shape[1]))
        np.add.at(sums, groups, values)
        left = (values - sums[groups] / sizes[:, np.newaxis]) * unbiased
        total += ledoit_wolf(left, assume_centered=True)[0]
    return np.asarray(total / epochs.shape[2])


def inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric inverse square root, of what isn't nearly 0 in a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    floor = values.max() * EPSILON
    return np.asarray((vectors / np.sqrt(np.maximum(values, floor))) @ vectors.T)


def measuring_samples(
    samples: Mapping[str, Any], select: EventSelect | None, n: int
) -> NDArray[np.bool_]:
    """Return which samples measure the noise.

    Parameters
    ----------
    samples
        Coordinates of the samples, as ``sample_coords`` returns them.
    select
        Which events do; None: all of them.
    n
        Number of samples.

    Raises
    ------
    FornixError
        If the column isn't there, or no sample is left.
    """
    if select is None:
        return np.ones(n, dtype=bool)
    where = "responses: whiten_on"
    if select.column not in samples:
        problem = f"the events have no column '{select.column}'"
        mend = did_you_mean(select.column, samples)
        raise FornixError(problem, where=where, mend=mend)
    values = [_word(value).lower() for value in samples[select.column][1]]
    taken, left_out = (
        [any(fnmatchcase(value, pattern.lower()) for pattern in patterns) for value in values]
        for patterns in (select.include, select.exclude)
    )
    found = np.array(taken) & ~np.array(left_out)
    if not found.any():
        known = ", ".join(sorted(set(values))[:20])
        problem = f"no sample measures the noise by include {select.include}; there are: {known}"
        raise FornixError(problem, where=where, mend="name patterns that match these values")
    return np.asarray(found)


def _word(value: Any) -> str:
    """Return a value as patterns are matched against it: ``1`` for 1.0, ``n/a`` for none."""
    return (f"{value:g}" if isinstance(value, float) else text(value)) or "n/a"
