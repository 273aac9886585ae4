"""RSA: dissimilarities of the features and of the brain."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fornix.errors import FornixError
from fornix.stages.tasks.brain_rdms import brain_rdms
from fornix.stages.tasks.job import Fitted, Job
from fornix.study.fits.rsa import RsaFit
from fornix.training.designs import features_of_stimuli


def fit(section: RsaFit, job: Job) -> Fitted:
    """Return the dissimilarities of the brain, and of every layer.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is rsa.
    job
        Responses and features of one subject.
    """
    if section.compares_patterns and "rdm" in job.responses:
        job.notes.append(
            f"{section.comparison} takes the brain's dissimilarities for squared euclidean "
            "distances, which they may not be"
        )
    patterns = "squared_euclidean" if section.compares_patterns else None
    brain = brain_rdms(section, job, patterns)
    features = features_of_stimuli(job.features, brain.stimuli)
    if section.shuffle:
        source = job.shuffler().permutation(len(brain.stimuli))
        features = {name: values[source] for name, values in features.items()}
    models = {}
    for name, values in features.items():
        flat = values.reshape(len(values), -1)
        rdm = job.model.model_rdm(flat, patterns or section.distance)
        if np.isnan(rdm).any():
            job.notes.append(
                f"{name} is left out: for some stimuli its features are all equal, and a "
                "correlation distance isn't defined (set distance: euclidean)"
            )
            continue
        models[name] = rdm
    if not models:
        problem = "no layer has a defined dissimilarity for every pair of stimuli"
        raise FornixError(problem, where=job.where, mend="set distance: euclidean")
    dataset = xr.Dataset(
        {
            "brain": (("unit", "session", "pair"), brain.rdms.astype(np.float32)),
            "model": (("target", "pair"), np.stack(list(models.values()))),
        },
        coords={"target": list(models), **brain.coords()},
        attrs={"n_stimuli": len(brain.stimuli)},
    )
    return Fitted("rdms", dataset, "pair", brain.facts())
