"""Judge encoding models: correlations and R² of held-out predictions against the ceiling."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.attention import HOW as HOW_ATTENTION
from fornix.evaluation.attention import METRIC as ATTENTION_HIT
from fornix.evaluation.attention import attention_rows
from fornix.evaluation.ceilings import NoiseCeiling, noise_ceiling, split_half
from fornix.evaluation.metrics import Floats, folds_are_large, held_out_correlation
from fornix.evaluation.permutation import circular_shifts, permutations_within
from fornix.evaluation.regions import Ceilings, Items, Places, prediction_rows
from fornix.evaluation.shared import Shared, intersubject_rows, shared_samples
from fornix.evaluation.table import GROUP, Evaluated
from fornix.evaluation.unique import unique_rows
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.scores import Evaluation, Scores

Samples = Callable[[str], tuple[NDArray[Any], NDArray[Any]]]
"""Subject -> single samples (sample, unit) and the stimulus of each."""

STRETCH_S = 20.0
"""Time that goes together where the signs of differences are flipped, s; the BOLD response's."""

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
    continuous = all(fit.attrs.get("samples") == "volumes" for fit in fits.values())
    shared = shared_samples(fits, found.notes) if continuous else None
    known = shared.ceilings() if shared else {}
    group = _Group(shared) if shared else None
    for subject, fit in track(list(fits.items()), "subjects"):
        one = _Subject(subject, fit.load(), section.scores, seed)
        ceiling = None
        share = np.full(one.observed.shape[1], np.nan)
        if section.scores.ceiling and subject in known:
            share = np.maximum(known[subject], 0) ** 2
        elif section.scores.ceiling and not continuous:
            ceiling = _ceiling(one, samples, found.notes)
            share = ceiling.share
        found.rows += _rows(one, share, found.notes)
        found.rows += attention_rows(subject, one.fit, section.scores, one.rng("attention"))
        found.maps[subject] = _maps(one, share)
        if group:
            group.add(one)
        if ceiling is not None and ceiling.n_repeated:
            ceilings += _reliabilities(one, share, samples, seed)
        if not folds_are_large(one.fold):
            found.notes.append(f"sub-{subject}: {_SMALL_FOLDS}")
    if group:
        found.rows += group.score(found.notes)
        found.how |= _HOW_TOGETHER
    if any(row["metric"] == "unique_r2" for row in found.rows):
        found.how |= _HOW_UNIQUE
    if any(row["metric"] == ATTENTION_HIT for row in found.rows):
        found.how |= HOW_ATTENTION
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
_HOW_TOGETHER = {
    "isc": "Pearson's r of a subject's time course with the mean of all others', over the whole "
    "recording, mean over the region's units; null: one of the two turned in a circle",
    "group": "r and R² of the predictions' mean over subjects with the responses' mean",
    "ceiling": "r of a subject with the mean of the others (isc; its square for r2): what is the "
    "same in all subjects can be predicted from what they met",
    "p": "predictions turned in a circle within each held-out part, all units of a region "
    "together; null widened by sqrt(2), since folds train on one another",
}
_HOW_UNIQUE = {
    "unique_r": "r of all spaces together minus r without this one",
    "unique_r2": "R² of all spaces together minus R² without this one; null of both: signs of "
    "stretches of time (or of held-out groups) flipped",
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

    def places(self) -> Places:
        """Return (region, time, its units)."""
        keys = list(zip(self.region.tolist(), self.time.tolist(), strict=True))
        codes = pd.factorize(pd.Series([f"{roi}\0{time}" for roi, time in keys]))[0]
        found = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
        return [(*keys[units[0]], units) for units in found if self.region[units[0]]]

    @cached_property
    def spaces(self) -> list[str]:
        """Names of the spaces whose own contribution is asked for."""
        return [str(name) for name in json.loads(self.fit.attrs.get("spaces", "[]"))]

    @property
    def continuous(self) -> bool:
        """Whether samples follow one another in time."""
        return bool(self.fit.attrs.get("samples") == "volumes")

    @cached_property
    def stretch(self) -> NDArray[Any]:
        """Held-out part of each sample: contiguous, and within one recording."""
        recording = self.fit["recording"].values.astype(str)
        keys = pd.Series(recording) + "\0" + pd.Series(self.group)
        return np.asarray(pd.factorize(keys)[0])

    def rng(self, *purpose: str) -> np.random.Generator:
        return generator(self.seed, "evaluate", "encoding", self.name, *purpose)

    @cached_property
    def items(self) -> Items:
        """What is permuted.

        Samples that follow one another are turned in a circle within each held-out part. Else an
        item is a stimulus within a held-out group; its rows share a prediction. Items are
        exchangeable within a fold where stimuli are held out, else within their group.
        """
        n = self.scores.permutations
        if self.continuous:
            every = np.arange(len(self.fold))
            return Items(every, every, circular_shifts(self.stretch, n, self.rng()))
        keys = pd.Series(self.group) + "\0" + self.stimulus
        codes, names = pd.factorize(keys)
        first = np.unique(codes, return_index=True)[1]
        by_stimulus = bool((self.group == self.stimulus).all())
        exchangeable = self.fold[first] if by_stimulus else self.group[first]
        if not folds_are_large(self.fold):
            exchangeable = np.zeros(len(names), dtype=np.intp)
        return Items(codes, first, permutations_within(exchangeable, n, self.rng()))

    @cached_property
    def exchangeable(self) -> NDArray[Any]:
        """Unit within which differences of predictions go together: a group, or some time."""
        if not self.continuous:
            return self.group
        onset = self.fit["onset"].values
        return np.asarray(pd.factorize(self.stretch * 1_000_000 + onset // STRETCH_S)[0])


class _Group:
    """The mean over subjects of responses and predictions, where all met the same thing."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.sums: dict[str, Floats] = {}
        self.folds: list[list[Any]] = []
        self.last: _Subject | None = None

    def add(self, one: _Subject) -> None:
        rows = self.shared.rows[one.name]
        for target in one.fit["target"].values.astype(str):
            mine = one.predicted(target)[rows]
            self.sums[target] = self.sums.get(target, 0.0) + mine
        self.folds.append(one.fold[rows].tolist())
        self.last = one

    def score(self, notes: list[str]) -> list[dict[str, Any]]:
        """Return the rows of the group, and of each subject against the others."""
        one = self.last
        if one is None:
            return []
        rows, n = self.shared.rows[one.name], len(self.shared.rows)
        places = [place for place in one.places() if len(place[2])]
        recording = pd.factorize(one.fit["recording"].values.astype(str)[rows])[0]
        found = intersubject_rows(self.shared, recording, places, one.scores, one.seed)
        if any(fold != self.folds[0] for fold in self.folds):
            notes.append("subjects have different folds, so that their predictions aren't averaged")
            return found
        every, stretch = np.arange(len(rows)), one.stretch[rows]
        rng = generator(one.seed, "evaluate", "encoding", GROUP)
        items = Items(every, every, circular_shifts(stretch, one.scores.permutations, rng))
        observed = self.shared.observed.mean(0)
        for target, summed in self.sums.items():
            found += prediction_rows(
                GROUP,
                target,
                observed,
                summed / n,
                one.fold[rows],
                places=places,
                items=items,
                ceilings=Ceilings(np.full(observed.shape[1], np.nan)),
                scores=one.scores,
            )
        return found


def _rows(one: _Subject, share: Floats, notes: list[str]) -> list[dict[str, Any]]:
    places = _usable(one, share, notes)
    rows = []
    for target in one.fit["target"].values.astype(str):
        rows += prediction_rows(
            one.name,
            target,
            one.observed,
            one.predicted(target),
            one.fold,
            places=places,
            items=one.items,
            ceilings=Ceilings(share),
            scores=one.scores,
        )
    if one.spaces:
        rows += unique_rows(
            one.spaces,
            one.predicted,
            one.observed,
            fold=one.fold,
            stretch=one.exchangeable,
            places=places,
            subject=one.name,
            scores=one.scores,
            rng=one.rng("unique"),
        )
    return rows


def _usable(one: _Subject, share: Floats, notes: list[str]) -> Places:
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
