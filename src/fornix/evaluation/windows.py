"""Scores of spans of time after the onset: early, late, and so on."""

from __future__ import annotations

import numpy as np

from fornix.evaluation.blocks import Places
from fornix.evaluation.corrections import Corrections, Row
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.metrics import Floats
from fornix.evaluation.regions import Ceilings, judge_predictions

METRIC = "window_r"

HOW = {
    METRIC: "Pearson's r of held-out predictions, mean over a region's units at all times of a "
    "window (scores.windows; its name stands in the column unit, its middle in time); null as for "
    "pearson_r"
}
SLACK = 1e-6
"""By which a time may lie outside of a window through rounding, s."""


def window_rows(
    one: HeldOut, share: Floats, places: Places, drawn: Floats | None, notes: list[str]
) -> list[Row]:
    """Return rows ``window_r``: one a target, region and window.

    Parameters
    ----------
    one
        A subject's fit; nothing comes of one without times.
    share
        Ceiling of R² of each unit.
    places
        Regions and times, with the units that count.
    drawn
        How often each item is drawn, (draw, item); None: intervals by the jackknife.
    notes
        Gets a sentence on windows that hold no sample.
    """
    spans = _spans(one, places)
    if not spans and np.isnan(one.time).all():
        return []
    held = {name.rpartition(":")[2] for name, _, _ in spans}
    if empty := [name for name in one.scores.windows if name not in held]:
        notes.append(f"sub-{one.name}: no sample lies in the windows {', '.join(empty)}")
    corrections = Corrections(one.scores.correction, one.scores.permutations)
    rows: list[Row] = []
    for target in one.targets:
        judged = judge_predictions(
            one.name,
            target,
            one.blocks(spans, target),
            one.fold,
            places=spans,
            items=one.items,
            ceilings=Ceilings(share),
            scores=one.scores,
            drawn=drawn,
        )
        (r,) = (metric for metric in judged if metric.metric == "pearson_r")
        made = [row | {"metric": METRIC} for row in r.rows]
        corrections.add(made, r.value, r.null)
        rows += made
    corrections.finish()
    return rows


def _spans(one: HeldOut, places: Places) -> Places:
    """Return (name of the region and window, its middle, its units); none without times."""
    found: Places = []
    regions = dict.fromkeys(region for region, time, _ in places if np.isfinite(time))
    for region in regions:
        for name, (start, stop) in one.scores.windows.items():
            inside = [
                units
                for where, time, units in places
                if where == region and start - SLACK <= time <= stop + SLACK
            ]
            if inside:
                label = name if len(regions) == 1 else f"{region}:{name}"
                found.append((label, round((start + stop) / 2, 6), np.concatenate(inside)))
    return found
