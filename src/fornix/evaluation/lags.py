"""Which delay matters: scores of fits that have one delay of the features each."""

from __future__ import annotations

import numpy as np

from fornix.evaluation.blocks import Places
from fornix.evaluation.corrections import Corrections, Row
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.metrics import Floats
from fornix.evaluation.regions import Ceilings, Judged, judge_predictions

METRIC = "lag_r"

HOW = {
    METRIC: "r of a fit with one delay of the features alone, at that delay (column time, s); null "
    "as for pearson_r, the same for all delays"
}


def lag_rows(one: HeldOut, share: Floats, places: Places, drawn: Floats | None) -> list[Row]:
    """Return rows ``lag_r``: one a layer, region and delay, with the delay as time.

    Parameters
    ----------
    one
        A subject's fit; ``align.each_delay`` made its targets of one delay.
    share
        Ceiling of R² of each unit.
    places
        Regions, with the units that count; continuous samples have no time within a trial.
    drawn
        How often each item is drawn, (draw, item); None: intervals by the jackknife.
    """
    of_layer: dict[str, list[tuple[float, Judged]]] = {}
    for target, (layer, delay) in one.lags.items():
        judged = judge_predictions(
            one.name,
            layer,
            one.blocks(places, target),
            one.fold,
            places=places,
            items=one.items,
            ceilings=Ceilings(share),
            scores=one.scores,
            drawn=drawn,
        )
        (r,) = (metric for metric in judged if metric.metric == "pearson_r")
        of_layer.setdefault(layer, []).append((delay, r))
    corrections = Corrections(one.scores.correction, one.scores.permutations)
    rows: list[Row] = []
    for profile in of_layer.values():
        profile.sort(key=lambda pair: pair[0])
        made = [
            r.rows[k] | {"metric": METRIC, "time": delay}
            for k in range(len(places))
            for delay, r in profile
        ]
        # Region by region, delays in order, as the rows are.
        value = np.stack([r.value for _, r in profile], axis=1).ravel()
        null = np.stack([r.null for _, r in profile], axis=2)
        corrections.add(made, value, null.reshape(len(null), -1))
        rows += made
    corrections.finish()
    return rows
