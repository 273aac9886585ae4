"""Judge representational models: rank correlations of dissimilarities, with noise ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.ceilings import rsa_ceiling
from fornix.evaluation.metrics import Floats, spearman_columns, unit_ranks
from fornix.evaluation.permutation import null_correlations, null_interval, p_value
from fornix.evaluation.table import GROUP, Evaluated, score_row
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.scores import Evaluation

METRIC = "spearman_rho"
CEILING = "noise ceiling"
MIN_COMMON = 4
"""Stimuli that subjects must share for a group row."""

_HOW = {
    METRIC: "Spearman's rho (ties averaged) of a layer's dissimilarities with a subject's, "
    "averaged over sessions; the group row is the mean over subjects",
    "ceiling": "upper noise ceiling of Nili et al. 2014 (ranked RDMs); lower and upper have rows "
    "of their own",
    "p": "stimulus labels of the model's RDM permuted, the same for all layers and subjects",
    "interval": "central interval of that null distribution",
}


@dataclass
class _Subject:
    stimuli: list[str]
    brain: dict[str, Floats]
    models: dict[str, Floats]


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: object = None, *, seed: int
) -> Evaluated:
    """Score every layer in every region of every subject, and of the group.

    Parameters
    ----------
    section
        The fit and how it is judged.
    fits
        Subject -> ``rdms.zarr``.
    samples
        Unused: the ceiling comes from the subjects' RDMs.
    seed
        The study's seed.
    """
    found = Evaluated(how=dict(_HOW))
    subjects = {name: _read(fit.load()) for name, fit in fits.items()}
    shared = _share_stimuli(subjects, found.notes)
    for name, one in subjects.items():
        flat = [target for target, model in one.models.items() if not np.ptp(model)]
        if flat:
            found.notes.append(
                f"sub-{name}: all pairs of stimuli are equally far apart in {', '.join(flat)}, so "
                "that no correlation is defined"
            )
    units = list(dict.fromkeys(unit for one in subjects.values() for unit in one.brain))
    for unit in track(units, "regions"):
        here = {name: one for name, one in subjects.items() if unit in one.brain}
        ceiling = float("nan"), float("nan")
        if shared and section.scores.ceiling:
            ceiling = rsa_ceiling(np.stack([one.brain[unit] for one in here.values()], axis=1))
        found.rows += _unit_rows(section, unit, here, ceiling, shared=shared, seed=seed)
    if section.scores.ceiling and (not shared or len(subjects) < 2):
        found.notes.append("one subject, or no stimuli in common: there is no noise ceiling")
    return found


def _unit_rows(
    section: Evaluation,
    unit: str,
    subjects: Mapping[str, _Subject],
    ceiling: tuple[float, float],
    *,
    shared: bool,
    seed: int,
) -> list[dict[str, Any]]:
    scores = section.scores
    rows: list[dict[str, Any]] = []
    values: dict[str, Floats] = {}
    nulls: dict[str, Floats] = {}
    # Layers that not every subject has (a correlation that wasn't defined) get no group row.
    every = [set(one.models) for one in subjects.values()]
    common = [
        name for name in next(iter(subjects.values())).models if all(name in s for s in every)
    ]

    def add(subject: str, target: str, value: float, null: Floats, n: int) -> None:
        if np.isnan(value):
            null = null[:0]
        low, high = null_interval(null, scores.confidence)
        row = score_row(
            subject=subject,
            target=target,
            unit=unit,
            metric=METRIC,
            value=value,
            ceiling=ceiling[1],
            p=float(p_value(null, value)),
            n=n,
            interval=(float(low), float(high)),
        )
        rows.append(row)

    for name, one in subjects.items():
        n = len(one.stimuli)
        rng = generator(seed, "evaluate", "rsa", *([] if shared else [name]))
        permutations = np.argsort(rng.random((scores.permutations, n)), axis=1)
        brain = one.brain[unit][:, None]
        models = np.stack(list(one.models.values()), axis=1)
        values[name] = spearman_columns(brain, models)[0]
        nulls[name] = null_correlations(unit_ranks(brain), unit_ranks(models), n, permutations)[
            :, 0
        ]
        for m, target in enumerate(one.models):
            add(name, target, float(values[name][m]), nulls[name][:, m], len(brain))
    if shared and len(subjects) > 1:
        for target in common:
            column = {name: list(one.models).index(target) for name, one in subjects.items()}
            value = float(np.mean([values[name][m] for name, m in column.items()]))
            null = np.mean([nulls[name][:, m] for name, m in column.items()], axis=0)
            add(GROUP, target, value, null, len(brain))
        for bound, level in zip(("lower", "upper"), ceiling, strict=True):
            if np.isfinite(level):
                metric = f"noise_ceiling_{bound}"
                rows.append(
                    score_row(
                        subject=GROUP,
                        target=CEILING,
                        unit=unit,
                        metric=metric,
                        value=level,
                        n=len(brain),
                    )
                )
    return rows


def _read(fit: xr.Dataset) -> _Subject:
    n = int(fit.attrs["n_stimuli"])
    first, second = (fit[f"stimulus_{side}"].values.astype(str) for side in "ab")
    stimuli = [str(first[0]), *map(str, second[: n - 1])]
    brain = fit["brain"].mean("session", dtype=np.float64)
    return _Subject(
        stimuli,
        {str(unit): brain.sel(unit=unit).values for unit in fit["unit"].values},
        {str(name): fit["model"].sel(target=name).values for name in fit["target"].values},
    )


def _share_stimuli(subjects: dict[str, _Subject], notes: list[str]) -> bool:
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
            pairs = _pairs_of([one.stimuli.index(name) for name in common], len(one.stimuli))
            one.brain = {k: v[pairs] for k, v in one.brain.items()}
            one.models = {k: v[pairs] for k, v in one.models.items()}
            one.stimuli = common
    return True


def _pairs_of(chosen: list[int], n: int) -> NDArray[np.intp]:
    """Return the places of the pairs of chosen stimuli among all pairs of n."""
    rows, columns = np.triu_indices(n, 1)
    index = np.zeros((n, n), dtype=np.intp)
    index[rows, columns] = index[columns, rows] = np.arange(len(rows))
    a, b = np.triu_indices(len(chosen), 1)
    places = np.asarray(chosen)
    return np.asarray(index[places[a], places[b]])
