"""Scores of regions: means over units, each with the null of what is exchangeable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import (
    Floats,
    centred,
    correlation_factors,
    held_out_correlation,
    r2_columns,
)
from fornix.evaluation.permutation import null_interval, null_of_mean, p_value, widened
from fornix.evaluation.table import score_row
from fornix.study.scores import Scores

Places = list[tuple[str, float, NDArray[np.intp]]]
"""(region, time, its units)."""


@dataclass(frozen=True)
class Items:
    """What is permuted: samples, or stimuli within a held-out group.

    Attributes
    ----------
    codes
        Item of each sample.
    first
        First sample of each item.
    permutations
        intp (permutation, item).
    """

    codes: NDArray[np.intp]
    first: NDArray[np.intp]
    permutations: NDArray[np.intp]


@dataclass(frozen=True)
class Ceilings:
    """The ceiling of R² of each unit; its root is that of r.

    Attributes
    ----------
    share
        float64 (unit,), NaN where it isn't known.
    """

    share: Floats

    def of(self, metric: str, units: NDArray[np.intp]) -> float:
        """Return a region's mean ceiling."""
        if not len(units):
            return float("nan")
        share = self.share[units]
        return float((np.sqrt(share) if metric == "pearson_r" else share).mean())


def prediction_rows(
    subject: str,
    target: str,
    observed: Floats,
    predicted: Floats,
    fold: NDArray[Any],
    *,
    places: Places,
    items: Items,
    ceilings: Ceilings,
    scores: Scores,
) -> list[dict[str, Any]]:
    """Return the rows ``pearson_r`` and ``r2`` of one target in every region.

    Parameters
    ----------
    subject, target
        Whose predictions, from what.
    observed, predicted
        (sample, unit).
    fold
        Fold of each sample.
    places
        Regions, with the units that count.
    items, ceilings, scores
        What is permuted, how well a model could do, and how fits are judged.
    """
    values = {
        "pearson_r": held_out_correlation(observed, predicted, fold),
        "r2": r2_columns(observed, predicted),
    }
    spread = (centred(observed) ** 2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Pairs of columns whose products give the null of each metric, up to a constant.
        factors = {
            "pearson_r": correlation_factors(observed, predicted, fold),
            "r2": (2 * centred(observed, fold) / spread, centred(predicted, fold)),
        }
    rows = []
    for region, time, units in places:
        for metric, of_units in values.items():
            value = float(of_units[units].mean()) if len(units) else float("nan")
            left, right = (factor[:, units] for factor in factors[metric])
            null = widened(permuted(left, right, items))
            if metric == "r2" and len(null):
                null = null + value - float((left * right).sum() / len(units))
            low, high = null_interval(null, scores.confidence)
            rows.append(
                score_row(
                    subject=subject,
                    target=target,
                    unit=region,
                    time=time,
                    metric=metric,
                    value=value,
                    ceiling=ceilings.of(metric, units),
                    p=float(p_value(null, value)),
                    n=len(observed),
                    interval=(float(low), float(high)),
                )
            )
    return rows


def permuted(left: Floats, right: Floats, items: Items) -> Floats:
    """Return the null of the mean over units of ``sum(left * right)``; empty without units.

    Parameters
    ----------
    left, right
        (sample, unit); the samples of an item have the same ``right``.
    items
        What is permuted.
    """
    if not left.shape[1] or not len(items.permutations):
        return np.empty(0)
    summed = np.zeros((len(items.first), left.shape[1]))
    np.add.at(summed, items.codes, left)
    return null_of_mean(summed, right[items.first], items.permutations)
