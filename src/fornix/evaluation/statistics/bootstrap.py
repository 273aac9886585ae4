"""Intervals by resampling what was sampled: stimuli, subjects, or both.

Scores of many units would have to be computed anew for every draw. What a score loses or gains with
one item more (its influence) is known in closed form, and a draw is the sum over items: the
linearised bootstrap (Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, ch. 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fornix.evaluation.metrics import Floats, centred, folds_are_large, sums_by
from fornix.seeds import generator


def influence_of_factors(a: Floats, b: Floats, fold: NDArray[Any]) -> Floats:
    """Return what each sample adds to the held-out correlation when it counts once more.

    With a and b of length 1 within a fold, ``a_i b_i - r/2 (a_i² + b_i²)``, weighted as folds
    are; the sum over the samples of a fold is 0.

    Parameters
    ----------
    a, b
        Of :func:`~fornix.evaluation.metrics.correlation_factors`, (sample, unit).
    fold
        Fold of each sample.

    Returns
    -------
    float64 (sample, unit).
    """
    products = a * b
    # b carries the weight of its fold: |a| = 1 and |b| = weight there.
    codes = np.zeros(len(a), dtype=np.intp)
    if folds_are_large(fold):
        codes = np.unique(fold, return_inverse=True)[1]
    for code in range(int(codes.max()) + 1):
        rows = codes == code
        r, weight = products[rows].sum(0), np.sqrt((b[rows] ** 2).sum(0))
        scaled = b[rows] / np.where(weight > 0, weight, 1)
        products[rows] -= r / 2 * (a[rows] ** 2 + scaled**2)
    return products


def r2_influence(observed: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return what each sample adds to R² when it counts once more, (sample, unit)."""
    observed = np.asarray(observed, dtype=np.float64)
    lost = (observed - np.asarray(predicted, dtype=np.float64)) ** 2
    spread = centred(observed) ** 2
    total = np.where(spread.sum(0) > 0, spread.sum(0), 1)
    return np.asarray(lost.sum(0) / total * spread / total - lost / total)


def summed_by_item(values: NDArray[Any], items: NDArray[Any]) -> Floats:
    """Return the sums over the samples of each item: (sample, column) -> (item, column).

    Samples of one item (a stimulus, a stretch of time) are drawn together.
    """
    return sums_by(np.unique(items, return_inverse=True)[1], values)


def jackknife_interval(
    value: NDArray[Any] | float, influence: NDArray[Any], confidence: float
) -> tuple[Floats, Floats]:
    """Return the interval of scores by the infinitesimal jackknife over items.

    The variance of a score is the sum of its items' squared influences, times n / (n - 1); the
    interval is that of Student's t with n - 1 degrees of freedom. Predictions are taken as given:
    it is the interval of how well these fits predict.

    Parameters
    ----------
    value
        (unit,).
    influence
        (item, unit).
    confidence
        Level.
    """
    value, n = np.asarray(value, dtype=np.float64), len(influence)
    if n < 2:
        nothing = np.full(value.shape, np.nan)
        return nothing, nothing
    error = np.sqrt((influence**2).sum(0) * n / (n - 1))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    return np.asarray(value - half), np.asarray(value + half)


def multiplicities(n: int, draws: int, rng: np.random.Generator) -> Floats:
    """Return how often each of n items is drawn, with replacement, float64 (draw, item)."""
    return np.asarray(rng.multinomial(n, np.full(n, 1 / n), size=draws), dtype=np.float64)


def poisson_multiplicities(items: Sequence[str], draws: int, seed: int) -> Floats:
    """Return how often each item is drawn, the same for all subjects who met it.

    An item's own Poisson(1), from its name: subjects with some items in common share their draws
    without having to agree on a list (Chamandy et al. 2012, Google Research: the Poisson
    bootstrap).

    Returns
    -------
    float64 (draw, item).
    """
    found = np.empty((draws, len(items)))
    for column, item in enumerate(items):
        found[:, column] = generator(seed, "evaluate", "bootstrap", item).poisson(1, draws)
    return found


def resampled(value: NDArray[Any], influence: NDArray[Any], drawn: NDArray[Any]) -> Floats:
    """Return the scores of bootstrap samples of items.

    Parameters
    ----------
    value
        (unit,).
    influence
        (item, unit).
    drawn
        How often each item is drawn, (draw, item).

    Returns
    -------
    float64 (draw, unit).
    """
    return np.asarray(value + (drawn - 1) @ influence)


def resampled_means(values: NDArray[Any], drawn: NDArray[Any]) -> Floats:
    """Return the means over bootstrap samples of subjects.

    Parameters
    ----------
    values
        (subject, unit); or (subject, draw, unit), where every subject's scores are those of a
        bootstrap sample of stimuli already: then both are drawn, and the spread is that over new
        subjects and new stimuli (the two-way bootstrap; Owen 2007, Ann Appl Stat 1:386, shows
        that it errs on the wide side).
    drawn
        How often each subject is drawn, (draw, subject).

    Returns
    -------
    float64 (draw, unit).
    """
    weights = drawn / drawn.sum(1, keepdims=True)
    if np.ndim(values) == 2:
        return np.asarray(weights @ values)
    return np.asarray(np.einsum("ds,sdu->du", weights, values, optimize=True))


def percentiles(draws: NDArray[Any], confidence: float) -> tuple[Floats, Floats]:
    """Return the central interval of bootstrap draws (draw, unit); NaN without any."""
    if not len(draws):
        nothing = np.full(draws.shape[1:], np.nan)
        return nothing, nothing
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail], axis=0)
    return np.asarray(low), np.asarray(high)
