"""Scores of regions: means over units, each with the null of what is exchangeable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.blocks import Block, Places, add_sums, counts
from fornix.evaluation.metrics import (
    Floats,
    centred,
    correlation_factors,
    correlation_of_factors,
    r2_columns,
    sums_by,
)
from fornix.evaluation.permutation import null_interval, null_of_sum, p_value, widened
from fornix.evaluation.statistics.bootstrap import (
    influence_of_factors,
    jackknife_interval,
    percentiles,
    r2_influence,
    resampled,
)
from fornix.evaluation.table import score_row
from fornix.study.scores import Scores

Factors = tuple[Floats, Floats]
"""Two (sample, unit), whose products column by column are scores."""


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


class _Sums:
    """A metric's sums over the units of each place, from which its means come."""

    def __init__(self, places: Places, items: Items) -> None:
        n = len(places)
        self.units, self.items = counts(places), items
        self.value = np.zeros(n)
        self.product = np.zeros(n)
        self.null = np.zeros((len(items.permutations), n))
        self.influence = np.zeros((len(items.codes), n))

    def add(
        self, pieces: list[tuple[int, slice]], of_units: Floats, influence: Floats, factors: Factors
    ) -> None:
        """Add a block: scores (unit,), influences (sample, unit), and factors of the null."""
        left, right = factors
        add_sums(self.influence, influence, pieces)
        by_item = sums_by(self.items.codes, left)
        of_item = right[self.items.first]
        for place, columns in pieces:
            self.value[place] += of_units[columns].sum()
            self.product[place] += (left[:, columns] * right[:, columns]).sum()
            permutations = self.items.permutations
            self.null[:, place] += null_of_sum(
                by_item[:, columns], of_item[:, columns], permutations
            )

    def means(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return value, product (place,), null (permutation, place), influence (item, place)."""
        n = np.where(self.units > 0, self.units, np.nan)
        influence = sums_by(self.items.resampled, self.influence) / np.maximum(self.units, 1)
        return self.value / n, self.product / n, self.null / n, influence


def judge_predictions(
    subject: str,
    target: str,
    blocks: Iterable[Block],
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
    blocks
        Observed and predicted, of all units of the places.
    fold
        Fold of each sample.
    places
        Regions, with the units that count.
    items, ceilings, scores
        What is permuted, how well a model could do, and how fits are judged.
    drawn
        How often each item is drawn, (draw, item); None: intervals by the jackknife.
    """
    sums = {metric: _Sums(places, items) for metric in ("pearson_r", "r2")}
    for block in blocks:
        for metric, one in _scored(block, fold).items():
            sums[metric].add(block.pieces, *one)
    found = []
    for metric, summed in sums.items():
        value, product, null, influence = summed.means()
        null = widened(null)
        if metric == "r2":
            null = null + (value - product)
        draws = np.empty((0, len(places)))
        if drawn is None:
            between = jackknife_interval(value, influence, scores.confidence)
        else:
            draws = resampled(value, influence, drawn)
            between = percentiles(draws, scores.confidence)
        p, interval = p_value(null, value), null_interval(null, scores.confidence)
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
                n=len(fold),
                interval=(float(interval[0][k]), float(interval[1][k])),
                between=(float(between[0][k]), float(between[1][k])),
            )
            for k, (region, time, units) in enumerate(places)
        ]
        found.append(Judged(target, metric, places, rows, value, null, draws))
    return found


def _scored(block: Block, fold: NDArray[Any]) -> dict[str, tuple[Floats, Floats, Factors]]:
    """Return metric -> scores (unit,), influences (sample, unit), and factors of the null.

    Factors are pairs of columns whose products give the null of the metric, up to a constant.
    """
    observed, predicted = block.observed, block.predicted
    products = correlation_factors(observed, predicted, fold)
    spread = (centred(observed) ** 2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        halves = 2 * centred(observed, fold) / spread, centred(predicted, fold)
    r, r_influence = correlation_of_factors(*products), influence_of_factors(*products, fold)
    return {
        "pearson_r": (r, r_influence, products),
        "r2": (r2_columns(observed, predicted), r2_influence(observed, predicted), halves),
    }


def rows_of(judged: list[Judged]) -> list[dict[str, Any]]:
    """Return the rows of several metrics, place by place."""
    return [row for rows in zip(*(one.rows for one in judged), strict=True) for row in rows]
