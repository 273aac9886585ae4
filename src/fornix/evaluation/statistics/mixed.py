"""A mixed model over subjects: several scores of each, and what they have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

from fornix.evaluation.metrics import Floats


class MixedMean(NamedTuple):
    """The mean of a random-intercept model.

    Attributes
    ----------
    mean, error
        The fixed intercept and its standard error.
    low, high
        Its interval.
    t, df, p
        t, its degrees of freedom (subjects - 1), and the one-sided p of a mean above 0.
    between, within
        Variances of subjects and of scores within a subject.
    """

    mean: float
    error: float
    low: float
    high: float
    t: float
    df: int
    p: float
    between: float
    within: float


def mixed_mean(values: NDArray[Any], subjects: NDArray[Any], confidence: float = 0.95) -> MixedMean:
    """Fit ``value = mean + subject + rest`` by restricted maximum likelihood (REML).

    Subjects may have different numbers of scores (units, times). With one number for all, the mean
    and its t are those of the subjects' means. REML has one unknown, the ratio of the two
    variances, once the others are solved for (Laird & Ware 1982, Biometrics 38:963).

    Parameters
    ----------
    values
        Scores less chance, or differences of two fits' scores, (score,).
    subjects
        Whose each is.
    confidence
        Level of the interval.

    Returns
    -------
    MixedMean
        NaN with one subject, or where nothing varies. Degrees of freedom are those between
        subjects, which is exact for equal numbers and cautious for others.
    """
    values = np.asarray(values, dtype=np.float64)
    codes = np.unique(subjects, return_inverse=True)[1]
    counts = np.bincount(codes).astype(np.float64)
    means = np.bincount(codes, weights=values) / counts
    n, groups = len(values), len(counts)
    within_ss = float(((values - means[codes]) ** 2).sum())
    nan = float("nan")
    if groups < 2 or np.ptp(values) == 0:
        mean = float(values.mean()) if n else nan
        return MixedMean(mean, nan, nan, nan, nan, groups - 1, nan, nan, nan)
    if n == groups or within_ss == 0:
        # One score a subject, or scores that don't differ within one: the t-test of the means.
        between, within, mean = float(means.var(ddof=1)), 0.0, float(means.mean())
        error = float(np.sqrt(between / groups))
    else:
        ratio = _best_ratio(counts, means, within_ss)
        mean, weights = _weighted(ratio, counts, means)
        within = _residual(ratio, counts, means, within_ss) / (n - 1)
        between, error = ratio * within, float(np.sqrt(within / weights.sum()))
    t = mean / error
    half = float(stats.t.ppf(0.5 + confidence / 2, groups - 1)) * error
    p = float(stats.t.sf(t, groups - 1))
    low, high = mean - half, mean + half
    return MixedMean(mean, error, low, high, t, groups - 1, p, between, within)


def restricted_deviance(ratio: float, counts: Floats, means: Floats, within_ss: float) -> float:
    """Return -2 log of the restricted likelihood, up to a constant, at a ratio of variances.

    Parameters
    ----------
    ratio
        Variance of subjects over variance within them.
    counts, means
        Scores and mean score of each subject.
    within_ss
        Sum of squares within subjects.
    """
    _, weights = _weighted(ratio, counts, means)
    n = counts.sum()
    residual = _residual(ratio, counts, means, within_ss)
    return float(
        (n - 1) * np.log(residual / (n - 1))
        + np.log1p(ratio * counts).sum()
        + np.log(weights.sum())
    )


def _weighted(ratio: float, counts: Floats, means: Floats) -> tuple[float, Floats]:
    """Return the generalised least-squares mean and the weights of subjects."""
    weights = counts / (1 + ratio * counts)
    return float(weights @ means / weights.sum()), weights


def _residual(ratio: float, counts: Floats, means: Floats, within_ss: float) -> float:
    mean, weights = _weighted(ratio, counts, means)
    return within_ss + float(weights @ (means - mean) ** 2)


def _best_ratio(counts: Floats, means: Floats, within_ss: float) -> float:
    """Return the ratio of variances that maximises the restricted likelihood; 0 at the bound."""

    def deviance(log_ratio: float) -> float:
        return restricted_deviance(float(np.exp(log_ratio)), counts, means, within_ss)

    grid = np.linspace(-16, 16, 65)
    best = int(np.argmin([deviance(point) for point in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(deviance, bounds=around, method="bounded", options={"xatol": 1e-9})
    ratio = float(np.exp(found.x))
    at_zero = restricted_deviance(0.0, counts, means, within_ss)
    return 0.0 if at_zero <= float(found.fun) else ratio
