"""Which ceiling a fit's scores are held against: ``scores.ceiling``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.blocks import spans
from fornix.evaluation.ceilings import (
    explainable_variance,
    noise_ceiling,
    split_half,
)
from fornix.evaluation.corrections import Row
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.metrics import Floats
from fornix.evaluation.regions import Judged
from fornix.evaluation.shared import Shared
from fornix.evaluation.table import normalised
from fornix.seeds import generator
from fornix.study.scores import Scores

Samples = Callable[[str], tuple[Any, NDArray[Any]]]
"""Subject -> single samples (sample, unit) and the stimulus of each; what is an array once it is
sliced will do."""

SPLITS = 20
"""Random splits of the split-half reliability."""

HOW = {
    "repeats": "NSD's noise ceiling of the scored averages (its root for pearson_r), mean over the "
    "same units",
    "split_half": "correlation of random halves of the repeats, Spearman-Brown corrected to all of "
    "them (its root for pearson_r), mean over the same units",
    "explainable_variance": "share of the signal's power (Sahani & Linden) in the scored averages "
    "(its root for pearson_r), mean over the same units",
    "subjects": "r of a subject with the mean of the others (its square for r2), a lower bound: "
    "what is the same in all subjects can be predicted from what they met",
    "models": "the best target of the fit in the same place, a lower bound of what can be "
    "predicted; picked by the same scores, so a little high where targets are many and alike",
}


def kind_of(scores: Scores, *, continuous: bool) -> str:
    """Return the kind of ceiling that the settings come to; empty for none."""
    if isinstance(scores.ceiling, str):
        return scores.ceiling
    if not scores.ceiling:
        return ""
    return "subjects" if continuous else "repeats"


def ceiling_of(
    one: HeldOut, kind: str, samples: Samples, shared: Shared | None, notes: list[str]
) -> tuple[Floats, list[dict[str, Any]]]:
    """Return the ceiling of R² of each unit, and what else is told of it.

    Parameters
    ----------
    one
        A subject's fit.
    kind
        From :func:`kind_of`.
    samples
        Gives the single samples behind the subject's averages.
    shared
        What all subjects met, if they did.
    notes
        Gets a sentence where there is no ceiling, and why.

    Returns
    -------
    share
        float64 (unit,); NaN where it isn't known.
    reliabilities
        For each region, two ceilings of r that rest on different computations.
    """
    nothing = np.full(one.n_units, np.nan)
    if kind in ("", "models"):
        return nothing, []
    if kind == "subjects":
        if shared is None:
            notes.append(f"sub-{one.name}: no other subject met the same, so there is no ceiling")
            return nothing, []
        return np.maximum(shared.ceilings[one.name], 0) ** 2, []
    if one.continuous:
        notes.append(
            f"sub-{one.name}: samples that follow one another have no repeats, so there is no "
            "ceiling; scores.ceiling: subjects has one where subjects met the same"
        )
        return nothing, []
    responses, stimuli = samples(one.name)
    # Of the stimuli that were scored.
    rows = np.flatnonzero(np.isin(stimuli.astype(str), one.stimulus))
    shown, averaged = stimuli[rows].astype(str), one.fit["n_repeats"].values
    if len(np.unique(shown)) == len(shown):
        notes.append(f"sub-{one.name}: every stimulus was shown once, so there is no ceiling")
        return nothing, []
    every = [
        _of_block(one, kind, np.asarray(responses[:, units])[rows], shown, averaged)
        for units in spans(one.n_units, len(stimuli))
    ]
    share, nsd, halves = (np.concatenate(blocks) for blocks in zip(*every, strict=True))
    if np.isnan(share).all():
        notes.append(f"sub-{one.name}: too few stimuli were repeated, so there is no ceiling")
    return share, _reliabilities(one, nsd, halves)


def _of_block(
    one: HeldOut, kind: str, responses: NDArray[Any], shown: NDArray[Any], averaged: NDArray[Any]
) -> tuple[Floats, Floats, Floats]:
    """Return the ceiling of R² of some units, NSD's, and the reliability of halves, (unit,)."""
    nsd = noise_ceiling(responses, shown, averaged)
    # The same halves for every block.
    rng = generator(one.seed, "evaluate", "split half", one.name)
    halves = np.maximum(split_half(responses, shown, SPLITS, rng), 0)
    if kind == "split_half":
        return _stepped_down(halves, shown, averaged), nsd, halves
    if kind == "explainable_variance":
        return explainable_variance(responses, shown, averaged), nsd, halves
    return nsd, nsd, halves


def _stepped_down(reliability: Floats, stimuli: NDArray[Any], averaged: NDArray[Any]) -> Floats:
    """Return the reliability of the scored averages from that of the mean over all repeats.

    Spearman and Brown again, since averages within held-out groups have fewer repeats.
    """
    counts = np.unique(stimuli, return_counts=True)[1]
    ratio = (1 / counts[counts > 1]).mean() / (1 / averaged).mean()
    return np.asarray(ratio * reliability / (1 + (ratio - 1) * reliability))


def best_model(judged: Sequence[Judged]) -> None:
    """Write the best target's score as the ceiling of all targets, place by place."""
    best: dict[tuple[str, str, str], float] = {}
    rows = [row for one in judged for row in one.rows]
    for row in rows:
        if not np.isnan(row["value"]):
            best[_key(row)] = max(best.get(_key(row), -np.inf), row["value"])
    for row in rows:
        row["ceiling"] = best.get(_key(row), float("nan"))
        row["normalised"] = normalised(row["value"], row["ceiling"])


def _key(row: Row) -> tuple[str, str, str]:
    return str(row["metric"]), str(row["unit"]), f"{row['time']:.6f}"


def _reliabilities(one: HeldOut, share: Floats, reliability: Floats) -> list[dict[str, Any]]:
    """Return, for each region, two ceilings of r that rest on different computations.

    ``nsd`` is the ceiling of the scored averages; ``split_half`` that of the mean over all
    repeats.
    """
    found = []
    for region in dict.fromkeys(one.region[one.region != ""]):
        units = (one.region == region) & np.isfinite(share) & np.isfinite(reliability)
        if units.any():
            values = {"nsd": share, "split_half": reliability}
            means = {k: round(float(np.sqrt(v[units]).mean()), 4) for k, v in values.items()}
            found.append({"subject": one.name, "unit": str(region), **means})
    return found
