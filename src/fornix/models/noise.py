"""The noise of single trials, by which patterns are whitened before they are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError

Floats = NDArray[np.float64]

FEW = 3
"""Residual degrees of freedom below which no covariance is estimated."""


def residuals(
    responses: NDArray[Any], stimuli: NDArray[Any], sets: NDArray[Any], *, where: str
) -> tuple[Floats, int]:
    """Return what single trials differ by from the mean of their stimulus.

    Parameters
    ----------
    responses
        Single trials, (trial, channel).
    stimuli
        Stimulus of each trial.
    sets
        What each trial is compared within, such as its run; the mean of a stimulus is taken
        within a set.
    where
        Region and subject, for the message of an error.

    Returns
    -------
    residuals
        float64 (trial, channel).
    degrees
        Degrees of freedom: trials less means.

    Raises
    ------
    FornixError
        If hardly any stimulus is repeated within a set.
    """
    X = np.array(responses, dtype=np.float64)
    keys = np.char.add(np.char.add(sets.astype(str), "\0"), stimuli.astype(str))
    codes, counts = np.unique(keys, return_inverse=True, return_counts=True)[1:]
    degrees = len(X) - len(counts)
    if degrees < FEW:
        problem = f"the noise can't be estimated: {len(X)} trials of {len(counts)} stimuli are "
        problem += "hardly ever repeated"
        mend = "set noise: none, or a brain_distance without noise (correlation, euclidean)"
        raise FornixError(problem, where=where, mend=mend)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(X[order], starts, axis=0) / counts[:, None]
    return X - means[codes], degrees


def noise_sets(stimuli: NDArray[Any], runs: NDArray[Any], sessions: NDArray[Any]) -> NDArray[Any]:
    """Return within what a stimulus' repeats are compared: runs if they repeat, else wider.

    Runs are preferred, where most stimuli are shown twice or more within one; then sessions, then
    everything together.
    """
    everything = np.zeros(len(stimuli), dtype=int).astype(str)
    named = np.char.add(np.char.add(sessions.astype(str), "\0"), runs.astype(str))
    for sets in (named, sessions.astype(str)):
        keys = np.char.add(np.char.add(sets, "\0"), stimuli.astype(str))
        if len(np.unique(keys)) <= len(keys) / 2:
            return sets
    return everything


def whitener(rest: NDArray[Any], degrees: int, *, where: str) -> Floats:
    """Return a root of the noise's precision, from residuals.

    Ledoit and Wolf's shrinkage (2004, J Multivar Anal 88:365; scikit-learn's), so that the
    covariance has an inverse whatever the number of channels, scaled to the degrees of freedom.
    The root is the symmetric one (multivariate noise normalisation, Guggenmos et al. 2018,
    NeuroImage 173:434).

    Parameters
    ----------
    rest
        Residuals, (trial, channel), or (time, trial, channel): the covariance is then the mean of
        those of all times, as Guggenmos et al. recommend.
    degrees
        Their degrees of freedom, at each time.
    where
        Region and subject, for the message of an error.

    Returns
    -------
    float64 (channel, channel): W, such that ``W @ W.T`` is the precision.

    Raises
    ------
    FornixError
        If the covariance is singular in spite of the shrinkage: channels without any noise.
    """
    from sklearn.covariance import ledoit_wolf  # a second, which few who come by here need

    times = rest if rest.ndim == 3 else rest[None]
    each = [ledoit_wolf(one, assume_centered=True)[0] for one in times]
    covariance = np.mean(each, axis=0) * (times.shape[1] / degrees)
    values, vectors = np.linalg.eigh(covariance)
    if values[0] <= 1e-12 * max(values[-1], np.finfo(np.float64).tiny):
        silent = int((np.abs(times).max((0, 1)) == 0).sum())
        problem = "the covariance of the noise is singular"
        problem += f": {silent} of {times.shape[2]} channels don't vary" if silent else ""
        mend = "leave out channels that don't vary, or set noise: none"
        raise FornixError(problem, where=where, mend=mend)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)
