"""Many tests at once: the family-wise error rate by the largest score, and the FDR."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import p_value


def studentised(observed: NDArray[Any], null: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return scores and their nulls as distances from the null's mean, in its SDs.

    Scores of regions and times spread differently; without this, the widest would decide about
    all. Mean and SD are taken over the draws and the observed score together, which under the null
    is a draw like any other.

    Parameters
    ----------
    observed
        (unit,).
    null
        (permutation, unit); all units share the permutations.

    Returns
    -------
    float64 (unit,) and (permutation, unit); 0 where the null doesn't vary.
    """
    both = np.vstack([observed, null]).astype(np.float64)
    both -= both.mean(0)
    sd = both.std(0)
    both /= np.where(sd > 0, sd, 1)
    return both[0], both[1:]


class Family:
    """Tests whose largest score is compared with the largest of each permutation.

    Scores may come in parts (a model at a time): their nulls are not kept, only the largest value
    of each draw.

    Parameters
    ----------
    draws
        Number of permutations, which all members share.
    """

    def __init__(self, draws: int) -> None:
        self.largest = np.full(draws, -np.inf)
        self.members: list[float] = []

    def add(self, observed: NDArray[Any] | float, null: NDArray[Any]) -> None:
        """Add tests: observed (unit,) with their null (permutation, unit).

        A test without a null (no draws, or no score) takes part in nothing; its p is NaN.
        """
        observed = np.atleast_1d(np.asarray(observed, dtype=np.float64))
        if len(null) != len(self.largest) or not len(null):
            self.members += [float("nan")] * len(observed)
            return
        t, draws = studentised(observed, null.reshape(len(null), -1))
        known = ~np.isnan(t)
        if known.any():
            np.maximum(self.largest, draws[:, known].max(1), out=self.largest)
        self.members += t.tolist()

    def corrected(self) -> Floats:
        """Return p of every member in the order they came, corrected for all of them."""
        members = np.array(self.members, dtype=np.float64)
        if not np.isfinite(self.largest).all():
            return np.full(len(members), np.nan)
        return p_value(self.largest[:, None], members)


def false_discovery(p: NDArray[Any]) -> Floats:
    """Return p-values adjusted so that the share of false discoveries is kept.

    Benjamini & Hochberg 1995 (J R Stat Soc B 57:289), by scipy. NaN takes no part.
    """
    p = np.asarray(p, dtype=np.float64)
    found = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        found[known] = false_discovery_control(p[known])
    return found
