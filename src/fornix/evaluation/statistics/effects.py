"""How large an effect is: standardised means and differences, with their intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq


class Effect(NamedTuple):
    """A mean over subjects, of scores above chance or of differences.

    Attributes
    ----------
    mean, low, high
        The mean and its interval by Student's t, in units of the score.
    d, d_low, d_high
        Cohen's d_z, the mean in SDs over subjects, and its interval.
    t, p
        Student's t and its one-sided p, of a mean above 0.
    n
        Subjects.
    """

    mean: float
    low: float
    high: float
    d: float
    d_low: float
    d_high: float
    t: float
    p: float
    n: int


def effect_of(values: NDArray[Any], confidence: float = 0.95) -> Effect:
    """Return the mean over subjects and its size.

    Parameters
    ----------
    values
        One number a subject: a score less its chance, or a difference of two scores.
    confidence
        Level of the intervals. That of d_z is by the noncentral t distribution (Cumming & Finch
        2001, Educ Psychol Meas 61:532).

    Returns
    -------
    Effect
        NaN, but for the mean, with one subject or where values don't vary.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    nan = float("nan")
    mean = float(values.mean()) if n else nan
    sd = float(values.std(ddof=1)) if n > 1 else 0.0
    if n < 2 or sd <= 1e-12 * abs(mean) or sd == 0:
        return Effect(mean, nan, nan, nan, nan, nan, nan, nan, n)
    error = sd / np.sqrt(n)
    t = mean / error
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    d_low, d_high = (bound / np.sqrt(n) for bound in _noncentrality(t, n - 1, confidence))
    p = float(stats.t.sf(t, n - 1))
    return Effect(mean, mean - half, mean + half, mean / sd, d_low, d_high, t, p, n)


def _noncentrality(t: float, df: int, confidence: float) -> tuple[float, float]:
    """Return the noncentral t distributions of which the observed t is a tail quantile."""
    tail = (1 - confidence) / 2
    reach = 10 + 2 * abs(t)

    def bound(quantile: float) -> float:
        def off(delta: float) -> float:
            return float(stats.nct.cdf(t, df, delta)) - quantile

        if not np.isfinite([off(t - reach), off(t + reach)]).all():
            return float("nan")
        return float(brentq(off, t - reach, t + reach, xtol=1e-6))

    try:
        return bound(1 - tail), bound(tail)
    except ValueError:  # so far out that the distribution can't be computed
        return float("nan"), float("nan")
