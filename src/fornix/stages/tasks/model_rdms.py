"""Dissimilarities of the stimuli in every layer of the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.stages.tasks.job import Job
from fornix.study.fits.rsa import RsaFit
from fornix.study.fits.searchlight import SearchlightFit
from fornix.training.designs import features_of_stimuli


def layers_of_stimuli(
    section: RsaFit | SearchlightFit, job: Job, stimuli: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Return layer -> (stimulus, feature); stimuli exchanged where a control is asked for."""
    features = features_of_stimuli(job.features, stimuli)
    features = {name: values.reshape(len(values), -1) for name, values in features.items()}
    if section.shuffle:
        source = job.shuffler().permutation(len(stimuli))
        features = {name: values[source] for name, values in features.items()}
    return features


def model_rdms(
    features: Mapping[str, NDArray[Any]], distance: str, job: Job
) -> dict[str, NDArray[np.float64]]:
    """Return layer -> dissimilarities (pair,); layers without a defined one are left out.

    Parameters
    ----------
    features
        From :func:`layers_of_stimuli`.
    distance
        Which dissimilarity.
    job
        Its model measures them; gets a note of what is left out.

    Raises
    ------
    FornixError
        If no layer has a dissimilarity of every pair.
    """
    models = {}
    for name, values in features.items():
        rdm = job.model.model_rdm(values, distance)
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
    return models
