"""Metrics, vectorised over units, times or targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

Floats = NDArray[np.float64]

MIN_PER_FOLD = 4
"""Held-out items a fold needs, on average, for a correlation of its own."""


def centred(values: NDArray[Any], fold: NDArray[Any] | None = None) -> Floats:
    """Return values with the mean of each column, or of each column and fold, taken off.

    Parameters
    ----------
    values
        (sample, unit).
    fold
        Fold of each sample; None takes the mean over all.

    Returns
    -------
    float64 (sample, unit). What rounding leaves of constant values (1e-12 of the largest) is 0.
    """
    values = np.asarray(values, dtype=np.float64)
    rest = values - _fold_means(values, fold)
    rest[np.abs(rest) <= 1e-12 * np.abs(values).max(0)] = 0
    return rest


def _fold_means(values: Floats, fold: NDArray[Any] | None) -> Floats:
    if fold is None:
        return np.asarray(values.mean(0))
    _, codes, counts = np.unique(fold, return_inverse=True, return_counts=True)
    return np.asarray((sums_by(codes, values) / counts[:, None])[codes])


def sums_by(codes: NDArray[np.intp], values: NDArray[Any]) -> Floats:
    """Return the sums over the samples that share a code, (sample, column) -> (code, column).

    Codes are 0 to n - 1, and each of them is there.
    """
    places = np.arange(len(codes))
    chosen = sparse.csr_array((np.ones(len(codes)), (codes, places)))
    return np.asarray(chosen @ np.asarray(values, dtype=np.float64))


def folds_are_large(fold: NDArray[Any]) -> bool:
    """Return whether every fold holds enough items for a correlation of its own."""
    counts = np.unique(fold, return_counts=True)[1]
    return bool(counts.min() >= 2 and counts.mean() >= MIN_PER_FOLD)


def correlation_factors(
    observed: NDArray[Any], predicted: NDArray[Any], fold: NDArray[Any]
) -> tuple[Floats, Floats]:
    """Return observed and predicted scaled so that the product of a column pair is its score.

    The score is the mean over folds of Pearson's r within the fold, weighted by its degrees of
    freedom. On concatenated predictions r isn't 0 for a model that knows nothing: the training
    mean lies above the mean of all just where the held-out part lies below it (about
    ``-sqrt(folds / samples)``), and in the same way large predictions come with luck that all
    folds share. Within a fold the prediction doesn't depend on what is held out, so its r is
    unbiased.

    Folds too small for that (leave one out) are concatenated, their training means taken off
    both sides; this removes the first bias and not the second.

    Parameters
    ----------
    observed, predicted
        (sample, unit).
    fold
        (sample,).

    Returns
    -------
    Two float64 (sample, unit); columns are 0 in folds where the values don't vary.
    """
    if not folds_are_large(fold):
        training = _training_means(np.asarray(observed, dtype=np.float64), fold)
        rest = centred(predicted - training)
        # The training mean itself, as float32 keeps it, is no prediction.
        rest[:, np.abs(rest).max(0) <= 1e-6 * np.abs(observed).max(0)] = 0
        return unit_columns(centred(observed - training)), unit_columns(rest)
    a, b = centred(observed, fold), centred(predicted, fold)
    total = np.zeros(a.shape[1])
    for one in np.unique(fold):
        rows = fold == one
        weight = rows.sum() - 1
        a[rows], b[rows] = unit_columns(a[rows]), weight * unit_columns(b[rows])
        total += weight * a[rows].any(0)
    return a, b / np.maximum(total, 1)


def held_out_correlation(
    observed: NDArray[Any], predicted: NDArray[Any], fold: NDArray[Any]
) -> Floats:
    """Return the correlation of each unit's held-out predictions with its responses.

    See :func:`correlation_factors`.

    Returns
    -------
    float64 (unit,); NaN where a unit's responses don't vary, 0 where only predictions don't.
    """
    return correlation_of_factors(*correlation_factors(observed, predicted, fold))


def correlation_of_factors(a: Floats, b: Floats) -> Floats:
    """Return the score of each column pair of :func:`correlation_factors`."""
    return np.where(a.any(0), np.clip((a * b).sum(0), -1, 1), np.nan)


def _training_means(observed: Floats, fold: NDArray[Any]) -> Floats:
    _, codes, counts = np.unique(fold, return_inverse=True, return_counts=True)
    sums = sums_by(codes, observed)
    means = (sums.sum(0) - sums) / (len(observed) - counts)[:, None]
    return np.asarray(means[codes])


def pearson_columns(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return Pearson's r of each column of ``a`` with the same column of ``b``.

    Parameters
    ----------
    a, b
        (sample, unit).

    Returns
    -------
    float64 (unit,); NaN where a column of ``a`` is constant, and 0 where only that of ``b`` is
    (a constant prediction explains nothing).
    """
    return normalised_product(centred(a), centred(b))


def normalised_product(a: Floats, b: Floats) -> Floats:
    """Return the cosine of each column of ``a`` with that of ``b``; see :func:`pearson_columns`."""
    norm_a, norm_b = _norm(a), _norm(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(0) / (norm_a * norm_b)
    r = np.where(norm_b > 0, r, 0.0)
    return np.where(norm_a > 0, np.clip(r, -1, 1), np.nan)


def unit_columns(values: Floats) -> Floats:
    """Return columns scaled to length 1; zero columns stay zero."""
    norm = _norm(values)
    return np.asarray(values / np.where(norm > 0, norm, 1.0))


def _norm(values: Floats) -> Floats:
    return np.asarray(np.sqrt((values**2).sum(0)))


def r2_columns(observed: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return R² = 1 - SSE/SST of each column, SST about the mean of the held-out samples.

    Parameters
    ----------
    observed, predicted
        (sample, unit).

    Returns
    -------
    float64 (unit,); NaN where ``observed`` is constant.
    """
    observed = np.asarray(observed, dtype=np.float64)
    sse = ((observed - np.asarray(predicted, dtype=np.float64)) ** 2).sum(0)
    sst = _norm(centred(observed)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sst > 0, 1 - sse / sst, np.nan)


def accuracy(labels: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return the share of right answers: labels (..., sample) against predicted (sample, time).

    Returns
    -------
    float64 (..., time).
    """
    classes = np.unique(labels)
    right = np.zeros((*labels.shape[:-1], predicted.shape[1]))
    for one in classes:
        right += (labels == one).astype(np.float64) @ (predicted == one).astype(np.float64)
    return np.asarray(right / labels.shape[-1])


def fold_ranks(scores: NDArray[Any], fold: NDArray[Any]) -> Floats:
    """Return the ranks of scores (sample, time) within each fold, ties averaged."""
    ranks = np.empty(scores.shape)
    for one in np.unique(fold):
        ranks[fold == one] = rankdata(scores[fold == one], axis=0)
    return ranks


def auc(positive: NDArray[np.bool_], ranks: Floats, fold: NDArray[Any]) -> Floats:
    """Return the area under the ROC curve over pairs of samples of one fold.

    Scores of different folds come from different classifiers, whose offsets differ against the
    held-out classes; pairs across folds would pull the area below 0.5 by chance alone. Each pair
    counts once, so folds weigh by their pairs.

    Parameters
    ----------
    positive
        (..., sample); further axes are permutations that keep each fold's count of positives.
    ranks
        (sample, time), from :func:`fold_ranks`.
    fold
        (sample,).

    Returns
    -------
    float64 (..., time); NaN where no fold holds both classes.
    """
    first = positive.reshape(-1, positive.shape[-1])[0]
    names, codes = np.unique(fold, return_inverse=True)
    n_positive = np.bincount(codes[first], minlength=len(names))
    n_negative = np.bincount(codes[~first], minlength=len(names))
    # Positives of a fold without negatives would add their ranks and no pairs.
    both = (n_positive > 0) & (n_negative > 0)
    if not both.any():
        return np.full((*positive.shape[:-1], ranks.shape[1]), np.nan)
    least = (n_positive * (n_positive + 1) / 2)[both].sum()
    pairs = (n_positive * n_negative)[both].sum()
    return np.asarray(((positive & both[codes]).astype(np.float64) @ ranks - least) / pairs)


def unit_ranks(values: NDArray[Any]) -> Floats:
    """Return columns as ranks (ties averaged), centred and scaled to length 1.

    The product of two such columns is Spearman's rho.

    Parameters
    ----------
    values
        (item, column), such as the pairs of several dissimilarity matrices.
    """
    return unit_columns(centred(rankdata(values, axis=0)))


def spearman_columns(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return Spearman's rho of each column of ``a`` (item, m) with each of ``b`` (item, k).

    Returns
    -------
    float64 (m, k); NaN where a column is constant.
    """
    a, b = unit_ranks(a), unit_ranks(b)
    rho = np.clip(a.T @ b, -1, 1)
    rho[~a.any(0)] = np.nan
    rho[:, ~b.any(0)] = np.nan
    return rho
