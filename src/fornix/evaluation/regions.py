"""Scores of regions: means over units, each with the null of what is exchangeable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import (
    Floats,
    centred,
    correlation_factors,
    correlation_of_factors,
    r2_columns,
    sums_by,
)
from fornix.evaluation.permutation import null_interval, null_of_mean, p_value, widened
from fornix.evaluation.statistics.bootstrap import (
    influence_of_factors,
    jackknife_interval,
    percentiles,
    r2_influence,
    resampled,
)
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
    resampled
        What is drawn anew for intervals: the number of each sample's stimulus, or stretch of time.
    """

    codes: NDArray[np.intp]
    first: NDArray[np.intp]
    permutations: NDArray[np.intp]
    resampled: NDArray[np.intp]


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


@dataclass(frozen=True)
class Judged:
    """The scores of one target by one metric, in every region and at every time.

    Attributes
    ----------
    target, metric
        What was scored, and how.
    places
        Regions and times, with the units that count.
    rows
        Rows of the score table, one a place.
    value
        float64 (place,); NaN where no unit counts.
    null
        float64 (permutation, place), the permutations the same for all places.
    draws
        float64 (draw, place): scores of bootstrap samples of items; no rows without a bootstrap.
    """

    target: str
    metric: str
    places: Places
    rows: list[dict[str, Any]]
    value: Floats
    null: Floats
    draws: Floats

    def without_draws(self) -> Judged:
        """Return the scores alone, without what they were tested with."""
        return replace(self, null=self.null[:0], draws=self.draws[:0])


def judge_predictions(
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
    drawn: Floats | None = None,
) -> list[Judged]:
    """Return ``pearson_r`` and ``r2`` of one target in every region.

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
    drawn
        How often each item is drawn, (draw, item); None: intervals by the jackknife.
    """
    products = correlation_factors(observed, predicted, fold)
    values = {
        "pearson_r": correlation_of_factors(*products),
        "r2": r2_columns(observed, predicted),
    }
    influences = {
        "pearson_r": influence_of_factors(*products, fold),
        "r2": r2_influence(observed, predicted),
    }
    spread = (centred(observed) ** 2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Pairs of columns whose products give the null of each metric, up to a constant.
        factors = {
            "pearson_r": products,
            "r2": (2 * centred(observed, fold) / spread, centred(predicted, fold)),
        }
    found = []
    for metric, of_units in values.items():
        value = np.array([_mean(of_units[units]) for _, _, units in places])
        nulls = np.full((len(items.permutations), len(places)), np.nan)
        for k, (_, _, units) in enumerate(places):
            left, right = (factor[:, units] for factor in factors[metric])
            null = widened(permuted(left, right, items))
            if metric == "r2" and len(null):
                null = null + value[k] - float((left * right).sum() / len(units))
            if len(null):
                nulls[:, k] = null
        influence = _of_places(influences[metric], places, items)
        draws = np.empty((0, len(places)))
        if drawn is None:
            between = jackknife_interval(value, influence, scores.confidence)
        else:
            draws = resampled(value, influence, drawn)
            between = percentiles(draws, scores.confidence)
        p, interval = p_value(nulls, value), null_interval(nulls, scores.confidence)
        rows = [
            score_row(
                subject=subject,
                target=target,
                unit=region,
                time=time,
                metric=metric,
                value=float(value[k]),
                ceiling=ceilings.of(metric, units),
                p=float(p[k]),
                n=len(observed),
                interval=(float(interval[0][k]), float(interval[1][k])),
                between=(float(between[0][k]), float(between[1][k])),
            )
            for k, (region, time, units) in enumerate(places)
        ]
        found.append(Judged(target, metric, places, rows, value, nulls, draws))
    return found


def rows_of(judged: list[Judged]) -> list[dict[str, Any]]:
    """Return the rows of several metrics, place by place."""
    return [row for rows in zip(*(one.rows for one in judged), strict=True) for row in rows]


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _of_places(influence: Floats, places: Places, items: Items) -> Floats:
    """Return the mean over each place's units, summed over the samples of an item."""
    means = np.zeros((len(influence), len(places)))
    for k, (_, _, units) in enumerate(places):
        if len(units):
            means[:, k] = influence[:, units].mean(1)
    return sums_by(items.resampled, means)


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
    summed = sums_by(items.codes, left)
    return null_of_mean(summed, right[items.first], items.permutations)
