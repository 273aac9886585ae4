"""How the joint model's R² and r divide among its spaces, whose predictions it sums.

The product measure (Pratt 1987; Dupre la Tour et al. 2022, NeuroImage 264:119728) counts what two
spaces have in common half to each, by the correlation of their predictions; the shares sum to the
whole. A space's share can be below 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.blocks import Places, add_sums, cuts
from fornix.evaluation.held_out import HeldOut, read_units
from fornix.evaluation.metrics import Floats, centred, correlation_factors, folds_are_large
from fornix.evaluation.table import score_row
from fornix.evaluation.unique import JOINT

METRICS = "product_r2", "split_r2", "split_r"


def partition_rows(one: HeldOut, places: Places) -> list[dict[str, Any]]:
    """Return rows ``product_r2``, ``split_r2`` and ``split_r`` for each space and region.

    Parameters
    ----------
    one
        A subject's fit, with what each space adds to the predictions (``part``).
    places
        Regions and times, with the units that count.
    """
    spaces = [str(name) for name in one.fit["space"].values]
    sums = {metric: np.zeros((len(spaces), len(places))) for metric in METRICS}
    for cut in cuts(places, len(one.fold) * len(spaces)):
        observed, predicted = one.observed(cut.units), one.predicted(JOINT, cut.units)
        parts = read_units(one.fit["part"], cut.units)
        shared, own = r2_split(observed, predicted, parts)
        shares = shared, own, r_split(observed, predicted, parts, one.fold)
        for metric, values in zip(METRICS, shares, strict=True):
            add_sums(sums[metric], values, cut.pieces)
    return [
        score_row(
            subject=one.name,
            target=space,
            unit=region,
            time=time,
            metric=metric,
            value=float(sums[metric][index, place] / len(units)),
            n=len(one.fold),
        )
        for index, space in enumerate(spaces)
        for metric in METRICS
        for place, (region, time, units) in enumerate(places)
        if len(units)
    ]


def r2_split(observed: Floats, predicted: Floats, parts: Floats) -> tuple[Floats, Floats]:
    """Return each space's share of R², and R² of its part of the predictions alone.

    The shares sum to R² of the predictions minus R² of the training mean, which is what the model
    predicts without any space (0, or a little less).

    Parameters
    ----------
    observed, predicted
        (sample, unit).
    parts
        (space, sample, unit).

    Returns
    -------
    Two float64 (space, unit); NaN where the responses don't vary.
    """
    whole = parts.sum(0)
    rest = observed - (predicted - whole)
    spread = (centred(observed) ** 2).sum(0)
    spread = np.where(spread > 0, spread, np.nan)
    common = np.stack([2 * (rest * part).sum(0) for part in parts])
    product = np.stack([(whole * part).sum(0) for part in parts])
    alone = np.stack([(part * part).sum(0) for part in parts])
    return (common - product) / spread, (common - alone) / spread


def r_split(observed: Floats, predicted: Floats, parts: Floats, fold: NDArray[Any]) -> Floats:
    """Return each space's share of the held-out correlation; they sum to it.

    Parameters
    ----------
    observed, predicted
        (sample, unit).
    parts
        (space, sample, unit).
    fold
        (sample,).

    Returns
    -------
    float64 (space, unit).
    """
    left, right = correlation_factors(observed, predicted, fold)
    groups = fold if folds_are_large(fold) else np.zeros(len(fold), dtype=np.intp)
    whole = centred(parts.sum(0), groups)
    found = np.zeros((len(parts), observed.shape[1]))
    for one in np.unique(groups):
        rows = groups == one
        # Within a fold the second factor is the predictions about their mean, scaled.
        size = (whole[rows] ** 2).sum(0)
        scale = (right[rows] * whole[rows]).sum(0) / np.where(size > 0, size, 1.0)
        for index, part in enumerate(parts):
            found[index] += scale * (left[rows] * centred(part[rows])).sum(0)
    return found
