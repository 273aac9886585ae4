"""Tests over subjects: the sign of a subject's effect could have been the other one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import p_value

ENOUGH = 6
"""From so many subjects on, sign flips reach p < 0.05 with room for a correction."""

EXACT_UP_TO = 12
"""Subjects of whom all sign patterns are taken (4096), if no fewer draws are asked for."""


class SignFlips(NamedTuple):
    """What flipping signs says of each unit.

    Attributes
    ----------
    t
        float64 (unit,): Student's t of the mean against 0.
    p
        float64 (unit,): one-sided, of a mean above 0.
    p_max
        float64 (unit,): the same, corrected for all units by the largest t of each draw.
    """

    t: Floats
    p: Floats
    p_max: Floats


def smallest_p(n_subjects: int) -> float:
    """Return the smallest p that sign flips of so many subjects can reach.

    Examples
    --------
    >>> smallest_p(5)
    0.03125
    """
    return 0.5**n_subjects


def sign_patterns(n_subjects: int, draws: int, rng: np.random.Generator) -> Floats:
    """Return the signs that subjects could have had, the observed ones first.

    Parameters
    ----------
    n_subjects
        Number of subjects.
    draws
        Random patterns besides the observed one. Where all 2^n are no more than that, or there are
        few subjects, they are all taken instead, and p is exact.
    rng
        Randomness.

    Returns
    -------
    float64 (1 + draws or 2^n, subject), of 1 and -1; the first row is 1 throughout.
    """
    if n_subjects <= EXACT_UP_TO and 2**n_subjects <= draws + 1:
        bits = np.arange(2**n_subjects)[:, None] >> np.arange(n_subjects)
        return np.asarray(1 - 2 * (bits & 1), dtype=np.float64)
    signs = np.asarray(1 - 2 * rng.integers(0, 2, size=(draws + 1, n_subjects)), dtype=np.float64)
    signs[0] = 1
    return signs


def t_of_signs(values: NDArray[Any], signs: NDArray[Any]) -> Floats:
    """Return Student's t of the mean over subjects, for each pattern of signs.

    Parameters
    ----------
    values
        Effects, chance taken off, (subject, unit).
    signs
        (pattern, subject).

    Returns
    -------
    float64 (pattern, unit); NaN where a subject has no value or all values are 0, and infinite
    where all are the same.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    mean = signs @ values / n
    # Signs leave the sum of squares as it is.
    variance = np.maximum((values**2).sum(0) - n * mean**2, 0) / (n - 1)
    variance[variance <= 1e-14 * (values**2).sum(0)] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mean / np.sqrt(variance / n))


def sign_flip_test(values: NDArray[Any], draws: int, rng: np.random.Generator) -> SignFlips:
    """Test whether the mean over subjects lies above 0, in each unit and in all of them.

    Under the null a subject's effect is symmetric about 0, in all units at once, so that their
    correlation is kept (Nichols & Holmes 2002, Hum Brain Mapp 15:1). Corrected p-values compare
    with the largest t over units of each pattern: the family-wise error rate is kept whatever the
    correlation.

    Parameters
    ----------
    values
        Effects, chance taken off, (subject, unit).
    draws
        Random patterns of signs; see :func:`sign_patterns`.
    rng
        Randomness.

    Returns
    -------
    SignFlips
        NaN with one subject, where a subject has no value, and where no value differs from 0.
    """
    values = np.asarray(values, dtype=np.float64)
    nothing = np.full(values.shape[1], np.nan)
    if len(values) < 2 or not draws:
        return SignFlips(nothing, nothing, nothing)
    t = t_of_signs(values, sign_patterns(len(values), draws, rng))
    observed, null = t[0], t[1:]
    known = ~np.isnan(observed)
    p_max = nothing.copy()
    if known.any():
        p_max[known] = p_value(null[:, known].max(1)[:, None], observed[known])
    return SignFlips(observed, p_value(null, observed), p_max)
