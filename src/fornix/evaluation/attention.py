"""Whether a model looks at what it should: attention hits."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.permutation import null_interval, p_value
from fornix.evaluation.table import score_row
from fornix.study.scores import Scores

METRIC = "attention_hit"

HOW = {
    METRIC: "share of held-out samples in which a region attends most to the token that its object "
    "is in; chance and p: the objects' places permuted among the stimuli"
}


def attention_rows(
    subject: str, fit: xr.Dataset, scores: Scores, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return rows ``attention_hit`` of every target and region whose object's place is known.

    Parameters
    ----------
    subject
        Label.
    fit
        ``predictions.zarr`` of a model that attends: ``looked_at`` and ``object_at`` (target,
        sample, attending), tokens; -1 where no place is known. Others give no rows.
    scores
        How fits are judged.
    rng
        Randomness of the permutations.
    """
    if "object_at" not in fit:
        return []
    fit = fit[["object_at", "looked_at"]].compute()
    stimuli = np.unique(fit["stimulus"].values.astype(str), return_inverse=True)[1]
    first = np.unique(stimuli, return_index=True)[1]
    orders = [rng.permutation(len(first)) for _ in range(scores.permutations)]
    rows = []
    for target in fit["target"].values.astype(str):
        for region in fit["attending"].values.astype(str):
            one = fit.sel(target=target, attending=region)
            wanted, looked = one["object_at"].values, one["looked_at"].values
            if (known := wanted >= 0).any():
                value = float((wanted == looked)[known].mean())
                places = wanted[first]
                null = np.array(
                    [_hits(looked, places[order][stimuli]) for order in orders], dtype=np.float64
                )
                low, high = null_interval(null, scores.confidence)
                row = score_row(
                    subject=subject,
                    target=target,
                    unit=region,
                    metric=METRIC,
                    value=value,
                    chance=_chance(looked[known], wanted[known]),
                    p=float(p_value(null, value)),
                    n=int(known.sum()),
                    interval=(float(low), float(high)),
                )
                rows.append(row)
    return rows


def _hits(looked: NDArray[Any], wanted: NDArray[Any]) -> float:
    known = wanted >= 0
    return float((looked == wanted)[known].mean()) if known.any() else 0.0


def _chance(looked: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Return the mean over all permutations of the places."""
    n_tokens = int(max(looked.max(), wanted.max())) + 1
    shares = [np.bincount(one, minlength=n_tokens) / len(one) for one in (looked, wanted)]
    return float((shares[0] * shares[1]).sum())
