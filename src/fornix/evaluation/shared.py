"""What subjects have in common who met the same thing: their time courses, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation import held_out
from fornix.evaluation.blocks import Block, Places, cuts, spans
from fornix.evaluation.ceilings import intersubject, others_mean
from fornix.evaluation.held_out import Units, read_units
from fornix.evaluation.metrics import Floats, centred, unit_columns
from fornix.evaluation.permutation import circular_shifts, null_interval, null_of_sum, p_value
from fornix.evaluation.table import score_row
from fornix.seeds import generator
from fornix.study.scores import Scores

MIN_SHARED = 10
"""Samples that all subjects must have in common."""

OTHERS = "others"
"""Target of the rows that say how well the other subjects predict one."""


@dataclass(frozen=True)
class Shared:
    """Samples that all subjects have, who have the same units.

    Attributes
    ----------
    rows
        Subject -> its rows of the shared samples, in the same order for all.
    fits
        Subject -> ``predictions.zarr``, read by units.
    """

    rows: dict[str, NDArray[np.intp]]
    fits: Mapping[str, xr.Dataset]

    @property
    def n_samples(self) -> int:
        """Number of shared samples."""
        return len(next(iter(self.rows.values())))

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(next(iter(self.fits.values())).sizes["unit"])

    def observed(self, units: Units) -> Floats:
        """Return the responses of some units, float64 (subject, sample, unit)."""
        each = self.rows.items()
        return np.stack([read_units(self.fits[name]["observed"], units)[at] for name, at in each])

    def predicted(self, target: str, units: Units) -> Floats:
        """Return the mean of the subjects' predictions, float64 (sample, unit)."""
        total: Any = 0.0
        for name, rows in self.rows.items():
            total = total + read_units(self.fits[name]["predicted"].sel(target=target), units)[rows]
        return np.asarray(total / len(self.rows))

    def blocks(self, places: Places, target: str) -> Iterator[Block]:
        """Return the means over subjects of predictions and responses, in blocks of units."""
        observed, predicted = self._mean_observed, self._kept(partial(self.predicted, target))
        for cut in cuts(places, self.n_values):
            yield Block(cut.pieces, observed(cut.units), predicted(cut.units))

    @cached_property
    def _mean_observed(self) -> Callable[[Units], Floats]:
        return self._kept(lambda units: self.observed(units).mean(0))

    def _kept(self, mean: Callable[[Units], Floats]) -> Callable[[Units], Floats]:
        """Return what gives a mean over subjects of some units: made once if it is small."""
        if 8 * self.n_samples * self.n_units > held_out.AT_ONCE:
            return mean
        blocks = spans(self.n_units, self.n_values)
        whole = np.concatenate([mean(units) for units in blocks], axis=1)
        return lambda units: whole[:, units]

    @property
    def n_values(self) -> int:
        """Values of a unit that are held at once."""
        return len(self.rows) * self.n_samples

    @cached_property
    def ceilings(self) -> dict[str, Floats]:
        """Subject -> how well the others predict it, r (unit,)."""
        blocks = spans(self.n_units, self.n_values)
        r = np.concatenate([intersubject(self.observed(units)) for units in blocks], axis=1)
        return dict(zip(self.rows, r, strict=True))


def shared_samples(fits: Mapping[str, xr.Dataset], notes: list[str]) -> Shared | None:
    """Return what subjects share, or None, with a note, if it isn't enough.

    Volumes of two subjects are the same if session, run and onset are; trials and their averages
    if stimulus and held-out group are; units if their names are.
    """
    names = list(fits)
    if len(names) < 2:
        return None
    units = [list(map(str, one["unit"].values)) for one in fits.values()]
    if any(one != units[0] for one in units[1:]):
        notes.append("subjects have different units, so that they can't be compared unit by unit")
        return None
    keys = {
        name: _keys(one) if one.attrs.get("samples") == "volumes" else _stimuli(one)
        for name, one in fits.items()
    }
    common = set(keys[names[0]]).intersection(*keys.values())
    if len(common) < MIN_SHARED:
        notes.append("subjects share no time course or stimuli, so that they can't be compared")
        return None
    order = [key for key in keys[names[0]] if key in common]
    places = {name: {key: at for at, key in enumerate(mine)} for name, mine in keys.items()}
    rows = {name: np.array([place[key] for key in order]) for name, place in places.items()}
    return Shared(rows, fits)


def intersubject_rows(
    shared: Shared, stretch: NDArray[Any], places: Places, scores: Scores, seed: int
) -> list[dict[str, Any]]:
    """Return rows ``isc``: the correlation of each subject with the mean of the others.

    Parameters
    ----------
    shared
        The subjects' time courses.
    stretch
        Recording of each shared sample, which is turned in a circle for the null.
    places
        Regions, with the units that count.
    scores
        How fits are judged.
    seed
        The study's seed.
    """
    turned = {
        subject: circular_shifts(
            stretch, scores.permutations, generator(seed, "evaluate", "intersubject", subject)
        )
        for subject in shared.rows
    }
    nulls = {name: np.zeros((len(orders), len(places))) for name, orders in turned.items()}
    for cut in cuts(places, shared.n_values):
        observed = shared.observed(cut.units)
        for subject, mine, rest in zip(nulls, observed, others_mean(observed), strict=True):
            left, right = unit_columns(centred(mine)), unit_columns(centred(rest))
            for place, columns in cut.pieces:
                nulls[subject][:, place] += null_of_sum(
                    left[:, columns], right[:, columns], turned[subject]
                )
    rows = []
    for subject, r in shared.ceilings.items():
        for (region, time, units), summed in zip(places, nulls[subject].T, strict=True):
            if not len(units):
                continue
            value, null = float(r[units].mean()), summed / len(units)
            low, high = null_interval(null, scores.confidence)
            rows.append(
                score_row(
                    subject=subject,
                    target=OTHERS,
                    unit=region,
                    time=time,
                    metric="isc",
                    value=value,
                    p=float(p_value(null, value)),
                    n=shared.n_samples,
                    interval=(float(low), float(high)),
                )
            )
    return rows


def _stimuli(fit: xr.Dataset) -> list[tuple[str, str, str]]:
    """Return held-out group, stimulus, and which of its samples it is, of each sample."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for group, stimulus in zip(fit["group"].values, fit["stimulus"].values, strict=True):
        key = str(group), str(stimulus)
        seen[key] = seen.get(key, 0) + 1
        found.append((*key, str(seen[key])))
    return found


def _keys(fit: xr.Dataset) -> list[tuple[str, str, str]]:
    session, run = (
        fit[name].values.astype(str) if name in fit.coords else [""] * fit.sizes["sample"]
        for name in ("session", "run")
    )
    onset = [f"{value:.3f}" for value in fit["onset"].values]
    return list(zip(session, run, onset, strict=True))
