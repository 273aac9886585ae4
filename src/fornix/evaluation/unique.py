"""What a space of features predicts that the others don't: joint minus joint without it.

Variance partitioning (de Heer et al. 2017, J Neurosci 37:6539). A space that all the others
contain has a unique contribution of 0, or a little less, for what its noise costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats, centred, correlation_factors
from fornix.evaluation.permutation import null_interval, p_value, sign_flips
from fornix.evaluation.regions import Places
from fornix.evaluation.table import score_row
from fornix.study.scores import Scores

JOINT = "joint"


def unique_rows(
    spaces: list[str],
    predicted: Callable[[str], Floats],
    observed: Floats,
    *,
    fold: NDArray[Any],
    stretch: NDArray[Any],
    places: Places,
    subject: str,
    scores: Scores,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Return rows ``unique_r2`` and ``unique_r`` for each space and region.

    Parameters
    ----------
    spaces
        Names of the spaces.
    predicted
        Target -> held-out predictions (sample, unit).
    observed
        (sample, unit).
    fold
        Fold of each sample.
    stretch
        Exchangeability unit of each sample: its contribution may change its sign.
    places
        Regions and times, with their units.
    subject, scores, rng
        Label, how fits are judged, and randomness of the null.
    """
    whole = _contributions(observed, predicted(JOINT), fold)
    rows = []
    for space in spaces:
        part = _contributions(observed, predicted(f"{JOINT}-{space}"), fold)
        for metric, all_units in ((name, whole[name] - part[name]) for name in whole):
            for region, time, units in places:
                if not len(units):
                    continue
                added = all_units[:, units].mean(1)
                value = float(added.sum())
                null = sign_flips(added, stretch, scores.permutations, rng)
                low, high = null_interval(null, scores.confidence)
                rows.append(
                    score_row(
                        subject=subject,
                        target=space,
                        unit=region,
                        time=time,
                        metric=metric,
                        value=value,
                        p=float(p_value(null, value)),
                        n=len(observed),
                        interval=(float(low), float(high)),
                    )
                )
    return rows


def _contributions(observed: Floats, predicted: Floats, fold: NDArray[Any]) -> dict[str, Floats]:
    """Return what each sample adds to R² (up to a constant) and to r, (sample, unit)."""
    spread = (centred(observed) ** 2).sum(0)
    left, right = correlation_factors(observed, predicted, fold)
    lost = (observed - predicted) ** 2 / np.where(spread > 0, spread, 1.0)
    return {"unique_r2": -lost, "unique_r": left * right}
