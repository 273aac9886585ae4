"""Bootstrap of representational models over stimuli and subjects.

A draw of stimuli gives each a number of copies, and each pair the product of the two, so that
resampled comparisons are weighted ones: nothing is copied or sorted anew. Pairs of a stimulus
with its own copy, which would be at distance 0 in every matrix, don't exist here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fornix.evaluation.metrics import Floats
from fornix.evaluation.rdms import pairs_of


class Resampled(NamedTuple):
    """Group values over bootstrap samples.

    Attributes
    ----------
    both, subjects, stimuli
        float64 (draw, model): with both factors drawn, and with one of them alone; None where a
        factor isn't drawn.
    """

    both: Floats | None
    subjects: Floats | None
    stimuli: Floats | None


class Spread(NamedTuple):
    """Standard errors, and the degrees of freedom of their intervals.

    Attributes
    ----------
    error
        float64 (model,).
    difference
        Of the difference of each pair of models, float64 (model, model).
    degrees
        Degrees of freedom.
    """

    error: Floats
    difference: Floats
    degrees: int


def resample(
    values: Floats,
    draws: Floats | None,
    n_draws: int,
    rng: np.random.Generator,
    *,
    over_subjects: bool,
) -> Resampled:
    """Return the mean over subjects in every draw.

    Parameters
    ----------
    values
        Comparisons on all stimuli, (subject, model).
    draws
        Comparisons on drawn stimuli, (draw, subject, model); None where stimuli aren't drawn.
    n_draws
        Number of draws.
    rng
        Randomness of the subjects' draws.
    over_subjects
        Whether subjects are drawn.
    """
    stimuli = None if draws is None else draws.mean(1)
    if not over_subjects:
        return Resampled(None, None, stimuli)
    n = len(values)
    copies = rng.multinomial(n, np.full(n, 1 / n), size=n_draws) / n
    both = None if draws is None else np.einsum("ks,ksm->km", copies, draws)
    return Resampled(both, copies @ values, stimuli)


def spread(found: Resampled, n_subjects: int, n_stimuli: int) -> Spread:
    """Return standard errors from bootstrap samples.

    Drawing both factors adds their noise up once too often; the variance is that of the two
    factors, each corrected for its n, less what the interaction is counted too often (the dual
    bootstrap: Schütt et al. 2023, eLife 12:e82566), and at least that of either factor.
    """
    a, b = n_subjects / max(n_subjects - 1, 1), n_stimuli / (n_stimuli - 1)
    if found.both is not None and found.subjects is not None and found.stimuli is not None:
        both, subjects, stimuli = map(_variances, (found.both, found.subjects, found.stimuli))
        wanted = a * subjects + b * stimuli - a * b * (both - subjects - stimuli)
        wanted = np.maximum(wanted, np.maximum(a * subjects, b * stimuli))
        variances, degrees = np.minimum(wanted, both), min(n_subjects, n_stimuli) - 1
    elif found.stimuli is not None:
        variances, degrees = b * _variances(found.stimuli), n_stimuli - 1
    else:
        assert found.subjects is not None  # noqa: S101 - one of the factors was drawn
        variances, degrees = a * _variances(found.subjects), n_subjects - 1
    errors = np.sqrt(variances)
    return Spread(np.diagonal(errors).copy(), errors * (1 - np.eye(len(errors))), degrees)


def _variances(draws: Floats) -> Floats:
    """Return the variance of each model on the diagonal, and of each difference beside it."""
    found = np.full((draws.shape[1],) * 2, np.nan)
    defined = np.isfinite(draws).any(0)  # a model that is constant has no value in any draw
    usable = draws[:, defined]
    usable = usable[np.isfinite(usable).all(1)]
    if len(usable) > 1:
        covariance = np.atleast_2d(np.cov(usable, rowvar=False))
        own = np.diagonal(covariance)
        differences = np.maximum(own + own[:, None] - 2 * covariance, 0)
        np.fill_diagonal(differences, own)
        found[np.ix_(defined, defined)] = differences
    return found


def interval(value: Any, error: Any, degrees: int, confidence: float) -> tuple[Any, Any]:
    """Return the confidence interval of values with these standard errors (Student's t)."""
    reach = stats.t.ppf(0.5 + confidence / 2, degrees) * error
    return value - reach, value + reach


def two_sided(difference: Any, error: Any, degrees: int) -> Any:
    """Return the p-value of a difference from 0 (Student's t, two-sided)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * stats.t.sf(np.abs(difference) / error, degrees)


class PairSet:
    """Dissimilarities of some stimuli, compared with weights on the pairs.

    Parameters
    ----------
    brain, models
        (pair, subject) and (pair, model), pairs in the order of ``np.triu_indices(n, 1)``.
    how
        One of ``WEIGHTED``.
    constant
        Comparison with a model that is the same for all pairs.
    """

    def __init__(
        self, brain: NDArray[Any], models: NDArray[Any], how: str, constant: float = np.nan
    ) -> None:
        self.how, self.constant = how, constant
        columns = [*brain.T, *models.T]
        self.n_brains = brain.shape[1]
        if how in ("spearman", "rho_a"):
            self.levels = [np.unique(one, return_inverse=True)[1] for one in columns]
        self.values = np.stack(columns, axis=1).astype(np.float64)

    def compare(self, weights: Floats) -> Floats:
        """Return (subject, model): each comparison with weights on the pairs; NaN if undefined."""
        used = weights > 0
        w, total = weights[used], weights.sum()
        if self.how in ("spearman", "rho_a"):
            columns = np.stack([_weighted_ranks(one[used], w) for one in self.levels], axis=1)
        else:
            columns = self.values[used]
        if self.how != "cosine":
            columns = columns - (w @ columns) / total if total else columns
        weighted = columns * w[:, None]
        a, b = slice(None, self.n_brains), slice(self.n_brains, None)
        products = weighted[:, a].T @ columns[:, b]
        if self.how == "rho_a":
            return np.asarray(products * 12 / max(total**3 - total, 1))
        square = np.einsum("ij,ij->j", weighted, columns)
        # Weighted means leave rounding of constant columns.
        floor = 1e-12 * np.einsum("ij,ij->j", self.values, self.values)
        norm = np.sqrt(np.where(square > floor, square, np.nan))
        found = products / norm[a, None] / norm[b]
        return np.where(np.isnan(norm[b]) & ~np.isnan(norm[a, None]), self.constant, found)


def stimulus_draws(
    brain: NDArray[Any],
    models: NDArray[Any],
    blocks: Sequence[NDArray[np.intp]],
    copies: NDArray[np.int_],
    how: str,
    *,
    constant: float = np.nan,
) -> Floats:
    """Return comparisons on drawn stimuli, averaged over blocks of stimuli.

    Parameters
    ----------
    brain, models
        (pair, subject) and (pair, model).
    blocks
        Stimuli that are judged together.
    copies
        How often each stimulus was drawn, (draw, stimulus).
    how, constant
        As in :class:`PairSet`.

    Returns
    -------
    float64 (draw, subject, model); NaN where no block has enough stimuli left.
    """
    n = copies.shape[1]
    found = []
    for block in blocks:
        pairs = slice(None) if len(block) == n else pairs_of(block, n)
        one = PairSet(brain[pairs], models[pairs], how, constant)
        rows, columns = (block[side] for side in np.triu_indices(len(block), 1))
        found.append([one.compare(copy[rows] * copy[columns]) for copy in copies.astype(float)])
    known = np.isfinite(found).sum(0)
    total = np.nansum(found, axis=0)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def _weighted_ranks(levels: NDArray[np.intp], weights: Floats) -> Floats:
    """Return mid-ranks of values that occur so many times; ``levels`` are in their order."""
    counts = np.bincount(levels, weights)
    return np.asarray((np.cumsum(counts) - counts / 2 + 0.5)[levels])
