"""What subjects have in common who met the same thing: their time courses, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.ceilings import intersubject, others_mean
from fornix.evaluation.metrics import Floats, centred, unit_columns
from fornix.evaluation.permutation import circular_shifts, null_interval, p_value
from fornix.evaluation.regions import Items, Places, permuted
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
    observed
        Their responses, float64 (subject, sample, unit).
    """

    rows: dict[str, NDArray[np.intp]]
    observed: Floats

    def ceilings(self) -> dict[str, Floats]:
        """Return subject -> how well the others predict it, r (unit,)."""
        return dict(zip(self.rows, intersubject(self.observed), strict=True))


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
    observed = [fits[name]["observed"].values[rows[name]] for name in names]
    return Shared(rows, np.stack(observed).astype(np.float64))


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
    rows = []
    items_of = np.arange(shared.observed.shape[1])
    rest = others_mean(shared.observed)
    for k, (subject, r) in enumerate(shared.ceilings().items()):
        rng = generator(seed, "evaluate", "intersubject", subject)
        orders = circular_shifts(stretch, scores.permutations, rng)
        items = Items(items_of, items_of, orders, items_of)
        mine, others = (unit_columns(centred(one[k])) for one in (shared.observed, rest))
        for region, time, units in places:
            if not len(units):
                continue
            value = float(r[units].mean())
            null = permuted(mine[:, units], others[:, units], items)
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
                    n=len(items_of),
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
