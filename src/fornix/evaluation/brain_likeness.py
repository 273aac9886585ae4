"""How brain-like a model is: how well, where and when its layers predict the brain.

The three scores of Raugel et al. 2025 (arXiv 2508.18226), from a profile of encoding scores:
Pearson's r of held-out predictions for each layer of a model and each region or time.

- encoding score: the mean over units (and times) of r;
- spatial score: the correlation over regions between the layer that predicts a region best and
  the region's position in the cortical hierarchy;
- temporal score: the correlation over layers between a layer's index and the time at which it
  predicts best.

Layers come in the model's order; profiles may have further axes in front (bootstrap draws,
subjects, checkpoints).
"""

from __future__ import annotations

from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import p_value

MIN_PLACES = 3
"""Regions or layers that a correlation needs."""


def relative_depth(n_layers: int) -> Floats:
    """Return each layer's depth: 0 for the first, 1 for the last (0 for an only one)."""
    return np.arange(n_layers) / max(1, n_layers - 1)


def encoding_score(profile: NDArray[Any]) -> Floats:
    """Return the mean over regions and times, (..., layer, place) -> (..., layer).

    Places without a score are left out; NaN where there is none.
    """
    profile = np.asarray(profile, dtype=np.float64)
    known = ~np.isnan(profile)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, profile, 0).sum(-1) / known.sum(-1))


def best_layers(profile: NDArray[Any]) -> Floats:
    """Return the depth of the layer that predicts each place best.

    Parameters
    ----------
    profile
        (..., layer, place).

    Returns
    -------
    float64 (..., place): 0 to 1, the first of equal ones; NaN where a layer has no score.
    """
    profile = np.asarray(profile, dtype=np.float64)
    unknown = np.isnan(profile).any(-2)
    best = np.where(np.isnan(profile), -np.inf, profile).argmax(-2)
    depth = relative_depth(profile.shape[-2])[best]
    return np.where(unknown, np.nan, depth)


def best_times(profile: NDArray[Any], times: NDArray[Any]) -> Floats:
    """Return the time at which each layer predicts best.

    Parameters
    ----------
    profile
        (..., layer, time).
    times
        s, (time,).

    Returns
    -------
    float64 (..., layer): s, the first of equal ones; NaN where a layer lacks a score.
    """
    profile = np.asarray(profile, dtype=np.float64)
    unknown = np.isnan(profile).any(-1)
    best = np.where(np.isnan(profile), -np.inf, profile).argmax(-1)
    return np.where(unknown, np.nan, np.asarray(times, dtype=np.float64)[best])


def spatial_score(profile: NDArray[Any], position: NDArray[Any]) -> Floats:
    """Return the correlation over regions between the best layer and the place in the hierarchy.

    Parameters
    ----------
    profile
        (..., layer, region).
    position
        Position of each region, such as its rank or its distance from V1, (region,).

    Returns
    -------
    float64 (...): Pearson's r; 0 where one layer is the best in all regions, for then layers tell
    nothing of the hierarchy. NaN with fewer than three regions.
    """
    return correlation(best_layers(profile), position)


def temporal_score(profile: NDArray[Any], times: NDArray[Any]) -> Floats:
    """Return the correlation over layers between a layer's index and the time of its best score.

    Parameters
    ----------
    profile
        (..., layer, time).
    times
        s, (time,).

    Returns
    -------
    float64 (...): Pearson's r; 0 where all layers are at their best at one time. NaN with fewer
    than three layers.
    """
    best = best_times(profile, times)
    return correlation(best, relative_depth(best.shape[-1]))


def correlation(found: NDArray[Any], known: NDArray[Any]) -> Floats:
    """Return Pearson's r along the last axis between what was found and what is known.

    Parameters
    ----------
    found
        (..., place); NaN is left out.
    known
        (place,).

    Returns
    -------
    float64 (...): 0 where ``found`` doesn't vary, NaN where ``known`` doesn't or fewer than three
    places are left.
    """
    found = np.asarray(found, dtype=np.float64)
    usable = ~np.isnan(found)
    n = usable.sum(-1)
    known = np.broadcast_to(np.asarray(known, dtype=np.float64), found.shape)

    def off_mean(values: Floats) -> Floats:
        mean = np.where(usable, values, 0).sum(-1) / np.maximum(n, 1)
        rest = np.where(usable, values - mean[..., None], 0)
        rest[np.abs(rest) <= 1e-12 * max(1.0, float(np.nanmax(np.abs(values), initial=0)))] = 0
        return rest

    a, b = off_mean(found), off_mean(known)
    norms = np.sqrt((a**2).sum(-1)), np.sqrt((b**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.clip((a * b).sum(-1) / (norms[0] * norms[1]), -1, 1)
    r = np.where(norms[0] > 0, r, 0.0)
    return np.where((n >= MIN_PLACES) & (norms[1] > 0), r, np.nan)


def permuted_correlation(
    found: NDArray[Any], known: NDArray[Any], draws: int, rng: np.random.Generator
) -> tuple[float, Floats]:
    """Test a correlation over few places by permuting which place is which.

    Parameters
    ----------
    found, known
        (place,); places without a number are left out.
    draws
        Random permutations; where there are no more than that, all are taken and p is exact.
    rng
        Randomness.

    Returns
    -------
    p
        One-sided, of a correlation above 0; NaN where it isn't defined or there are no draws.
        With n places it can't be smaller than 1 / n!: 0.17 for three, 0.04 for four.
    null
        float64 (permutation,), without the observed order.
    """
    found, known = np.asarray(found, dtype=np.float64), np.asarray(known, dtype=np.float64)
    usable = ~np.isnan(found)
    found, known = found[usable], known[usable]
    observed = float(correlation(found, known)) if len(found) else float("nan")
    if np.isnan(observed) or not draws:
        return float("nan"), np.empty(0)
    n = len(found)
    if n <= 8 and factorial(n) <= draws + 1:  # 8! is more than anybody draws
        orders = np.array(list(permutations(range(n))))[1:]
    else:
        orders = np.argsort(rng.random((draws, n)), axis=1)
    null = correlation(found[orders], known)
    return float(p_value(null, observed)), null


def half_time(
    steps: NDArray[Any],
    scores: NDArray[Any],
    *,
    baseline: NDArray[Any] | float = 0.0,
    logarithmic: bool = False,
) -> Floats:
    """Return the training step at which a score reaches half of its final value.

    Between two checkpoints the score is taken to change linearly, in the step or in its logarithm.

    Parameters
    ----------
    steps
        Training step of each checkpoint, ascending, (checkpoint,).
    scores
        (..., checkpoint); the last is the final value.
    baseline
        What half is counted from, (...): 0 takes half of the final value, the untrained model's
        score half of what training added.
    logarithmic
        Interpolate in log(1 + step), as checkpoints are often spaced.

    Returns
    -------
    float64 (...): in steps; the first checkpoint's, if that reaches it already. NaN where the
    final value doesn't exceed the baseline, or a checkpoint has no score.

    Raises
    ------
    ValueError
        If steps don't ascend, or there are not as many as checkpoints.
    """
    steps = np.asarray(steps, dtype=np.float64)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape[-1] != len(steps) or (np.diff(steps) <= 0).any():
        msg = f"{len(steps)} steps must ascend, one for each of {scores.shape[-1]} checkpoints"
        raise ValueError(msg)
    scale = np.log1p(steps) if logarithmic else steps
    above = scores - np.asarray(baseline, dtype=np.float64)[..., None]
    half = above[..., -1:] / 2
    reached = above >= half
    at = reached.argmax(-1)
    before = np.maximum(at - 1, 0)

    def value(where: NDArray[np.intp]) -> Floats:
        return np.take_along_axis(above, where[..., None], axis=-1)[..., 0]

    low, high = value(before), value(at)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(at > 0, (half[..., 0] - low) / (high - low), 0.0)
    found = scale[before] + share * (scale[at] - scale[before])
    found = np.expm1(found) if logarithmic else found
    undefined = np.isnan(scores).any(-1) | (above[..., -1] <= 0)
    return np.where(undefined, np.nan, found)
