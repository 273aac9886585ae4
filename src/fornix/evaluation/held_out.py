"""What a subject's encoding fit held out: predictions, responses, and what is exchangeable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats, folds_are_large
from fornix.evaluation.permutation import circular_shifts, permutations_within
from fornix.evaluation.regions import Items, Places
from fornix.seeds import generator
from fornix.study.scores import Scores

STRETCH_S = 20.0
"""Time that goes together where the signs of differences are flipped, s; the BOLD response's."""


@dataclass
class HeldOut:
    """One subject's predictions of what was held out, beside what was observed.

    Attributes
    ----------
    name
        The subject.
    fit
        ``predictions.zarr``, loaded.
    scores
        How fits are judged.
    seed
        The study's seed.
    """

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

    @property
    def targets(self) -> list[str]:
        """Names of what was fitted, but for single delays of it."""
        names = [str(name) for name in self.fit["target"].values]
        return [name for name in names if name not in self.lags]

    @cached_property
    def lags(self) -> dict[str, tuple[str, float]]:
        """Targets of one delay alone: name -> layer, and the delay in s."""
        found = json.loads(self.fit.attrs.get("lags", "{}"))
        return {str(name): (str(layer), float(delay)) for name, (layer, delay) in found.items()}

    def predicted(self, target: str) -> Floats:
        """Return the held-out predictions of a target, float64 (sample, unit)."""
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
        """Return randomness for a purpose of this subject."""
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
            orders = circular_shifts(self.stretch, n, self.rng())
            return Items(every, every, orders, self.drawn_together[0])
        keys = pd.Series(self.group) + "\0" + self.stimulus
        codes, names = pd.factorize(keys)
        first = np.unique(codes, return_index=True)[1]
        by_stimulus = bool((self.group == self.stimulus).all())
        exchangeable = self.fold[first] if by_stimulus else self.group[first]
        if not folds_are_large(self.fold):
            exchangeable = np.zeros(len(names), dtype=np.intp)
        orders = permutations_within(exchangeable, n, self.rng())
        return Items(codes, first, orders, self.drawn_together[0])

    @cached_property
    def drawn_together(self) -> tuple[NDArray[np.intp], list[str]]:
        """What is drawn as one for intervals: the number of each sample's, and their names.

        A stimulus within its held-out group; a stretch of time where samples follow one another.
        """
        if self.continuous:
            keys = pd.Series(self.exchangeable.astype(str))
        else:
            keys = pd.Series(self.group) + "\0" + self.stimulus
        codes, names = pd.factorize(keys)
        return codes, [str(name) for name in names]

    @cached_property
    def exchangeable(self) -> NDArray[Any]:
        """Unit within which differences of predictions go together: a group, or some time."""
        if not self.continuous:
            return self.group
        onset = self.fit["onset"].values
        return np.asarray(pd.factorize(self.stretch * 1_000_000 + onset // STRETCH_S)[0])
