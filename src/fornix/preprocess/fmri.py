"""BOLD recordings to samples: mask, smooth, clean, then windows or single-trial GLMs.

Volume ``k`` of a run is taken to be acquired at ``StartTime + k * TR``, where ``StartTime`` is
the sidecar's (fMRIPrep writes the reference of its slice timing correction there) and 0
otherwise, which is nilearn's ``slice_time_ref=0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from nibabel.affines import apply_affine

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.cleaning import (
    Signals,
    clean_signals,
    cleaning_steps,
    read_signals,
    timing,
)
from fornix.preprocess.confounds import confounds_of
from fornix.preprocess.glm import make_design, nuisance_spread, trial_betas
from fornix.preprocess.grids import Grid, Mask, common_grid, load_image
from fornix.preprocess.masks import brain_mask, dataset_masks
from fornix.preprocess.material import (
    Journal,
    Material,
    events_of,
    name_of,
    nothing_left,
    text,
    without_onset,
)
from fornix.preprocess.regions import Names, region_names
from fornix.preprocess.samples import sample_coords, sample_table, zscore_by_session
from fornix.preprocess.volumes import VOLUMES, volume_events
from fornix.preprocess.windows import EPSILON_S, merge_blocks, window_means, windows_of
from fornix.progress import track
from fornix.study.compute import Compute
from fornix.study.responses import FmriResponses

SUFFIX = "bold"
COMPANIONS = frozenset({"mask", "dseg", "timeseries", "regressors"})

PEAK_S = 5.0
"""A single-trial response is estimated if its peak, about 5 s after onset, was recorded."""


@dataclass(frozen=True)
class Run:
    """One run's cleaned voxels, or its raw ones where a GLM models drift and confounds."""

    recording: pd.Series
    signals: Signals
    usable: npt.NDArray[np.bool_]
    times: npt.NDArray[np.float64]
    confounds: npt.NDArray[np.float64] | None


def prepare(
    section: FmriResponses, material: Material, resources: Compute
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return a subject's responses.

    Parameters
    ----------
    section
        The settings.
    material
        The subject's tables.
    resources
        Unused: the work is bounded by one run, and numpy's threads are the stage's.

    Returns
    -------
    dataset
        ``responses`` (sample, unit) float32: means of cleaned volumes, or coefficients. With
        ``standardize`` both are in standard deviations of the voxel's cleaned run.
    notes
        Counts for the provenance record.

    Raises
    ------
    FornixError
        If runs don't fit together, a file that is needed is missing or wrong, or no sample
        is left.
    """
    del resources
    journal = Journal()
    _refuse_low_pass(section)
    grid = common_grid(material.recordings, material.root)
    mask, names = _voxels(section, grid, material, journal)
    tables, values = [], []
    usable = np.ones(int(mask.sum()), dtype=bool)
    rows = [row for _, row in material.recordings.iterrows()]
    for recording in track(rows, f"preprocess sub-{material.subject}: runs"):
        run = _read(recording, section, mask, material, journal)
        usable &= run.usable
        events, means = _samples(run, section, material, journal)
        if len(events):
            tables.append(sample_table(events, recording))
            values.append(means)
    if not tables:
        raise nothing_left(material, journal)
    if not usable.any():
        problem = "no voxel of the mask varies in every run"
        mend = "choose another `mask`, or leave the damaged run out with `select`"
        raise FornixError(problem, where=str(material.recordings["recording"].iloc[0]), mend=mend)
    responses = np.concatenate([part[:, usable] for part in values])
    coords = sample_coords(tables)
    if section.standardize_samples:
        responses = zscore_by_session(responses, coords["session"][1])
        journal.step("samples z-scored by session")
    dataset = xr.Dataset(
        {"responses": (("sample", "unit"), responses, {"units": _units(section)})},
        coords=coords | _unit_coords(grid, mask, names, usable),
        attrs={
            "subject": material.subject,
            "kind": "fmri",
            "units": _units(section),
            "volume_shape": list(grid.shape),
            "affine": grid.affine.tolist(),
            "space": _space(rows),
            "n_trials": len(responses),
            "samples": VOLUMES if section.continuous else "trials",
            **journal.attrs(),
        },
    )
    counts = {"n_samples": len(responses), "n_units": int(usable.sum()), "n_runs": len(rows)}
    return dataset, counts | journal.notes()


def _is_glm(section: FmriResponses) -> bool:
    return section.samples.method in {"lsa", "lss"}


def _refuse_low_pass(section: FmriResponses) -> None:
    if _is_glm(section) and section.low_pass:
        problem = "a low-pass filter and a single-trial GLM don't go together"
        mend = "leave low_pass out, or use samples.method block or trial"
        raise FornixError(problem, where="responses: low_pass", mend=mend)


def _voxels(
    section: FmriResponses, grid: Grid, material: Material, journal: Journal
) -> tuple[Mask, Names]:
    """Return the mask of voxels to read, and each voxel's region."""
    names = None
    if section.rois is not None:
        names = region_names(section.rois, grid, material, journal)
        if section.mask == "auto" and not dataset_masks(material):
            journal.step("mask: the regions themselves")
            return names != "", names
    path = name_of(material.recordings.iloc[0])
    image = load_image(material.root, path)
    mean = np.asarray(image.dataobj, dtype=np.float32).mean(axis=3)
    mask = brain_mask(section.mask, grid, mean, material, journal)
    if names is None:
        return mask, np.full(grid.shape, "brain")
    inside = mask & (names != "")
    lost = int((names != "").sum() - inside.sum())
    journal.exclude("", "voxel of a region", lost, "outside the brain mask")
    if not inside.any():
        problem = "the regions and the brain mask have no voxel in common"
        raise FornixError(problem, where="responses: mask, rois", mend="use `mask: all`")
    return inside, names


def _read(
    recording: pd.Series, section: FmriResponses, mask: Mask, material: Material, journal: Journal
) -> Run:
    where = name_of(recording)
    image = load_image(material.root, where)
    repetition, start = timing(recording)
    signals, usable = read_signals(image, mask, section.smoothing_fwhm)
    journal.exclude(where, "voxel", int((~usable).sum()), "constant or not finite in this run")
    if section.smoothing_fwhm:
        journal.step(f"smoothed, {section.smoothing_fwhm:g} mm FWHM")
    confounds = confounds_of(section.confounds, recording, len(signals), material, journal)
    if not _is_glm(section):
        signals = clean_signals(signals, section, repetition, confounds, where)
        for step in cleaning_steps(section):
            journal.step(step)
    times = start + repetition * np.arange(len(signals), dtype=np.float64)
    return Run(recording, signals, usable, times, confounds)


def _samples(
    run: Run, section: FmriResponses, material: Material, journal: Journal
) -> tuple[pd.DataFrame, Signals]:
    """Return the events that made a sample, and their samples."""
    where = name_of(run.recording)
    if section.continuous:
        journal.step("samples: every volume")
        return volume_events(run.times), run.signals
    events = without_onset(events_of(material.events, where), where, journal)
    if events.empty:
        journal.exclude(where, "recording", 1, "no selected event")
        return events, run.signals[:0]
    _require(section.events.column, events)
    if _is_glm(section):
        return _glm_samples(run, events, section, material, journal)
    samples = section.samples
    if samples.method == "block":
        events = merge_blocks(events, section.events.column, samples.merge_gap)
        journal.step(f"samples: block means, shifted by {samples.shift:g} s")
    else:
        first, last = samples.window
        journal.step(f"samples: means of the volumes {first:g} to {last:g} s after onset")
    windows = windows_of(events, samples)
    means, kept = window_means(run.signals, run.times, windows, where, journal)
    return events[kept].reset_index(drop=True), means


def _glm_samples(
    run: Run, events: pd.DataFrame, section: FmriResponses, material: Material, journal: Journal
) -> tuple[pd.DataFrame, Signals]:
    where, samples, column = name_of(run.recording), section.samples, section.events.column
    recorded = (events["onset"] >= run.times[0] - EPSILON_S) & (
        events["onset"] + PEAK_S <= run.times[-1] + EPSILON_S
    )
    detail = "the response's peak (5 s after onset) isn't in the run"
    journal.exclude(where, "sample", int((~recorded).sum()), detail)
    # Cut-off trials still answer in the volumes that were recorded: they are modelled together.
    others = [events[~recorded], events_of(material.others, where)]
    further = pd.concat([part for part in others if len(part)]) if any(map(len, others)) else None
    further = events[:0] if further is None else further
    reach = (further["onset"] < run.times[-1]) & (further["onset"] > run.times[0] - 24)
    further, events = further[reach], events[recorded].reset_index(drop=True)
    if events.empty:
        return events, run.signals[:0]
    design = make_design(
        events,
        [text(value) for value in events[column]],
        further,
        [text(value) for value in further[column]],
        run.times,
        hrf=samples.hrf,
        detrend=section.detrend,
        high_pass=section.high_pass,
        confounds=run.confounds,
    )
    betas = trial_betas(
        run.signals,
        design,
        method="lsa" if samples.method == "lsa" else "lss",
        noise=samples.noise,
        where=where,
    )
    drift = ["a constant"] + (["a linear trend"] if section.detrend else [])
    drift += [f"cosines up to {section.high_pass:g} Hz"] if section.high_pass else []
    journal.step(f"samples: {samples.method}, {samples.hrf}, {samples.noise}; {', '.join(drift)}")
    if section.standardize:
        spread = nuisance_spread(run.signals, design)
        betas /= np.where(spread > 0, spread, np.float32(1))
        journal.step("coefficients divided by the SD of the voxel's run without drift")
    return events, betas


def _require(column: str, events: pd.DataFrame) -> None:
    if column not in events:
        problem = f"the events have no column '{column}'"
        mend = did_you_mean(column, events.columns)
        raise FornixError(problem, where="responses: events.column", mend=mend)


def _space(recordings: Sequence[pd.Series[Any]]) -> str:
    """Return the standard space that the files name, as BIDS does; "" for the scanner's."""
    named = {str(one["space"]) for one in recordings if isinstance(one["space"], str)}
    return named.pop() if len(named) == 1 else ""


def _units(section: FmriResponses) -> str:
    if section.standardize_samples:
        return "z-score over the session's samples"
    return "standard deviations of the run" if section.standardize else "signal (arbitrary)"


def _unit_coords(
    grid: Grid, mask: Mask, names: Names, usable: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    voxels = np.argwhere(mask)[usable]
    place = apply_affine(grid.affine, voxels)
    ids = np.array(["-".join(map(str, voxel)) for voxel in voxels], dtype=np.str_)
    coords: dict[str, Any] = {"unit": ("unit", ids)}
    coords |= {axis: ("unit", voxels[:, n]) for n, axis in enumerate("ijk")}
    coords |= {
        axis: ("unit", place[:, n].astype(np.float32), {"units": "mm"})
        for n, axis in enumerate("xyz")
    }
    return coords | {"roi": ("unit", names[mask][usable].astype(np.str_))}
