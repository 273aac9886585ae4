"""How alike two sets of dissimilarities are: the comparisons of representational similarity.

Most are inner products of vectors that are made from each matrix alone, which gives all pairs of
matrices, and their permutations, by products of matrices.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from fornix.evaluation.metrics import Floats, centred, unit_columns, unit_ranks
from fornix.evaluation.permutation import null_correlations

WHITENED = ("whitened_cosine", "whitened_correlation", "cka")
"""Inner products of double-centred matrices: the cosine of dissimilarities that are whitened by
their own covariance (Diedrichsen et al. 2020, arXiv:2007.02789)."""

PRODUCTS = ("spearman", "rho_a", "pearson", "cosine", *WHITENED)
"""Comparisons that are inner products; the others are ``kendall`` and ``procrustes``."""

UNCENTRED = ("cosine", "whitened_cosine", "cka", "procrustes")
"""Comparisons that aren't 0 for models that know nothing."""


def compare(a: NDArray[Any], b: NDArray[Any], how: str) -> Floats:
    """Compare each matrix of one set with each of another.

    Parameters
    ----------
    a, b
        Dissimilarities, (pair, m) and (pair, k), pairs in the order of ``np.triu_indices(n, 1)``.
    how
        - ``spearman``: rank correlation, ties averaged;
        - ``rho_a``: its expectation when ties are broken at random (Schütt et al. 2023);
        - ``kendall``: tau a, pairs of pairs in the same order less those in opposite order;
        - ``pearson``, ``cosine``;
        - ``whitened_cosine``, ``whitened_correlation``: the same of dissimilarities that are
          whitened by the covariance that noise of independent patterns gives them;
        - ``cka``: linear centred kernel alignment, of squared euclidean distances;
        - ``procrustes``: the sum of the canonical singular values, of squared euclidean distances.

    Returns
    -------
    float64 (m, k); NaN where a matrix has nothing to compare (constant, or zero).
    """
    if how in PRODUCTS:
        first, second = vectors(a, how), vectors(b, how)
        found = np.clip(first.T @ second, -1, 1)
        found[~first.any(0)] = np.nan
        found[:, ~second.any(0)] = np.nan
        return np.asarray(found)
    if how == "kendall":
        return np.array([[tau_a(x, y) for y in b.T] for x in a.T]).reshape(a.shape[1], b.shape[1])
    left, right = ([_factor(x) for x in rdms.T] for rdms in (a, b))
    return np.array([[_nuclear(x, y) for y in right] for x in left]).reshape(a.shape[1], b.shape[1])


def null_comparisons(
    brain: NDArray[Any], models: NDArray[Any], how: str, permutations: NDArray[np.intp]
) -> Floats:
    """Return the null of comparisons: the stimulus labels of the brain permuted.

    Parameters
    ----------
    brain, models
        Dissimilarities, (pair, subject) and (pair, model).
    how
        As in :func:`compare`.
    permutations
        (permutation, stimulus); all models and subjects share them.

    Returns
    -------
    float64 (permutation, subject, model).
    """
    n = permutations.shape[1]
    if how in PRODUCTS:
        return null_correlations(vectors(brain, how), vectors(models, how), n, permutations)
    null = np.empty((len(permutations), brain.shape[1], models.shape[1]))
    if how == "kendall":
        places = square_places(n)
        rows, columns = np.triu_indices(n, 1)
        for k, order in enumerate(permutations):
            null[k] = compare(brain[places[order[rows], order[columns]]], models, how)
        return null
    left, right = ([_factor(x) for x in rdms.T] for rdms in (brain, models))
    for k, order in enumerate(permutations):
        null[k] = [[_nuclear(x[order], y) for y in right] for x in left]
    return null


def vectors(rdms: NDArray[Any], how: str) -> Floats:
    """Return matrices as vectors whose inner product is their comparison.

    Parameters
    ----------
    rdms
        (pair, matrix).
    how
        One of ``PRODUCTS``.

    Returns
    -------
    float64 (item, matrix). Items are the pairs; in ``WHITENED`` the n entries of the
    diagonal follow them. A matrix that has nothing to compare is 0.
    """
    values = np.asarray(rdms, dtype=np.float64)
    if how == "spearman":
        return unit_ranks(values)
    if how == "rho_a":
        n = float(len(values))
        return np.asarray(centred(rankdata(values, axis=0)) * np.sqrt(12 / (n**3 - n)))
    if how in ("pearson", "whitened_correlation"):
        values = centred(values)
    if how not in WHITENED:
        return unit_columns(values)
    n = n_stimuli(len(values))
    found = np.empty((len(values) + n, values.shape[1]))
    for k, one in enumerate(values.T):
        gram = _double_centred(one)
        found[: len(values), k] = np.sqrt(2) * gram[np.triu_indices(n, 1)]
        found[len(values) :, k] = np.diagonal(gram)
    # Double centring leaves rounding where all distances are equal and their mean is taken off.
    found[:, np.abs(found).max(0) <= 1e-12 * np.abs(rdms).max(0)] = 0
    return unit_columns(found)


def pooled(rdms: NDArray[Any], how: str) -> Floats:
    """Return matrices scaled so that their mean is the best prediction of all of them.

    Nili et al. (2014, PLoS Comput Biol 10:e1003553): the mean of ranks for rank correlations, of
    standardised dissimilarities for correlations, of those with one mean square for cosines.

    Parameters
    ----------
    rdms
        (pair, subject).
    how
        As in :func:`compare`.

    Returns
    -------
    float64 (pair, subject).
    """
    if how in ("spearman", "rho_a", "kendall"):
        return np.asarray(rankdata(rdms, axis=0))
    values = np.asarray(rdms, dtype=np.float64)
    if how in ("pearson", "whitened_correlation"):
        values = centred(values)
    return unit_columns(values)


def tau_a(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return Kendall's tau a: SciPy's tau b with the ties back in its denominator.

    NaN where one is constant, which has no order.
    """
    n_pairs = len(a) * (len(a) - 1) / 2
    untied = [n_pairs - _tied(one) for one in (a, b)]
    return float(kendalltau(a, b).statistic * np.sqrt(untied[0] * untied[1]) / n_pairs)


def _tied(values: NDArray[Any]) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())


def n_stimuli(n_pairs: int) -> int:
    """Return how many stimuli have so many pairs."""
    return (1 + isqrt(1 + 8 * n_pairs)) // 2


def square_places(n: int) -> NDArray[np.intp]:
    """Return the place of each pair among all pairs of n, (n, n); 0 on the diagonal."""
    rows, columns = np.triu_indices(n, 1)
    places = np.zeros((n, n), dtype=np.intp)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return places


def _double_centred(one: Floats) -> Floats:
    """Return the inner products of centred patterns that have these squared distances."""
    n = n_stimuli(len(one))
    square = np.zeros((n, n))
    square[np.triu_indices(n, 1)] = one
    square += square.T
    means = square.mean(0)
    return np.asarray(-0.5 * (square - means - means[:, None] + means.mean()))


def _factor(one: Floats) -> Floats:
    """Return patterns, (stimulus, dimension), with the directions of these distances, scaled."""
    values, directions = np.linalg.eigh(_double_centred(one))
    kept = values > 1e-12 * max(values[-1], 0.0)
    patterns = directions[:, kept] * np.sqrt(values[kept])
    return np.asarray(patterns / np.sqrt(values[kept].sum())) if kept.any() else patterns


def _nuclear(x: Floats, y: Floats) -> float:
    if not (x.size and y.size):
        return float("nan")
    return float(np.linalg.svd(x.T @ y, compute_uv=False).sum())
