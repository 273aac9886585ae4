"""Encoding: features to responses, every held-out sample predicted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.evaluation.table import VOLUME
from fornix.models.interface import EncodingData, Predictions
from fornix.stages.tasks.attention import looked_at, maps_of
from fornix.stages.tasks.job import Fitted, Job, facts_of, plain, sample_coords
from fornix.study.compute import Compute
from fornix.study.fits.encoding import EncodingSection
from fornix.training.designs import JOINT, bands_of, targets_of
from fornix.training.given import Given, of_trials, of_volumes
from fornix.training.leaks import fold_notes
from fornix.training.samples import sample_table, stack_units
from fornix.training.splits import Fold, plan_folds, split_folds

KEPT_ATTRS = (*VOLUME, "units", "samples")
"""Attributes of the responses that predictions keep."""


def fit(section: EncodingSection, job: Job) -> Fitted:
    """Return held-out predictions of every target, with what was observed.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is encoding.
    job
        Responses and features of one subject.
    """
    prepared = prepare(section, job)
    return _packed(section, job, prepared, job.model.fit(section, prepared.data, job.context))


def in_blocks(
    section: EncodingSection,
    *,
    subject: str,
    seed: int,
    responses: Path,
    features: Mapping[str, Path],
    resources: Compute,
) -> Callable[[Path], Fitted] | None:
    """Return what fits a subject block by block of units, in a folder; None: all have room.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is encoding.
    subject, seed
        Label without ``sub-``; the study's seed.
    responses, features
        Folders of the artifacts that are read.
    resources
        Of the job: ``memory_mb`` is the room.
    """
    from fornix.stages.tasks.unit_blocks import Request, fit_blocks, plan_blocks  # by `fit` each

    request = Request(section, subject, seed, responses, features, resources)
    blocks = plan_blocks(request)
    return partial(fit_blocks, request, blocks) if blocks else None


def fit_cohort(section: EncodingSection, jobs: Mapping[str, Job]) -> dict[str, Fitted]:
    """Return held-out predictions of every subject by one model of all of them.

    A stimulus that is held out is held out in everybody.

    Parameters
    ----------
    section
        A section of ``fits`` whose scope is the cohort.
    jobs
        Subject -> responses and features; they share their notes.

    Raises
    ------
    FornixError
        If samples follow one another in time.
    """
    if any(job.events is not None for job in jobs.values()):
        problem = f"a fit of kind {getattr(section, 'kind', '')} holds the same stimuli out in "
        problem += "everybody, and these samples follow one another in time"
        mend = "take samples a trial (samples.method), or a fit of each subject"
        raise FornixError(problem, where="fits", mend=mend)
    tables = {name: sample_table(job.responses) for name, job in jobs.items()}
    one = next(iter(jobs.values()))
    together = pd.concat(tables.values(), ignore_index=True)
    where = "fit of all subjects"
    planned = plan_folds(together, section.cv, "encoding", seed=one.seed, where=where)
    folds = split_folds(planned, [len(table) for table in tables.values()])
    prepared = {
        name: prepare(section, job, folds=mine)
        for (name, job), mine in zip(jobs.items(), folds, strict=True)
    }
    data = {name: each.data for name, each in prepared.items()}
    found = one.model.fit_cohort(section, data, one.context)
    return {name: _packed(section, jobs[name], prepared[name], found[name]) for name in jobs}


@dataclass(frozen=True)
class Prepared:
    """What the model gets, and what its predictions are packed with."""

    given: Given
    units: dict[str, Any]
    spaces: list[str]
    data: EncodingData


def prepare(section: EncodingSection, job: Job, *, folds: list[Fold] | None = None) -> Prepared:
    """Return what the model of a job gets; folds are planned, unless subjects share them."""
    table = sample_table(job.responses)
    matrix, units = stack_units(job.responses)
    shuffler, where = job.shuffler(), job.where
    features = {name: job.features[name] for name in section.features}
    if job.events is None:
        prepare = partial(of_trials, seed=job.seed, notes=job.notes, folds=folds)
    else:
        prepare = partial(of_volumes, events=job.events)
    given = prepare(section, table, matrix, features, shuffler=shuffler, where=where)
    job.notes.extend(note for note in fold_notes(section, given) if note not in job.notes)
    layers = [name for name in given.features if name not in given.lags]
    targets, spaces = targets_of(section, layers)
    targets |= {name: [name] for name in given.lags}
    data = EncodingData(
        given.features,
        given.matrix,
        pd.DataFrame(units),
        given.pairs,
        given.inner,
        targets,
        bands_of(spaces),
    )
    return Prepared(given, units, spaces, data)


def _packed(section: EncodingSection, job: Job, ready: Prepared, found: Predictions) -> Fitted:
    names = list(found.predicted)
    cubes = ("target", "sample", "unit")
    variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "predicted": (cubes, np.stack([found.predicted[name] for name in names])),
        "observed": (("sample", "unit"), ready.given.matrix),
    }
    if found.alpha:
        # The dimension can't be called fold: that is the coordinate of the samples.
        alpha = np.stack([found.alpha[name] for name in names])
        variables["alpha"] = (("target", "outer_fold", "unit"), alpha)
    coords: dict[str, Any] = {"target": names}
    if parts := found.parts.get(JOINT):
        variables["part"] = (("space", "sample", "unit"), np.stack(list(parts.values())))
        coords["space"] = list(parts)
    coords |= {name: ("unit", plain(values)) for name, values in ready.units.items()}
    coords |= sample_coords(ready.given.table, "stimulus", "n_repeats", "recording", "onset")
    dataset = xr.Dataset(
        variables,
        coords=coords,
        attrs={k: job.responses.attrs[k] for k in KEPT_ATTRS if k in job.responses.attrs}
        | {"spaces": json.dumps(ready.spaces), "lags": json.dumps(ready.given.lags)},
    )
    facts = facts_of(dataset, ready.given.folds, ready.given.matrix.shape[1])
    averaged = section.average_repeats and job.events is None
    facts |= {"average_repeats": averaged, "spaces": ready.spaces}
    fitted = Fitted("predictions", dataset, "unit", facts, found.weights)
    if found.attention:
        places = getattr(section, "places", None)
        known = job.features[places] if places else None
        stimuli = ready.given.table["stimulus"].astype(str).to_numpy()
        looked = looked_at(found.attention, known, stimuli, job.notes)
        fitted.dataset = dataset.merge(looked).assign_attrs(dataset.attrs)
        fitted.parts["attention"] = maps_of(found.attention, stimuli), "sample"
    if found.logs:
        fitted.tables["training"] = pd.concat(found.logs, ignore_index=True)
    return fitted
