"""Dissimilarities of stimuli, in a model's layers and in the brain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from fornix.errors import FornixError

Floats = NDArray[np.float64]


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
        ``correlation`` (1 - Pearson's r), ``euclidean`` or ``cityblock``.

    Returns
    -------
    float64 (pair,), pairs in the order of ``np.triu_indices(n, 1)``. NaN where a correlation
    isn't defined, because a stimulus' features are all equal.
    """
    X = np.asarray(features, dtype=np.float64)
    if is_indicator(X):
        return np.asarray(pdist(X, "cityblock") > 0, dtype=np.float64)
    if X.shape[1] == 1 or (X.shape[1] == 2 and distance == "correlation"):
        return np.asarray(pdist(X))
    if distance == "correlation":
        return correlation_distance(X)
    return np.asarray(pdist(X, distance))


def is_indicator(features: NDArray[Any]) -> bool:
    """Return whether features are 0 or 1, in one column or with exactly one 1 a row."""
    binary = bool(np.isin(features, (0, 1)).all())
    return binary and (features.shape[1] == 1 or bool((features.sum(1) == 1).all()))


def correlation_distance(patterns: NDArray[Any]) -> Floats:
    """Return 1 - Pearson's r of every pair of rows; NaN for rows whose values are all equal.

    Parameters
    ----------
    patterns
        (stimulus, feature).

    Returns
    -------
    float64 (pair,).
    """
    X = np.asarray(patterns, dtype=np.float64)
    scale = np.abs(X).max(1)
    X = X - X.mean(1, keepdims=True)
    norm = np.sqrt((X**2).sum(1))
    flat = norm <= 1e-7 * scale * np.sqrt(X.shape[1])
    X = X / np.where(flat, np.nan, norm)[:, None]
    rows, columns = np.triu_indices(len(X), 1)
    return np.asarray(np.clip(1 - (X @ X.T)[rows, columns], 0, 2))


def brain_rdm(patterns: NDArray[Any], distance: str, *, where: str) -> Floats:
    """Return the dissimilarity of every pair of stimuli in one region's patterns.

    Parameters
    ----------
    patterns
        Mean response to each stimulus, (stimulus, unit).
    distance
        ``correlation`` or ``euclidean``.
    where
        Region and subject, for the message of an error.

    Raises
    ------
    FornixError
        If a correlation isn't defined: one unit, or a flat pattern.
    """
    if distance == "euclidean":
        return np.asarray(pdist(np.asarray(patterns, dtype=np.float64)))
    rdm = correlation_distance(patterns)
    if bad := int(np.isnan(rdm).sum()):
        problem = f"correlation distance isn't defined for {bad} of {len(rdm)} pairs: "
        problem += f"patterns of {patterns.shape[1]} units that are all equal"
        mend = "set brain_distance: euclidean, or take larger regions"
        raise FornixError(problem, where=where, mend=mend)
    return rdm


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
