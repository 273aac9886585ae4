"""RSA: dissimilarities of the features and of the brain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.stimulus_folds import stimulus_folds
from fornix.models.reweighting import MAX_FEATURES, held_out_rdm
from fornix.progress import track
from fornix.seeds import generator
from fornix.stages.tasks.brain_rdms import BrainRdms, brain_rdms
from fornix.stages.tasks.job import Fitted, Job
from fornix.stages.tasks.model_rdms import layers_of_stimuli, model_rdms
from fornix.study.fits.rsa import RsaFit


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
    brain = brain_rdms(section, job, patterns, window=section.window, step=section.step)
    features = layers_of_stimuli(section, job, brain.stimuli)
    models = model_rdms(features, patterns or section.distance, job)
    dataset = xr.Dataset(
        {
            "brain": (("unit", "session", "pair"), brain.rdms.astype(np.float32)),
            "model": (("target", "pair"), np.stack(list(models.values()))),
        },
        coords={"target": list(models), **brain.coords()},
        attrs={"n_stimuli": len(brain.stimuli)},
    )
    if "reweighted" in section.models:
        dataset = dataset.assign(_reweighted(section, job, brain, features))
    return Fitted("rdms", dataset, "pair", brain.facts())


def _reweighted(
    section: RsaFit, job: Job, brain: BrainRdms, features: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """Return reweighted dissimilarities (unit, layer, pair), and the fold of each stimulus."""
    n = len(brain.stimuli)
    rng = generator(job.seed, "fit", "rsa folds")
    folds = stimulus_folds(n, section.held_out.n_splits, rng, where=job.where)
    wide = [name for name, values in features.items() if values.shape[1] > MAX_FEATURES]
    if wide:
        job.notes.append(
            f"{', '.join(wide)}: more than {MAX_FEATURES} features, which aren't reweighted "
            "(set their `projection`)"
        )
    layers = [name for name in features if name not in wide]
    rdms = np.empty((len(brain.units), len(layers), brain.rdms.shape[-1]), dtype=np.float32)
    for k, name in enumerate(track(layers, "reweighting: layers")):
        for u in range(len(brain.units)):
            rdms[u, k] = held_out_rdm(features[name], brain.rdms[u].mean(0), folds)
    fold = np.empty(n, dtype=np.int64)
    for k, members in enumerate(folds):
        fold[members] = k
    return {
        "reweighted": (("unit", "layer", "pair"), rdms),
        "layer": ("layer", np.asarray(layers, dtype=object)),
        "fold": ("stimulus", fold),
    }
