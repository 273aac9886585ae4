"""Feature-reweighted RSA: a weight for each feature, learned on other stimuli.

The squared distance of two stimuli is a sum over features. With a weight for each of them it
becomes a linear model of the brain's dissimilarities, whose design has a row a pair and a column a
feature (Kaniuth & Hebart 2022, NeuroImage 257:119294). The design is never made: its products
are moments of the features over stimuli, so that n stimuli cost n, not n², rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform

Floats = NDArray[np.float64]

MAX_FEATURES = 1000
"""Features whose products can be decomposed, time and again, in reasonable time."""

ALPHAS = np.logspace(-4, 4, 9)
"""Ridge penalties, times the mean of the design's squared columns."""


def held_out_rdm(features: NDArray[Any], rdm: Floats, folds: list[NDArray[np.intp]]) -> Floats:
    """Return reweighted dissimilarities of the pairs within each fold.

    Parameters
    ----------
    features
        (stimulus, feature).
    rdm
        The brain's dissimilarities, (pair,).
    folds
        Test stimuli of each fold. Weights, and the ridge penalty (by folds within), come from the
        pairs of all others.

    Returns
    -------
    float64 (pair,); NaN for pairs across folds.
    """
    X = np.asarray(features, dtype=np.float64)
    X = X - X.mean(0)
    scale = X.std(0)
    X = X[:, scale > 0] / scale[scale > 0]
    square = squareform(rdm)
    found = np.full_like(square, np.nan)
    for test in folds:
        train = np.setdiff1d(np.arange(len(X)), test)
        inner = [np.intersect1d(train, one) for one in folds if one is not test]
        penalty = _choose(X, square, train, inner) if len(inner) > 1 else 1.0
        weights, offset = reweight(X[train], square[np.ix_(train, train)], [penalty])
        found[np.ix_(test, test)] = _apply(X[test], weights[:, 0]) + offset[0]
    np.fill_diagonal(found, 0)
    return np.asarray(squareform(found, checks=False))


def reweight(X: Floats, square: Floats, penalties: Any) -> tuple[Floats, Floats]:
    """Return ridge weights of the features' squared differences, for several penalties.

    Parameters
    ----------
    X
        (stimulus, feature).
    square
        Dissimilarities, (stimulus, stimulus), 0 on the diagonal.
    penalties
        Times the mean square of the (centred) design's columns.

    Returns
    -------
    weights
        float64 (feature, penalty).
    offset
        float64 (penalty,): the constant, which isn't penalised.
    """
    n = len(X)
    pairs = n * (n - 1) / 2
    X = X - X.mean(0)
    X2 = X**2
    sums = X2.sum(0)
    # sum over i < j of (x_if - x_jf)² (x_ig - x_jg)², all odd moments being 0
    gram = n * (X2.T @ X2) + np.outer(sums, sums) + 2 * (X.T @ X) ** 2
    means = n * sums / pairs
    target = square.sum(1) @ X2 - np.einsum("if,if->f", X, square @ X)
    mean = square.sum() / 2 / pairs
    gram -= pairs * np.outer(means, means)
    target -= pairs * means * mean
    values, vectors = np.linalg.eigh(gram)
    strength = np.asarray(penalties) * np.trace(gram) / len(gram)
    shrunk = (vectors.T @ target)[:, None] / (np.maximum(values, 0)[:, None] + strength)
    weights = vectors @ shrunk
    return np.asarray(weights), np.asarray(mean - means @ weights)


def _apply(X: Floats, weights: Floats) -> Floats:
    """Return the weighted sum of squared differences, (stimulus, stimulus)."""
    own = (X**2) @ weights
    return np.asarray(own[:, None] + own - 2 * (X * weights) @ X.T)


def _choose(
    X: Floats, square: Floats, train: NDArray[np.intp], inner: list[NDArray[np.intp]]
) -> float:
    """Return the penalty whose predictions of inner test pairs correlate best."""
    total = np.zeros(len(ALPHAS))
    for test in inner:
        rest = np.setdiff1d(train, test)
        weights, _ = reweight(X[rest], square[np.ix_(rest, rest)], ALPHAS)
        upper = np.triu_indices(len(test), 1)
        y = square[np.ix_(test, test)][upper]
        for k, one in enumerate(weights.T):
            predicted = _apply(X[test], one)[upper]
            if np.ptp(predicted) > 0 and np.ptp(y) > 0:
                total[k] += np.corrcoef(predicted, y)[0, 1]
    return float(ALPHAS[int(total.argmax())])
