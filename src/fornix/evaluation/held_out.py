"""What a subject's encoding fit held out: predictions, responses, and what is exchangeable.

Predictions of all targets can outgrow memory, so that they are read by units.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.blocks import Block, Places, cuts, spans
from fornix.evaluation.metrics import Floats, folds_are_large
from fornix.evaluation.permutation import circular_shifts, permutations_within
from fornix.evaluation.regions import Items
from fornix.seeds import generator
from fornix.study.scores import Scores

STRETCH_S = 20.0
"""Time that goes together where the signs of differences are flipped, s; the BOLD response's."""

AT_ONCE = 256 << 20
"""Bytes of what is read whole: chunks that several regions share would be read for each of them."""

Data = TypeVar("Data", xr.Dataset, xr.DataArray)

Units = slice | NDArray[np.intp]
"""Some of a fit's units."""


def at_once(data: Data) -> Data:
    """Return data that is read already if it is small, and that is read as needed if it isn't."""
    return data.compute() if data.nbytes <= AT_ONCE else data  # load() would keep all subjects'


def read_units(variable: xr.DataArray, units: Units) -> Floats:
    """Return the values of some units, which are the last dimension, as float64."""
    if isinstance(units, np.ndarray) and len(units) and (np.diff(units) == 1).all():
        units = slice(int(units[0]), int(units[-1]) + 1)  # read much faster
    return np.asarray(variable.isel(unit=units).values, dtype=np.float64)


@dataclass
class HeldOut:
    """One subject's predictions of what was held out, beside what was observed.

    Attributes
    ----------
    name
        The subject.
    fit
        ``predictions.zarr``; what of it is large is read by units.
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

    @property
    def n_units(self) -> int:
        """Number of all units."""
        return len(self.region)

    @cached_property
    def _observed(self) -> xr.DataArray:
        return at_once(self.fit["observed"])

    def observed(self, units: Units) -> Floats:
        """Return the responses of some units, float64 (sample, unit)."""
        return read_units(self._observed, units)

    def predicted(self, target: str, units: Units) -> Floats:
        """Return the held-out predictions of a target, float64 (sample, unit)."""
        return read_units(self.fit["predicted"].sel(target=target), units)

    def blocks(self, places: Places, target: str) -> Iterator[Block]:
        """Return a target's predictions and the responses of all units of places, in blocks."""
        predicted = at_once(self.fit["predicted"].sel(target=target))
        for cut in cuts(places, len(self.fold)):
            yield Block(cut.pieces, self.observed(cut.units), read_units(predicted, cut.units))

    @cached_property
    def varies(self) -> NDArray[np.bool_]:
        """Whether the responses of each unit vary."""
        blocks = spans(self.n_units, len(self.fold))
        return np.concatenate([np.ptp(self.observed(units), axis=0) > 0 for units in blocks])

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
