"""Judge encoding models: correlations and R² of held-out predictions against the ceiling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fornix.evaluation import (
    corrections,
    factors,
    lags,
    likeness,
    target_pairs,
    trajectories,
    windows,
)
from fornix.evaluation.attention import HOW as HOW_ATTENTION
from fornix.evaluation.attention import METRIC as ATTENTION_HIT
from fornix.evaluation.attention import attention_rows
from fornix.evaluation.blocks import Places, spans
from fornix.evaluation.ceiling_choice import HOW as HOW_CEILING
from fornix.evaluation.ceiling_choice import Samples, best_model, ceiling_of, kind_of
from fornix.evaluation.corrections import Corrections
from fornix.evaluation.held_out import HeldOut, at_once
from fornix.evaluation.metrics import Floats, folds_are_large, held_out_correlation
from fornix.evaluation.partition import partition_rows
from fornix.evaluation.regions import Ceilings, Judged, judge_predictions, rows_of
from fornix.evaluation.resampling import Resampling
from fornix.evaluation.shared import shared_samples
from fornix.evaluation.table import GROUP, VOLUME, Evaluated
from fornix.evaluation.together import together_rows
from fornix.evaluation.unique import unique_rows
from fornix.progress import track
from fornix.study.scores import Evaluation, Scores


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: Samples, *, seed: int
) -> Evaluated:
    """Score every target in every region (and at every time) of every subject.

    Parameters
    ----------
    section
        The fit and how it is judged.
    fits
        Subject -> ``predictions.zarr``.
    samples
        Gives the single samples behind a subject's averages; called where ceilings are wanted.
    seed
        The study's seed.
    """
    scores = section.scores
    continuous = all(fit.attrs.get("samples") == "volumes" for fit in fits.values())
    kind = kind_of(scores, continuous=continuous)
    found = Evaluated(how=_how(scores, kind, continuous=continuous))
    wanted = continuous or kind == "subjects"
    shared = shared_samples(fits, found.notes) if wanted else None
    resampling = Resampling(scores, list(fits), seed)
    reliabilities: list[dict[str, Any]] = []
    profiles: list[list[likeness.Profile]] = []
    for subject, fit in track(list(fits.items()), "subjects"):
        one = HeldOut(subject, at_once(fit), scores, seed)
        share, known = ceiling_of(one, kind, samples, shared, found.notes)
        reliabilities += known
        places = _usable(one, share, found.notes)
        profiles.append([])
        found.rows += _rows(one, share, places, kind, resampling=resampling, profiles=profiles[-1])
        drawn = resampling.drawn(one.drawn_together[1])
        found.rows += lags.lag_rows(one, share, places, drawn)
        if scores.windows:
            found.rows += windows.window_rows(one, share, places, drawn, found.notes)
        found.rows += attention_rows(subject, one.fit, scores, one.rng("attention"))
        if scores.compare:
            found.rows += target_pairs.comparison_rows(one, places, found.notes)
        if scores.brain_likeness:
            mine = profiles[-1]
            found.rows += likeness.likeness_rows(subject, mine, scores, found.notes, seed=seed)
        found.maps[subject] = _maps(one, share, found.how)
        if not folds_are_large(one.fold):
            found.notes.append(f"sub-{subject}: {_SMALL_FOLDS}")
    if shared and continuous:
        found.rows += together_rows(shared, scores, found.notes, seed=seed)
    likeness.note_unknown_regions(profiles, scores, found.notes)
    if scores.brain_likeness and len(profiles) > 1:
        means = likeness.mean_profiles(profiles, resampling.draws)
        found.rows += likeness.likeness_rows(GROUP, means, scores, found.notes, seed=seed)
    if scores.trajectories:
        found.rows += trajectories.trajectory_rows(found.rows, scores, seed=seed)
        found.how |= trajectories.HOW
    if scores.factors:
        found.rows += factors.factor_rows(found.rows, scores, seed=seed)
        found.how |= factors.HOW
    for metric in dict.fromkeys(row["metric"] for row in found.rows):
        found.how |= _HOW_OF.get(metric, {})
    found.draws = resampling.draws
    found.facts["ceilings"] = reliabilities
    return found


_HOW = {
    "pearson_r": "Pearson's r of held-out predictions within each fold, averaged over folds (by "
    "their degrees of freedom) and then over the region's units",
    "r2": "1 - SSE/SST of held-out predictions, SST about the mean of the held-out samples, not "
    "clipped at 0; mean over the region's units",
    "p": "stimuli of the predictions permuted (within folds, or within the held-out runs), all "
    "units of a region together; null widened by sqrt(2), since folds train on one another",
    "interval": "central interval of that null distribution",
    "normalised": "value over ceiling, of the region's means (r over the root of the share of "
    "variance that can be explained, R² over the share)",
}
_HOW_TOGETHER = {
    "isc": "Pearson's r of a subject's time course with the mean of all others', over the whole "
    "recording, mean over the region's units; null: one of the two turned in a circle",
    "group": "r and R² of the predictions' mean over subjects with the responses' mean",
    "p": "predictions turned in a circle within each held-out part, all units of a region "
    "together; null widened by sqrt(2), since folds train on one another",
}
_HOW_UNIQUE = {
    "unique_r": "r of all spaces together minus r without this one",
    "unique_r2": "R² of all spaces together minus R² without this one; null of both: signs of "
    "stretches of time (or of held-out groups) flipped",
}
_HOW_PARTITION = {
    "product_r2": "a space's share of the joint model's R², by the product measure: what two "
    "spaces have in common counts by the correlation of their predictions; shares sum to the whole",
    "split_r2": "R² of a space's part of the joint model's predictions, alone",
    "split_r": "a space's share of the joint model's r; shares sum to the whole",
}
_HOW_OF = {
    "unique_r2": _HOW_UNIQUE,
    "product_r2": _HOW_PARTITION,
    lags.METRIC: lags.HOW,
    windows.METRIC: windows.HOW,
    ATTENTION_HIT: HOW_ATTENTION,
}
"""Metric that not every fit has -> how it and those beside it are computed."""

_SMALL_FOLDS = (
    "folds are too small for a correlation of their own: r is that of all held-out predictions "
    "together, training means taken off, and biased a little below 0 where nothing is predicted"
)


def _how(scores: Scores, kind: str, *, continuous: bool) -> dict[str, str]:
    """Return how values, ceilings, p-values and intervals are computed, in words."""
    how = dict(_HOW) | (_HOW_TOGETHER if continuous else {})
    how["ceiling"] = HOW_CEILING.get(kind, "none was asked for")
    items = "20 s stretches" if continuous else "stimuli"
    how["lower"] = (
        f"percentiles of {scores.bootstrap} bootstrap samples of {items} (linearised)"
        if scores.bootstrap
        else f"the infinitesimal jackknife over {items}"
    ) + "; predictions are taken as given"
    if scores.correction != "none":
        how["p_corrected"] = corrections.HOW[scores.correction]
    if scores.compare:
        how |= target_pairs.HOW
    if scores.brain_likeness:
        how |= likeness.HOW
    return how


def _rows(
    one: HeldOut,
    share: Floats,
    places: Places,
    kind: str,
    *,
    resampling: Resampling,
    profiles: list[likeness.Profile],
) -> list[dict[str, Any]]:
    """Return the rows of all targets; ``profiles`` gets the models', where they are wanted."""
    together = Corrections(one.scores.correction, one.scores.permutations)
    drawn = resampling.drawn(one.drawn_together[1])
    judged: list[list[Judged]] = []
    for target in one.targets:
        of_target = judge_predictions(
            one.name,
            target,
            one.blocks(places, target),
            one.fold,
            places=places,
            items=one.items,
            ceilings=Ceilings(share),
            scores=one.scores,
            drawn=drawn,
        )
        for metric in of_target:
            together.add(metric.rows, metric.value, metric.null)
            resampling.add(one.name, metric)
        judged.append(of_target if one.scores.brain_likeness else _light(of_target))
    together.finish()
    every = [metric for of_target in judged for metric in of_target]
    if kind == "models":
        best_model(every)
    if one.scores.brain_likeness:
        profiles += likeness.profiles_of(every, one.scores)
    rows = [row for of_target in judged for row in rows_of(of_target)]
    if one.spaces:
        rows += unique_rows(one, places)
    if "part" in one.fit:
        rows += partition_rows(one, places)
    return rows


def _light(judged: list[Judged]) -> list[Judged]:
    """Return scores without their nulls, which would fill memory over many targets."""
    return [one.without_draws() for one in judged]


def _usable(one: HeldOut, share: Floats, notes: list[str]) -> Places:
    """Return places with the units that count: they vary, and reach the minimum ceiling."""
    usable = one.varies
    if np.isfinite(share).any():
        usable = usable & (np.nan_to_num(share, nan=-1) >= one.scores.minimum_ceiling)
    places = [(roi, time, units[usable[units]]) for roi, time, units in one.places()]
    empty = sorted({roi for roi, _, units in places if not len(units)})
    if empty:
        notes.append(f"sub-{one.name}: no unit of {', '.join(empty)} can be scored")
    elif left_out := int((~usable & (one.region != "")).sum()):
        notes.append(
            f"sub-{one.name}: {left_out} of {len(usable)} units are left out of region means: "
            f"constant, or with a ceiling below {one.scores.minimum_ceiling}"
        )
    return places


def _maps(one: HeldOut, share: Floats, how: Mapping[str, str]) -> xr.Dataset:
    """Return r of every target and unit, and each unit's ceiling of r."""
    targets = np.array(one.targets)
    r = np.empty((len(targets), one.n_units), np.float32)
    for units in spans(one.n_units, len(one.fold)):
        observed = one.observed(units)
        for k, target in enumerate(one.targets):
            r[k, units] = held_out_correlation(observed, one.predicted(target, units), one.fold)
    names = [str(name) for name, coord in one.fit.coords.items() if coord.dims == ("unit",)]
    return xr.Dataset(
        {
            "pearson_r": (("target", "unit"), r),
            "ceiling": ("unit", np.sqrt(share).astype(np.float32)),
        },
        coords={"target": targets.astype(object)} | {n: one.fit.coords[n] for n in names},
        attrs={k: one.fit.attrs[k] for k in VOLUME if k in one.fit.attrs}
        | {"subject": one.name, "how": json.dumps(dict(how))},
    )
