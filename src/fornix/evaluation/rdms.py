"""The dissimilarities that RSA compares: of subjects who saw the same stimuli."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.comparisons import square_places
from fornix.evaluation.metrics import Floats
from fornix.evaluation.stimulus_folds import MIN_COMMON
from fornix.evaluation.transforms import transformed
from fornix.study.fits.rsa import Transform


@dataclass
class Subject:
    """Dissimilarities of one subject.

    Attributes
    ----------
    stimuli
        Ids.
    brain
        Region (at a time) -> float64 (pair,), mean over sessions.
    models
        Layer -> float64 (pair,).
    reweighted
        Region -> layer -> float64 (pair,), NaN for pairs across folds.
    fold
        Fold of each stimulus, for reweighted layers.
    places
        Key in ``brain`` -> region and time (s), for patterns at several times.
    """

    stimuli: list[str]
    brain: dict[str, Floats]
    models: dict[str, Floats]
    reweighted: dict[str, dict[str, Floats]] = field(default_factory=dict)
    fold: NDArray[np.intp] | None = None
    places: dict[str, tuple[str, float]] = field(default_factory=dict)

    def place(self, unit: str) -> tuple[str, float]:
        """Return region and time of a key in ``brain``; NaN without times."""
        return self.places.get(unit, (unit, float("nan")))


def read_subject(fit: xr.Dataset) -> Subject:
    """Return the dissimilarities of an RSA fit."""
    n = int(fit.attrs["n_stimuli"])
    first, second = (fit[f"stimulus_{side}"].values.astype(str) for side in "ab")
    stimuli = [str(first[0]), *map(str, second[: n - 1])]
    brain = fit["brain"].mean("session", dtype=np.float64)
    units = [str(unit) for unit in fit["unit"].values]
    found = Subject(
        stimuli, dict(zip(units, brain.transpose("unit", "pair").values, strict=True)), {}
    )
    if "time" in fit.coords:
        regions, times = fit["roi"].values.astype(str), fit["time"].values.astype(float)
        places = zip(regions.tolist(), times.tolist(), strict=True)
        found.places = dict(zip(units, places, strict=True))
    if "model" in fit:
        models = fit["model"].transpose("target", "pair").values
        found.models = dict(zip(map(str, fit["target"].values), models, strict=True))
    if "reweighted" in fit:
        layers = [str(layer) for layer in fit["layer"].values]
        rdms = fit["reweighted"].transpose("unit", "layer", "pair").values.astype(np.float64)
        for unit, one in zip(units, rdms, strict=True):
            found.reweighted[unit] = dict(zip(layers, one, strict=True))
        found.fold = fit["fold"].values
    return found


def transform_subject(one: Subject, transform: Transform | None) -> None:
    """Transform all of a subject's dissimilarities."""
    if transform is not None:
        for rdms in (one.brain, one.models):  # reweighted ones are fitted to what was measured
            for name, values in rdms.items():
                rdms[name] = transformed(values[:, None], transform)[:, 0]


def share_stimuli(subjects: dict[str, Subject], notes: list[str]) -> bool:
    """Cut all subjects to the stimuli they have in common, in one order; False if too few."""
    sets = [set(one.stimuli) for one in subjects.values()]
    first = next(iter(subjects.values())).stimuli
    common = [name for name in first if all(name in one for one in sets)]
    if len(common) < MIN_COMMON:
        notes.append("subjects have too few stimuli in common for a group score")
        return False
    if any(len(one) > len(common) for one in sets):
        notes.append(f"scored on the {len(common)} stimuli that all subjects have in common")
    for one in subjects.values():
        if one.stimuli != common:
            places = [one.stimuli.index(name) for name in common]
            pairs = pairs_of(places, len(one.stimuli))
            one.brain = {k: v[pairs] for k, v in one.brain.items()}
            one.models = {k: v[pairs] for k, v in one.models.items()}
            for rdms in one.reweighted.values():
                rdms.update({k: v[pairs] for k, v in rdms.items()})
            one.fold = None if one.fold is None else one.fold[places]
            one.stimuli = common
    return True


def pairs_of(chosen: list[int] | NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Return the places of the pairs of chosen stimuli among all pairs of n."""
    a, b = np.triu_indices(len(chosen), 1)
    places = np.asarray(chosen)
    return np.asarray(square_places(n)[places[a], places[b]])
