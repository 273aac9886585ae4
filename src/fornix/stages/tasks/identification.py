"""Identification: one subject's dissimilarities, to be compared with those of the others."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fornix.errors import FornixError
from fornix.evaluation.rdms import pairs_of
from fornix.stages.tasks.brain_rdms import brain_rdms
from fornix.stages.tasks.job import Fitted, Job
from fornix.study.fits.identification import IdentificationFit


def fit(section: IdentificationFit, job: Job) -> Fitted:
    """Return the dissimilarities of every region and session.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is identification.
    job
        Responses of one subject.

    Raises
    ------
    FornixError
        If there is one region only, and regions are to be told apart.
    """
    brain = brain_rdms(section, job)
    if section.what == "regions" and len(brain.units) < 2:
        problem = f"there is one region only ({brain.units[0]}): nothing to tell it from"
        mend = "select more with rois, or set what: subjects"
        raise FornixError(problem, where=job.where, mend=mend)
    rdms = brain.rdms
    if section.shuffle and section.what == "regions":
        rdms = rdms[job.shuffler().permutation(len(rdms))]
    elif section.shuffle:
        n, random = len(brain.stimuli), job.shuffler()
        for session in range(rdms.shape[1]):
            rdms[:, session] = rdms[:, session, pairs_of(random.permutation(n), n)]
    dataset = xr.Dataset(
        {"brain": (("unit", "session", "pair"), rdms.astype(np.float32))},
        coords=brain.coords(),
        attrs={"n_stimuli": len(brain.stimuli)},
    )
    return Fitted("rdms", dataset, "pair", brain.facts())
