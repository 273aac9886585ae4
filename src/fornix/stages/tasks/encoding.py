"""Encoding: features to responses, every held-out sample predicted."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fornix.models.interface import EncodingData, Predictions
from fornix.stages.tasks.job import Fitted, Job, facts_of, plain, sample_coords
from fornix.study.fits.encoding import EncodingSection
from fornix.training.designs import JOINT, bands_of, targets_of
from fornix.training.given import of_trials, of_volumes
from fornix.training.leaks import fold_notes
from fornix.training.samples import sample_table, stack_units

KEPT_ATTRS = ("volume_shape", "affine", "units", "samples")
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
    table = sample_table(job.responses)
    matrix, units = stack_units(job.responses)
    shuffler, where = job.shuffler(), job.where
    if job.events is None:
        prepare = partial(of_trials, seed=job.seed, notes=job.notes)
    else:
        prepare = partial(of_volumes, events=job.events)
    given = prepare(section, table, matrix, job.features, shuffler=shuffler, where=where)
    job.notes.extend(fold_notes(section, given))
    table, matrix = given.table, given.matrix
    targets, spaces = targets_of(section, list(given.features))
    data = EncodingData(
        given.features,
        matrix,
        pd.DataFrame(units),
        given.pairs,
        given.inner,
        targets,
        bands_of(spaces),
    )
    found: Predictions = job.model.fit(section, data, job.context)
    names = list(found.predicted)
    cubes = ("target", "sample", "unit")
    variables = {
        "predicted": (cubes, np.stack([found.predicted[name] for name in names])),
        "observed": (("sample", "unit"), matrix),
    }
    if found.alpha:
        # The dimension can't be called fold: that is the coordinate of the samples.
        alpha = np.stack([found.alpha[name] for name in names])
        variables["alpha"] = (("target", "outer_fold", "unit"), alpha)
    coords: dict[str, Any] = {"target": names}
    if parts := found.parts.get(JOINT):
        variables["part"] = (("space", "sample", "unit"), np.stack(list(parts.values())))
        coords["space"] = list(parts)
    dataset = xr.Dataset(
        variables,
        coords=coords
        | {name: ("unit", plain(values)) for name, values in units.items()}
        | sample_coords(table, "stimulus", "n_repeats", "recording", "onset"),
        attrs={k: job.responses.attrs[k] for k in KEPT_ATTRS if k in job.responses.attrs}
        | {"spaces": json.dumps(spaces)},
    )
    facts = facts_of(dataset, given.folds, matrix.shape[1])
    facts |= {"average_repeats": section.average_repeats and job.events is None, "spaces": spaces}
    return Fitted("predictions", dataset, "unit", facts, found.weights)
