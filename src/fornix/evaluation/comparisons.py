"""How alike two sets of dissimilarities are: the comparisons of representational similarity.

Most are inner products of vectors that are made from each matrix alone, which gives all pairs of
matrices, and their permutations, by products of matrices.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, rankdata

from fornix.evaluation.metrics import Floats, centred, unit_columns
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
        (first, long), (second, wide) = _rows(a, how), _rows(b, how)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = first @ second.T / long[:, None] / wide
        return np.asarray(np.clip(np.where(np.isfinite(found), found, np.nan), -1, 1))
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
    rows, length = _rows(rdms, how)
    rows /= np.where(length > 0, length, 1)[:, None]
    return rows.T


def _rows(rdms: NDArray[Any], how: str) -> tuple[Floats, Floats]:
    """Return what is multiplied, (matrix, item), a matrix a contiguous row, and its divisor."""
    rows = np.array(np.asarray(rdms).T, dtype=np.float64, order="C")
    n_pairs = float(rows.shape[1])
    low, high = rows.min(1), rows.max(1)
    flat = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    if how in ("spearman", "rho_a"):
        rows = np.stack([rankdata(row) for row in rows])
        rows -= (n_pairs + 1) / 2
    elif how in ("pearson", "whitened_correlation"):
        rows -= rows.mean(1, keepdims=True)
    else:
        flat = (low == 0) & (high == 0)
    rows[flat] = 0
    if how in WHITENED:
        rows = np.stack([_whitened(row) for row in rows])
    if how == "rho_a":
        return rows, np.where(flat, 0.0, np.sqrt((n_pairs**3 - n_pairs) / 12))
    return rows, np.sqrt(np.einsum("ij,ij->i", rows, rows))


def _whitened(one: Floats) -> Floats:
    """Return the upper triangle of the double-centred matrix, twice as heavy, and its diagonal."""
    gram = _double_centred(one)
    diagonal = np.diagonal(gram).copy()
    return np.concatenate([np.sqrt(2) * squareform(gram, checks=False), diagonal])


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
    square = squareform(one, checks=False)
    means = square.mean(0)
    square -= means
    square -= means[:, None] - means.mean()
    square *= -0.5
    return np.asarray(square)


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
