"""Searchlight: mean patterns over the voxels, and dissimilarities of every layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from fornix.errors import FornixError
from fornix.evaluation.table import VOLUME
from fornix.stages.tasks.job import Fitted, Job, plain
from fornix.stages.tasks.model_rdms import layers_of_stimuli, model_rdms
from fornix.study.fits.searchlight import SearchlightFit
from fornix.training.partitions import partition_means
from fornix.training.samples import sample_table, session_means, stack_units

PLACES = ("x", "y", "z")


def fit(section: SearchlightFit, job: Job) -> Fitted:
    """Return each stimulus' mean pattern, and the dissimilarities of every layer.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is searchlight.
    job
        Responses and features of one subject.

    Raises
    ------
    FornixError
        If units have no place in a volume.
    """
    matrix, coords = stack_units(job.responses)
    if not set(PLACES) <= set(coords):
        problem = "a searchlight needs voxels with a place in mm, and these units have none"
        raise FornixError(problem, where=job.where, mend="name responses of kind fmri")
    table = sample_table(job.responses)
    if section.brain_distance == "crossnobis":
        stimuli, means = partition_means(
            matrix, table, section.partitions, job.notes, where=job.where
        )
        parts = [str(k + 1) for k in range(len(means))]
    else:
        stimuli, parts, by_session = session_means(matrix, table, job.notes, where=job.where)
        means = by_session.astype(np.float64)
    models = model_rdms(layers_of_stimuli(section, job, stimuli), section.distance, job)
    known: dict[str, Any] = {name: ("unit", plain(values)) for name, values in coords.items()}
    dataset = xr.Dataset(
        {
            "pattern": (("part", "stimulus", "unit"), means.astype(np.float32)),
            "model": (("target", "pair"), np.stack(list(models.values()))),
        },
        coords={
            "target": list(models),
            "part": parts,
            "stimulus": stimuli,
            **known,
        },
        attrs={k: job.responses.attrs[k] for k in VOLUME if k in job.responses.attrs},
    )
    facts = {"n_samples": len(stimuli), "n_units": matrix.shape[1], "folds": [], "groups": "none"}
    return Fitted("patterns", dataset, "unit", facts)
