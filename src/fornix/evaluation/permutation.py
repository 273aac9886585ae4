"""Null distributions by permutation of what is exchangeable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats

CHUNK_BYTES = 64 << 20
"""Memory of one batch of permuted dissimilarities."""


def p_value(null: NDArray[Any], observed: NDArray[Any] | float) -> Floats:
    """Return p = (1 + #{null >= observed}) / (1 + n), one-sided, so that it is never 0.

    Phipson & Smyth 2010, Stat Appl Genet Mol Biol 9:39.

    Parameters
    ----------
    null
        (permutation, ...).
    observed
        (...).

    Returns
    -------
    float64 (...); NaN where there are no permutations or ``observed`` is NaN.
    """
    observed = np.asarray(observed, dtype=np.float64)
    if not len(null):
        return np.full(observed.shape, np.nan)
    # Sums in another order differ in their last bits: an equal value counts as reached.
    reached = null >= observed - 1e-12 * np.maximum(1, np.abs(observed))
    return np.where(np.isnan(observed), np.nan, (1 + reached.sum(0)) / (1 + len(null)))


def null_interval(null: NDArray[Any], confidence: float) -> tuple[Floats, Floats]:
    """Return the central interval of a null distribution (permutation, ...); NaN without one."""
    if not len(null):
        nothing = np.full(null.shape[1:], np.nan)
        return nothing, nothing
    tail = (1 - confidence) / 2
    low, high = np.quantile(null, [tail, 1 - tail], axis=0)
    return low, high


def widened(null: Floats) -> Floats:
    """Return the null of a cross-validated score from that of permuted held-out items.

    Permuting the held-out side alone takes predictions as given. Across folds they aren't: each
    is made from the other folds' responses, so that a pair of samples enters the score twice,
    once each way. For a score ``y' S y`` with a smoother S that is 0 within folds the variance is
    ``sum_ij S_ij (S_ij + S_ji)``, at most twice the ``sum_ij S_ij²`` of the permuted score, and
    twice it for symmetric S such as ridge's. So the null is widened by sqrt(2) about its mean:
    simulations without any effect then give p <= 0.05 in 5 % of studies or a little fewer, and
    in 11 % without it.

    Parameters
    ----------
    null
        (permutation, ...).
    """
    if not len(null):
        return null
    mean = null.mean(0)
    return np.asarray(mean + np.sqrt(2) * (null - mean))


def permutations_within(groups: NDArray[Any], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return permutations of items that stay within their groups.

    Parameters
    ----------
    groups
        Exchangeability unit of each item, shape (item,).
    n
        Number of permutations.
    rng
        Randomness.

    Returns
    -------
    intp (n, item): item i takes what item ``[k, i]`` had.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    keys = rng.random((n, len(codes))) + codes
    result = np.empty((n, len(codes)), dtype=np.intp)
    result[:, np.argsort(codes, kind="stable")] = np.argsort(keys, axis=1)
    return result


def circular_shifts(groups: NDArray[Any], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return permutations that turn each group of items in a circle, by a random step.

    What follows what stays, so that the null knows of the autocorrelation of both sides.

    Parameters
    ----------
    groups
        Contiguous part to which each item belongs, shape (item,); items are in order of time.
    n
        Number of permutations.
    rng
        Randomness.

    Returns
    -------
    intp (n, item): item i takes what item ``[k, i]`` had.
    """
    result = np.empty((n, len(groups)), dtype=np.intp)
    codes = np.unique(groups, return_inverse=True)[1]
    for code in range(int(codes.max()) + 1):
        items = np.flatnonzero(codes == code)
        steps = rng.integers(0, len(items), size=(n, 1))
        result[:, items] = items[(np.arange(len(items)) + steps) % len(items)]
    return result


def sign_flips(
    differences: NDArray[Any], groups: NDArray[Any], n: int, rng: np.random.Generator
) -> Floats:
    """Return the null of a summed difference of two predictions of the same samples.

    Where neither predicts better, the difference of a stretch of time could have been the other
    way round.

    Parameters
    ----------
    differences
        What each item adds to the difference, shape (item,).
    groups
        Exchangeability unit of each item.
    n
        Number of draws.
    rng
        Randomness.

    Returns
    -------
    float64 (n,).
    """
    codes = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(codes, weights=differences)
    return np.asarray(rng.choice([-1.0, 1.0], size=(n, len(sums))) @ sums)


def permuted_labels(
    labels: NDArray[np.intp], groups: NDArray[Any], n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return labels as they could have been, had they nothing to do with the responses.

    Labels are permuted within groups (runs, blocks, pairs). Where every group has one label
    throughout, as stimuli have, nothing would move: there whole groups swap labels.

    Parameters
    ----------
    labels
        Class of each item, shape (item,).
    groups
        Group of each item, shape (item,).
    n
        Number of permutations.
    rng
        Randomness.

    Returns
    -------
    intp (n, item).
    """
    _, first, codes = np.unique(groups, return_index=True, return_inverse=True)
    of_group = labels[first]
    if (of_group[codes] != labels).any():
        return np.asarray(labels[permutations_within(groups, n, rng)])
    order = permutations_within(np.zeros(len(first)), n, rng)
    return np.asarray(of_group[order][:, codes])


def null_of_sum(observed: Floats, predicted: Floats, permutations: NDArray[np.intp]) -> Floats:
    """Return the null of the summed product of observed and permuted predictions.

    Units of a region share the permutation, so that their correlation is kept. The sum over
    units of ``sum_i observed[i] * predicted[pi(i)]`` needs the items' Gram matrix only once,
    whatever the number of permutations.

    Parameters
    ----------
    observed, predicted
        (item, unit): centred, and scaled so that the product of a column pair is its score.
    permutations
        (permutation, item).

    Returns
    -------
    float64 (permutation,).
    """
    null = np.zeros(len(permutations))
    if not len(null):
        return null
    n = len(observed)
    at_once = max(1, CHUNK_BYTES // (8 * n))  # rows of the Gram matrix
    drawn_at_once = max(1, CHUNK_BYTES // (16 * min(n, at_once)))
    for first in range(0, n, at_once):
        gram = observed[first : first + at_once] @ predicted.T
        rows = np.arange(len(gram))
        for at in range(0, len(null), drawn_at_once):
            drawn = permutations[at : at + drawn_at_once, first : first + at_once]
            null[at : at + drawn_at_once] += gram[rows, drawn].sum(1)
    return null


def null_correlations(
    brain: Floats, models: Floats, n_stimuli: int, permutations: NDArray[np.intp]
) -> Floats:
    """Return the null of the correlation of dissimilarities, stimulus labels permuted.

    Parameters
    ----------
    brain
        (item, subject), such that products with models are their comparison. Items are the pairs
        in the order of ``np.triu_indices``; entries of the diagonal may follow them.
    models
        (item, model), likewise.
    n_stimuli
        Number of stimuli.
    permutations
        (permutation, stimulus); all models and subjects share them.

    Returns
    -------
    float64 (permutation, subject, model).
    """
    rows, columns = np.triu_indices(n_stimuli, 1)
    index = np.zeros((n_stimuli, n_stimuli), dtype=np.intp)
    index[rows, columns] = index[columns, rows] = np.arange(len(rows))
    null = np.empty((len(permutations), brain.shape[1], models.shape[1]))
    step = max(1, CHUNK_BYTES // (8 * max(1, brain.size)))
    with_diagonal = len(brain) > len(rows)
    for start in range(0, len(permutations), step):
        some = permutations[start : start + step]
        places = index[some[:, rows], some[:, columns]]
        if with_diagonal:
            places = np.concatenate([places, len(rows) + some], axis=1)
        shuffled = brain[places]
        null[start : start + step] = np.einsum("kps,pm->ksm", shuffled, models, optimize=True)
    return null
