"""What a space of features predicts that the others don't: joint minus joint without it.

Variance partitioning (de Heer et al. 2017, J Neurosci 37:6539). A space that all the others
contain has a unique contribution of 0, or a little less, for what its noise costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.blocks import Places, add_sums, counts, cuts
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.metrics import Floats, centred, correlation_factors
from fornix.evaluation.permutation import null_interval, p_value, sign_flips
from fornix.evaluation.table import score_row

JOINT = "joint"
METRICS = "unique_r2", "unique_r"


def unique_rows(one: HeldOut, places: Places) -> list[dict[str, Any]]:
    """Return rows ``unique_r2`` and ``unique_r`` for each space and region.

    Samples that are exchangeable change the signs of their contributions together for the null.

    Parameters
    ----------
    one
        A subject's fit, of all spaces together and without each of them.
    places
        Regions and times, with the units that count.
    """
    rng, scores = one.rng("unique"), one.scores
    rows = []
    for (space, metric), added in _added(one, places).items():
        for (region, time, units), column in zip(places, added.T, strict=True):
            if not len(units):
                continue
            value = float(column.sum())
            null = sign_flips(column, one.exchangeable, scores.permutations, rng)
            low, high = null_interval(null, scores.confidence)
            rows.append(
                score_row(
                    subject=one.name,
                    target=space,
                    unit=region,
                    time=time,
                    metric=metric,
                    value=value,
                    p=float(p_value(null, value)),
                    n=len(one.fold),
                    interval=(float(low), float(high)),
                )
            )
    return rows


def _added(one: HeldOut, places: Places) -> dict[tuple[str, str], Floats]:
    """Return (space, metric) -> what each sample adds by the space, (sample, place)."""
    shape = len(one.fold), len(places)
    found = {(space, metric): np.zeros(shape) for space in one.spaces for metric in METRICS}
    for cut in cuts(places, len(one.fold)):
        observed = one.observed(cut.units)
        whole = _contributions(observed, one.predicted(JOINT, cut.units), one.fold)
        for space in one.spaces:
            without = one.predicted(f"{JOINT}-{space}", cut.units)
            part = _contributions(observed, without, one.fold)
            for metric in METRICS:
                add_sums(found[space, metric], whole[metric] - part[metric], cut.pieces)
    n = np.maximum(counts(places), 1)
    return {key: sums / n for key, sums in found.items()}


def _contributions(observed: Floats, predicted: Floats, fold: NDArray[Any]) -> dict[str, Floats]:
    """Return what each sample adds to R² (up to a constant) and to r, (sample, unit)."""
    spread = (centred(observed) ** 2).sum(0)
    left, right = correlation_factors(observed, predicted, fold)
    lost = (observed - predicted) ** 2 / np.where(spread > 0, spread, 1.0)
    return {"unique_r2": -lost, "unique_r": left * right}
