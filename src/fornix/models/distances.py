"""Dissimilarities of all pairs of patterns, by products of matrices.

A squared distance is ``g_ii + g_jj - 2 g_ij`` of a matrix of inner products g, so that all pairs
cost one product of matrices; it is carried out in blocks of rows, each with the rows after it
only, and never held as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS = 256
"""Rows of a block: enough for the product's full speed, few enough to stay in the cache."""

NEAR = 1e-9
"""Squared distances below this share of the patterns' squares are mostly rounding."""


def correlation(patterns: NDArray[Any]) -> Floats:
    """Return 1 - Pearson's r of every pair of rows; NaN for rows whose values are all equal.

    Parameters
    ----------
    patterns
        (stimulus, feature).

    Returns
    -------
    float64 (pair,), pairs in the order of ``np.triu_indices(n, 1)``.
    """
    X = np.array(patterns, dtype=np.float64)
    scale = np.abs(X).max(1)
    X -= X.mean(1, keepdims=True)
    norm = np.sqrt((X**2).sum(1))
    flat = norm <= 1e-7 * scale * np.sqrt(X.shape[1])
    X /= np.where(flat, np.nan, norm)[:, None]

    def finish(products: Floats, start: int) -> None:
        np.subtract(1, products, out=products)
        np.clip(products, 0, 2, out=products)

    return pairs(X, X, finish)


def squared_euclidean(patterns: NDArray[Any]) -> Floats:
    """Return the squared euclidean distance of every pair of rows.

    What rounding would leave of pairs that are (nearly) equal is computed anew from their
    difference, so that duplicates are at distance 0.

    Parameters
    ----------
    patterns
        (stimulus, feature).

    Returns
    -------
    float64 (pair,), pairs in the order of ``np.triu_indices(n, 1)``.
    """
    X = np.array(patterns, dtype=np.float64)
    if (np.round(X) != X).any():  # products of integers are exact as they are
        X -= X.mean(0)
    squares = (X**2).sum(1)

    def finish(products: Floats, start: int) -> None:
        own, later = squares[start : start + len(products), None], squares[start:]
        products *= -2
        products += own
        products += later
        i, j = np.nonzero(products <= NEAR * (own + later))
        above = j > i
        i, j = i[above], j[above]
        if len(i):
            products[i, j] = ((X[start + i] - X[start + j]) ** 2).sum(1)

    return pairs(X, X, finish)


def mahalanobis(patterns: NDArray[Any], whitener: Floats | None = None) -> Floats:
    """Return squared Mahalanobis distances, divided by the number of channels.

    Parameters
    ----------
    patterns
        (stimulus, channel).
    whitener
        (channel, channel), such that ``whitener @ whitener.T`` is the precision of the noise;
        None takes the identity.

    Returns
    -------
    float64 (pair,).
    """
    X = np.asarray(patterns, dtype=np.float64)
    return np.asarray(squared_euclidean(X if whitener is None else X @ whitener) / X.shape[1])


def crossnobis(partitions: NDArray[Any], whitener: Floats | None = None) -> Floats:
    """Return cross-validated squared Mahalanobis distances, divided by the number of channels.

    The mean over partitions m of ``(x_i - x_j) P (y_i - y_j)``, x from partition m and y the mean
    of all others. Noise is independent between the two, so that the distance is unbiased: its
    expectation is 0 for equal patterns, and it may be negative (Walther et al. 2016, NeuroImage
    137:188). The mean over all partitions needs the inner products of the sums over partitions
    less those within partitions, one product of matrices altogether.

    Parameters
    ----------
    partitions
        Mean response to each stimulus in each partition, (partition, stimulus, channel).
    whitener
        As in :func:`mahalanobis`.

    Returns
    -------
    float64 (pair,).
    """
    X = np.asarray(partitions, dtype=np.float64)
    n, _, n_channels = X.shape
    X = X - X.mean(1, keepdims=True)
    if whitener is not None:
        X = X @ whitener
    left = np.concatenate([X.sum(0), *X], axis=1)
    right = np.concatenate([X.sum(0), *-X], axis=1) / (n * (n - 1) * n_channels)
    squares = (left * right).sum(1)

    def finish(products: Floats, start: int) -> None:
        products *= -2
        products += squares[start : start + len(products), None]
        products += squares[start:]

    return pairs(left, right, finish)


def pairs(left: Floats, right: Floats, finish: Callable[[Floats, int], None]) -> Floats:
    """Return what becomes of the inner product of every pair of rows.

    Parameters
    ----------
    left, right
        (row, column).
    finish
        Turns the products of rows ``start, start + 1, ...`` with rows ``start`` to the last,
        (some, row), into dissimilarities, in place; those on and below the diagonal aren't used.

    Returns
    -------
    float64 (pair,), pairs in the order of ``np.triu_indices(n, 1)``.
    """
    n = len(left)
    found = np.empty(n * (n - 1) // 2)
    room = np.empty(min(ROWS, n) * n)
    at = 0
    for start in range(0, n, ROWS):
        some = left[start : start + ROWS]
        block = room[: len(some) * (n - start)].reshape(len(some), n - start)
        np.matmul(some, right[start:].T, out=block)
        finish(block, start)
        for k, row in enumerate(block):
            found[at : at + len(row) - k - 1] = row[k + 1 :]
            at += len(row) - k - 1
    return found
