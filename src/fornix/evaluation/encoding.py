"""Judge encoding models: correlations and R² of held-out predictions against the ceiling."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.ceilings import NoiseCeiling, noise_ceiling, split_half
from fornix.evaluation.metrics import (
    Floats,
    centred,
    correlation_factors,
    folds_are_large,
    held_out_correlation,
    r2_columns,
)
from fornix.evaluation.permutation import (
    null_interval,
    null_of_mean,
    p_value,
    permutations_within,
    widened,
)
from fornix.evaluation.table import Evaluated, score_row
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.scores import Evaluation, Scores

Samples = Callable[[str], tuple[NDArray[Any], NDArray[Any]]]
"""Subject -> single samples (sample, unit) and the stimulus of each."""

SPLITS = 20
"""Random splits of the split-half reliability, which is told beside the ceiling."""


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
    found = Evaluated(how=dict(_HOW))
    ceilings: list[dict[str, Any]] = []
    for subject, fit in track(list(fits.items()), "subjects"):
        one = _Subject(subject, fit.load(), section.scores, seed)
        ceiling = _ceiling(one, samples, found.notes) if section.scores.ceiling else None
        share = np.full(one.observed.shape[1], np.nan) if ceiling is None else ceiling.share
        found.rows += _rows(one, share, found.notes)
        found.maps[subject] = _maps(one, share)
        if ceiling is not None and ceiling.n_repeated:
            ceilings += _reliabilities(one, share, samples, seed)
        if not folds_are_large(one.fold):
            found.notes.append(f"sub-{subject}: {_SMALL_FOLDS}")
    found.facts["ceilings"] = ceilings
    return found


_HOW = {
    "pearson_r": "Pearson's r of held-out predictions within each fold, averaged over folds (by "
    "their degrees of freedom) and then over the region's units",
    "r2": "1 - SSE/SST of held-out predictions, SST about the mean of the held-out samples; mean "
    "over the region's units",
    "ceiling": "NSD's noise ceiling of the scored averages (its root for pearson_r), mean over "
    "the same units",
    "p": "stimuli of the predictions permuted (within folds, or within the held-out runs), all "
    "units of a region together; null widened by sqrt(2), since folds train on one another",
    "interval": "central interval of that null distribution",
}
_SMALL_FOLDS = (
    "folds are too small for a correlation of their own: r is that of all held-out predictions "
    "together, training means taken off, and biased a little below 0 where nothing is predicted"
)


@dataclass
class _Subject:
    name: str
    fit: xr.Dataset
    scores: Scores
    seed: int

    def __post_init__(self) -> None:
        self.observed = np.asarray(self.fit["observed"].values, dtype=np.float64)
        self.fold = self.fit["fold"].values
        self.stimulus = self.fit["stimulus"].values.astype(str)
        self.group = self.fit["group"].values.astype(str)
        self.region = self.fit["roi"].values.astype(str)
        in_time = "time" in self.fit.coords
        self.time = self.fit["time"].values if in_time else np.full(len(self.region), np.nan)

    def predicted(self, target: str) -> Floats:
        return np.asarray(self.fit["predicted"].sel(target=target).values, dtype=np.float64)

    def places(self) -> list[tuple[str, float, NDArray[np.intp]]]:
        """Return (region, time, its units)."""
        keys = list(zip(self.region.tolist(), self.time.tolist(), strict=True))
        codes = pd.factorize(pd.Series([f"{roi}\0{time}" for roi, time in keys]))[0]
        found = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
        return [(*keys[units[0]], units) for units in found if self.region[units[0]]]

    def items(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return what is permuted: item of each row, first row of each item, permutations.

        An item is a stimulus within a held-out group; its rows share a prediction. Items are
        exchangeable within a fold where stimuli are held out, else within their group.
        """
        keys = pd.Series(self.group) + "\0" + self.stimulus
        codes, names = pd.factorize(keys)
        first = np.unique(codes, return_index=True)[1]
        by_stimulus = bool((self.group == self.stimulus).all())
        exchangeable = self.fold[first] if by_stimulus else self.group[first]
        if not folds_are_large(self.fold):
            exchangeable = np.zeros(len(names), dtype=np.intp)
        rng = generator(self.seed, "evaluate", "encoding", self.name)
        return codes, first, permutations_within(exchangeable, self.scores.permutations, rng)


def _rows(one: _Subject, share: Floats, notes: list[str]) -> list[dict[str, Any]]:
    codes, first, permutations = one.items()
    places = _usable(one, share, notes)
    spread = (centred(one.observed) ** 2).sum(0)
    rows = []
    for target in one.fit["target"].values.astype(str):
        raw = one.predicted(target)
        scores = {
            "pearson_r": held_out_correlation(one.observed, raw, one.fold),
            "r2": r2_columns(one.observed, raw),
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            # Pairs of columns whose products give the null of each metric, up to a constant.
            factors = {
                "pearson_r": correlation_factors(one.observed, raw, one.fold),
                "r2": (2 * centred(one.observed, one.fold) / spread, centred(raw, one.fold)),
            }
        for region, time, units in places:
            for metric, values in scores.items():
                value = float(values[units].mean()) if len(units) else float("nan")
                left, right = (factor[:, units] for factor in factors[metric])
                null = np.empty(0)
                if len(units) and len(permutations):
                    summed = np.zeros((len(first), len(units)))
                    np.add.at(summed, codes, left)
                    null = widened(null_of_mean(summed, right[first], permutations))
                    if metric == "r2":
                        null += value - float((left * right).sum() / len(units))
                low, high = null_interval(null, one.scores.confidence)
                ceiling = np.sqrt(share[units]) if metric == "pearson_r" else share[units]
                rows.append(
                    score_row(
                        subject=one.name,
                        target=target,
                        unit=region,
                        time=time,
                        metric=metric,
                        value=value,
                        ceiling=float(ceiling.mean()) if len(units) else float("nan"),
                        p=float(p_value(null, value)),
                        n=len(one.observed),
                        interval=(float(low), float(high)),
                    )
                )
    return rows


def _usable(
    one: _Subject, share: Floats, notes: list[str]
) -> list[tuple[str, float, NDArray[np.intp]]]:
    """Return places with the units that count: they vary, and reach the minimum ceiling."""
    usable = np.ptp(one.observed, axis=0) > 0
    if np.isfinite(share).any():
        usable &= np.nan_to_num(share, nan=-1) >= one.scores.minimum_ceiling
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


def _ceiling(one: _Subject, samples: Samples, notes: list[str]) -> NoiseCeiling:
    responses, stimuli = _shown(one, samples)
    ceiling = noise_ceiling(responses, stimuli, one.fit["n_repeats"].values)
    if not ceiling.n_repeated:
        notes.append(f"sub-{one.name}: every stimulus was shown once, so there is no ceiling")
    return ceiling


def _shown(one: _Subject, samples: Samples) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the single samples of the stimuli that were scored."""
    responses, stimuli = samples(one.name)
    rows = np.isin(stimuli.astype(str), one.stimulus)
    return responses[rows], stimuli[rows].astype(str)


def _reliabilities(
    one: _Subject, share: Floats, samples: Samples, seed: int
) -> list[dict[str, Any]]:
    """Return, for each region, two ceilings of r that rest on different computations.

    ``nsd`` is the ceiling of the scored averages; ``split_half`` that of the mean over all
    repeats.
    """
    rng = generator(seed, "evaluate", "split half", one.name)
    reliability = np.maximum(split_half(*_shown(one, samples), SPLITS, rng), 0)
    found = []
    for region in dict.fromkeys(one.region[one.region != ""]):
        units = (one.region == region) & np.isfinite(share) & np.isfinite(reliability)
        if units.any():
            values = {"nsd": share, "split_half": reliability}
            means = {k: round(float(np.sqrt(v[units]).mean()), 4) for k, v in values.items()}
            found.append({"subject": one.name, "unit": str(region), **means})
    return found


def _maps(one: _Subject, share: Floats) -> xr.Dataset:
    """Return r of every target and unit, and each unit's ceiling of r."""
    targets = one.fit["target"].values.astype(str)
    r = np.stack(
        [held_out_correlation(one.observed, one.predicted(target), one.fold) for target in targets]
    )
    names = [str(name) for name, coord in one.fit.coords.items() if coord.dims == ("unit",)]
    return xr.Dataset(
        {
            "pearson_r": (("target", "unit"), r.astype(np.float32)),
            "ceiling": ("unit", np.sqrt(share).astype(np.float32)),
        },
        coords={"target": targets.astype(object)} | {n: one.fit.coords[n] for n in names},
        attrs={k: v for k, v in one.fit.attrs.items() if k in ("volume_shape", "affine")}
        | {"subject": one.name, "how": json.dumps(_HOW)},
    )
