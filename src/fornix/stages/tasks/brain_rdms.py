"""Dissimilarities of the brain: given ones, or of one subject's measured patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.models.windows import interval, windows
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
        Regions; with times, ``<region>@<time>``.
    sessions
        Labels; ``all`` where sessions are taken together.
    rdms
        float64 (unit, session, pair), pairs in the order of ``np.triu_indices(n, 1)``.
    places
        Region and time (s) of each unit; empty without times.
    """

    stimuli: NDArray[np.object_]
    units: list[str]
    sessions: list[str]
    rdms: NDArray[np.float64]
    places: Sequence[tuple[str, float]] = ()

    def coords(self) -> dict[str, Any]:
        """Return the coordinates of units, sessions and pairs."""
        first, second = np.triu_indices(len(self.stimuli), 1)
        found: dict[str, Any] = {
            "unit": self.units,
            "session": self.sessions,
            "stimulus_a": ("pair", self.stimuli[first]),
            "stimulus_b": ("pair", self.stimuli[second]),
        }
        if self.places:
            found["roi"] = ("unit", np.array([roi for roi, _ in self.places], dtype=object))
            found["time"] = ("unit", np.array([time for _, time in self.places]))
        return found

    def facts(self) -> dict[str, Any]:
        """Return what ``fit.json`` says."""
        shape = {"n_samples": len(self.stimuli), "n_units": len(self.units)}
        return shape | {"folds": [], "groups": "none"}


def brain_rdms(
    section: BrainDistance,
    job: Job,
    distance: str | None = None,
    *,
    window: float | None = None,
    step: float | None = None,
) -> BrainRdms:
    """Return the dissimilarities of every region (at every time) and session of a subject.

    Parameters
    ----------
    section
        How they are measured.
    job
        Responses of one subject: RDMs, or trials.
    distance
        Another distance than the section's.
    window, step
        Sliding windows over epochs, s: patterns are the window's means over time. None: the
        whole epoch, channels and times together.

    Raises
    ------
    FornixError
        If there are to be windows, and samples have no time; or none fits the epoch.
    """
    if "rdm" in job.responses:
        return _given(job)
    distance = distance or section.brain_distance
    if window is None:
        matrix, coords = stack_units(job.responses)
        regions = coords["roi"].astype(str)
        columns = {name: regions == name for name in dict.fromkeys(regions) if name}
        return _measured(section, job, distance, matrix, columns)
    matrix, columns, places = _windows(job, window, step)
    return _measured(section, job, distance, matrix, columns)._replace(places=places)


def _given(job: Job) -> BrainRdms:
    rdm = job.responses["rdm"].transpose("session", "stimulus", "stimulus_2")
    sessions = [str(one) for one in rdm["session"].values]
    brain = [
        job.model.condensed(matrix, where=f"{job.where}, session {session}")
        for matrix, session in zip(rdm.values, sessions, strict=True)
    ]
    stimuli = rdm["stimulus"].values.astype(str).astype(object)
    return BrainRdms(stimuli, ["all"], sessions, np.stack(brain)[None])


def _windows(
    job: Job, window: float, step: float | None
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.bool_]], list[tuple[str, float]]]:
    """Return windows' means (sample, window * channel), each window's columns, and its place."""
    array = job.responses["responses"]
    if "time" not in array.dims:
        problem = "window and step need epochs; these samples have no time"
        raise FornixError(problem, where=job.where, mend="leave window and step out of the fit")
    stack_units(job.responses)  # refuses what isn't finite
    epochs = array.transpose("sample", "channel", "time").values
    times = array["time"].values.astype(float)
    # A step shorter than a sample would give windows of the same samples.
    step = max(step or window / 2, interval(times))
    inside = [one for *_, one in windows(times, window, step)]
    matrix = np.concatenate([epochs[:, :, one].mean(2) for one in inside], axis=1)
    of_column = np.repeat(np.arange(len(inside)), epochs.shape[1])
    places = [("all", round(float(times[one].mean()), 6)) for one in inside]
    columns = {f"{roi}@{time:.4f}": of_column == k for k, (roi, time) in enumerate(places)}
    return matrix.astype(np.float32), columns, places


def _measured(
    section: BrainDistance,
    job: Job,
    distance: str,
    matrix: NDArray[np.float32],
    columns: dict[str, NDArray[np.bool_]],
) -> BrainRdms:
    """Return the dissimilarities of the patterns over each unit's columns of the matrix."""
    table = sample_table(job.responses)
    units = list(columns)
    whiteners: dict[str, Any] = dict.fromkeys(units)
    if section.whitens and "time" in job.responses["responses"].dims and len(units) > 1:
        # Noise of the sensors is taken for the same at all times (Guggenmos et al. 2018).
        trials = np.stack([matrix[:, mine] for mine in columns.values()])
        whiteners = dict.fromkeys(units, _whitener(job, trials, table, job.where))
    elif section.whitens:
        for name in units:
            where = f"{job.where}, region {name}"
            whiteners[name] = _whitener(job, matrix[:, columns[name]], table, where)
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
                patterns[s][..., columns[name]],
                distance,
                whiteners[name],
                where=f"{job.where}, region {name}, session {session or 'only one'}",
            )
    return BrainRdms(stimuli, units, sessions, rdms)


def _whitener(job: Job, trials: NDArray[Any], table: pd.DataFrame, where: str) -> NDArray[Any]:
    named = table["stimulus"].astype(str).to_numpy() != ""
    labels = (table.loc[named, name].astype(str).to_numpy() for name in KEYS)
    found: NDArray[Any] = job.model.noise_whitener(trials[..., named, :], *labels, where=where)
    return found
