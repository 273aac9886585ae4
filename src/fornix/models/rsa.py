"""Dissimilarities of stimuli, in a model's layers and in the brain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from fornix.errors import FornixError
from fornix.models import distances
from fornix.models.noise import noise_sets, residuals, whitener

__all__ = ["brain_rdm", "condensed", "model_rdm", "noise_whitener", "patterns_are_flat"]

Floats = NDArray[np.float64]

NARROW = 32
"""Up to so many features, differences are taken one by one: equal distances stay equal."""


def model_rdm(features: NDArray[Any], distance: str) -> Floats:
    """Return the dissimilarity of every pair of stimuli in one layer.

    A layer of one number takes the absolute difference, whatever the distance, and one of two
    numbers the euclidean distance, since two numbers correlate by 1 or -1. An indicator
    layer (only 0 and 1; one column, or exactly one 1 a row) takes disagreement: 0 within a
    category and 1 between.

    Parameters
    ----------
    features
        (stimulus, feature).
    distance
        ``correlation`` (1 - Pearson's r), ``euclidean``, ``squared_euclidean`` or ``cityblock``.

    Returns
    -------
    float64 (pair,), pairs in the order of ``np.triu_indices(n, 1)``. NaN where a correlation
    isn't defined, because a stimulus' features are all equal.
    """
    X = np.asarray(features, dtype=np.float64)
    if distance == "squared_euclidean":
        return _squared(X)
    if is_indicator(X):
        return np.asarray(pdist(X, "cityblock") > 0, dtype=np.float64)
    if distance == "cityblock":
        return np.asarray(pdist(X, "cityblock"))
    if X.shape[1] <= 2 or distance == "euclidean":
        return np.asarray(np.sqrt(_squared(X)))
    return distances.correlation(X)


def is_indicator(features: NDArray[Any]) -> bool:
    """Return whether features are 0 or 1, in one column or with exactly one 1 a row."""
    binary = bool(np.isin(features, (0, 1)).all())
    return binary and (features.shape[1] == 1 or bool((features.sum(1) == 1).all()))


def brain_rdm(
    patterns: NDArray[Any], distance: str, whitened: Floats | None = None, *, where: str
) -> Floats:
    """Return the dissimilarity of every pair of stimuli in one region's patterns.

    Parameters
    ----------
    patterns
        Mean response to each stimulus, (stimulus, unit); for ``crossnobis`` in each independent
        part of the trials, (part, stimulus, unit).
    distance
        ``correlation``, ``euclidean``, ``squared_euclidean``, ``mahalanobis`` or ``crossnobis``;
        the last two are squared and divided by the number of units.
    whitened
        Root of the noise's precision, (unit, unit), from :func:`noise_whitener`; None leaves
        patterns as they are.
    where
        Region and subject, for the message of an error.

    Raises
    ------
    FornixError
        If a correlation isn't defined (one unit, or a flat pattern), or all patterns are equal.
    """
    X = np.asarray(patterns, dtype=np.float64)
    if distance == "crossnobis":
        return distances.crossnobis(X, whitened)
    if distance == "mahalanobis":
        rdm = distances.mahalanobis(X, whitened)
        patterns_are_flat(rdm, where=where)
        return rdm
    if whitened is not None:
        X = X @ whitened
    if distance != "correlation":
        rdm = _squared(X)
        patterns_are_flat(rdm, where=where)
        return np.asarray(np.sqrt(rdm)) if distance == "euclidean" else rdm
    rdm = distances.correlation(X)
    if bad := int(np.isnan(rdm).sum()):
        problem = f"correlation distance isn't defined for {bad} of {len(rdm)} pairs: "
        problem += f"patterns of {X.shape[1]} units that are all equal"
        mend = "set brain_distance: euclidean, or take larger regions"
        raise FornixError(problem, where=where, mend=mend)
    return rdm


def noise_whitener(
    responses: NDArray[Any],
    stimuli: NDArray[Any],
    runs: NDArray[Any],
    sessions: NDArray[Any],
    *,
    where: str,
) -> Floats:
    """Return a root of the precision of single trials' noise, (unit, unit).

    Parameters
    ----------
    responses
        Single trials, (trial, unit), or (time, trial, unit): one whitener for all times.
    stimuli, runs, sessions
        Of each trial. The noise is what differs between the trials of one stimulus, within a run
        where stimuli are repeated in runs, else within a session, else altogether.
    where
        Region and subject, for the message of an error.
    """
    sets = noise_sets(stimuli, runs, sessions)
    times = responses if responses.ndim == 3 else responses[None]
    found = [residuals(one, stimuli, sets, where=where) for one in times]
    return whitener(np.stack([rest for rest, _ in found]), found[0][1], where=where)


def patterns_are_flat(rdm: Floats, *, where: str) -> None:
    """Raise if no pair of stimuli is apart."""
    if not rdm.any():
        problem = "the patterns of all stimuli are equal: there is nothing to compare"
        raise FornixError(problem, where=where, mend="leave this region or subject out")


def condensed(matrix: NDArray[Any], *, where: str) -> Floats:
    """Return the upper triangle of one dissimilarity matrix, after checking it.

    Parameters
    ----------
    matrix
        (stimulus, stimulus).
    where
        Subject and session, for the message of an error.

    Raises
    ------
    FornixError
        If it isn't finite or not symmetric.
    """
    M = np.asarray(matrix, dtype=np.float64)
    if not np.isfinite(M).all():
        problem = f"the dissimilarity matrix has {int((~np.isfinite(M)).sum())} values not finite"
        raise FornixError(problem, where=where, mend="leave these stimuli or this subject out")
    if not np.allclose(M, M.T, rtol=1e-4, atol=1e-5 * np.abs(M).max()):
        problem = f"the dissimilarity matrix isn't symmetric (by {np.abs(M - M.T).max():.3g})"
        raise FornixError(problem, where=where, mend="average it with its transpose")
    return np.asarray(squareform((M + M.T) / 2, checks=False))


def _squared(X: Floats) -> Floats:
    if X.shape[1] <= NARROW:
        return np.asarray(pdist(X, "sqeuclidean"))
    return distances.squared_euclidean(X)
