"""Dissimilarities of the brain: given ones, or of one subject's measured patterns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.stages.tasks.job import Job
from fornix.study.fits.rsa import BrainDistance
from fornix.training.partitions import partition_means
from fornix.training.samples import sample_table, session_means, stack_units

KEYS = ("stimulus", "run", "session")
"""Columns by which single trials' noise is told from their signal."""


class BrainRdms(NamedTuple):
    """Dissimilarities of one subject.

    Attributes
    ----------
    stimuli
        Ids.
    units
        Regions.
    sessions
        Labels; ``all`` where sessions are taken together.
    rdms
        float64 (unit, session, pair), pairs in the order of ``np.triu_indices(n, 1)``.
    """

    stimuli: NDArray[np.object_]
    units: list[str]
    sessions: list[str]
    rdms: NDArray[np.float64]

    def coords(self) -> dict[str, Any]:
        """Return the coordinates of units, sessions and pairs."""
        first, second = np.triu_indices(len(self.stimuli), 1)
        return {
            "unit": self.units,
            "session": self.sessions,
            "stimulus_a": ("pair", self.stimuli[first]),
            "stimulus_b": ("pair", self.stimuli[second]),
        }

    def facts(self) -> dict[str, Any]:
        """Return what ``fit.json`` says."""
        shape = {"n_samples": len(self.stimuli), "n_units": len(self.units)}
        return shape | {"folds": [], "groups": "none"}


def brain_rdms(section: BrainDistance, job: Job, distance: str | None = None) -> BrainRdms:
    """Return the dissimilarities of every region and session of a subject.

    Parameters
    ----------
    section
        How they are measured.
    job
        Responses of one subject: RDMs, or trials.
    distance
        Another distance than the section's.
    """
    if "rdm" in job.responses:
        return _given(job)
    return _measured(section, job, distance or section.brain_distance)


def _given(job: Job) -> BrainRdms:
    rdm = job.responses["rdm"].transpose("session", "stimulus", "stimulus_2")
    sessions = [str(one) for one in rdm["session"].values]
    brain = [
        job.model.condensed(matrix, where=f"{job.where}, session {session}")
        for matrix, session in zip(rdm.values, sessions, strict=True)
    ]
    stimuli = rdm["stimulus"].values.astype(str).astype(object)
    return BrainRdms(stimuli, ["all"], sessions, np.stack(brain)[None])


def _measured(section: BrainDistance, job: Job, distance: str) -> BrainRdms:
    table = sample_table(job.responses)
    matrix, coords = stack_units(job.responses)
    regions = coords["roi"].astype(str)
    units = [name for name in dict.fromkeys(regions) if name]
    whiteners: dict[str, Any] = dict.fromkeys(units)
    if section.whitens:
        for name in units:
            where = f"{job.where}, region {name}"
            whiteners[name] = _whitener(job, matrix[:, regions == name], table, where)
    if distance == "crossnobis":
        stimuli, means = partition_means(
            matrix, table, section.partitions, job.notes, where=job.where
        )
        patterns: list[NDArray[Any]] = [means]
        sessions = ["all"]
    else:
        stimuli, sessions, by_session = session_means(matrix, table, job.notes, where=job.where)
        patterns = list(by_session)
    rdms = np.empty((len(units), len(sessions), len(stimuli) * (len(stimuli) - 1) // 2))
    for s, session in enumerate(sessions):
        for u, name in enumerate(units):
            rdms[u, s] = job.model.brain_rdm(
                patterns[s][..., regions == name],
                distance,
                whiteners[name],
                where=f"{job.where}, region {name}, session {session or 'only one'}",
            )
    return BrainRdms(stimuli, units, sessions, rdms)


def _whitener(job: Job, trials: NDArray[Any], table: pd.DataFrame, where: str) -> NDArray[Any]:
    named = table["stimulus"].astype(str).to_numpy() != ""
    labels = (table.loc[named, name].astype(str).to_numpy() for name in KEYS)
    found: NDArray[Any] = job.model.noise_whitener(trials[named], *labels, where=where)
    return found
