"""RSA: dissimilarities of the features and of the brain."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.stages.tasks.job import Fitted, Job
from fornix.study.fits.rsa import RsaFit
from fornix.training.designs import features_of_stimuli
from fornix.training.samples import sample_table, session_means, stack_units


def fit(section: RsaFit, job: Job) -> Fitted:
    """Return the dissimilarities of the brain, and of every layer.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is rsa.
    job
        Responses and features of one subject.
    """
    if "rdm" in job.responses:
        stimuli, units, sessions, brain = _given_rdms(job)
    else:
        stimuli, units, sessions, brain = _measured_rdms(section, job)
    features = features_of_stimuli(job.features, stimuli)
    if section.shuffle:
        source = job.shuffler().permutation(len(stimuli))
        features = {name: values[source] for name, values in features.items()}
    models = {}
    for name, values in features.items():
        rdm = job.model.model_rdm(values.reshape(len(values), -1), section.distance)
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
    first, second = np.triu_indices(len(stimuli), 1)
    dataset = xr.Dataset(
        {
            "brain": (("unit", "session", "pair"), brain.astype(np.float32)),
            "model": (("target", "pair"), np.stack(list(models.values()))),
        },
        coords={
            "unit": units,
            "session": sessions,
            "target": list(models),
            "stimulus_a": ("pair", stimuli[first]),
            "stimulus_b": ("pair", stimuli[second]),
        },
        attrs={"n_stimuli": len(stimuli)},
    )
    facts = {"n_samples": len(stimuli), "n_units": len(units), "folds": [], "groups": "none"}
    return Fitted("rdms", dataset, "pair", facts)


def _given_rdms(job: Job) -> tuple[NDArray[Any], list[str], list[str], NDArray[Any]]:
    rdm = job.responses["rdm"].transpose("session", "stimulus", "stimulus_2")
    sessions = [str(one) for one in rdm["session"].values]
    brain = [
        job.model.condensed(matrix, where=f"{job.where}, session {session}")
        for matrix, session in zip(rdm.values, sessions, strict=True)
    ]
    stimuli = rdm["stimulus"].values.astype(str).astype(object)
    return stimuli, ["all"], sessions, np.stack(brain)[None]


def _measured_rdms(
    section: RsaFit, job: Job
) -> tuple[NDArray[Any], list[str], list[str], NDArray[Any]]:
    table = sample_table(job.responses)
    matrix, coords = stack_units(job.responses)
    stimuli, sessions, means = session_means(matrix, table, job.notes, where=job.where)
    regions = coords["roi"].astype(str)
    units = [name for name in dict.fromkeys(regions) if name]
    rdms = np.empty((len(units), len(sessions), len(stimuli) * (len(stimuli) - 1) // 2))
    for s, session in enumerate(sessions):
        for u, name in enumerate(units):
            where = f"{job.where}, region {name}, session {session or 'only one'}"
            patterns = means[s][:, regions == name]
            rdms[u, s] = job.model.brain_rdm(patterns, section.brain_distance, where=where)
    return stimuli, units, sessions, rdms
