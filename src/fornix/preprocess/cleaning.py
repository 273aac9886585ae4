"""Reading a run's voxels, and cleaning them with nilearn."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from nilearn.image import smooth_img
from nilearn.signal import clean, create_cosine_drift

from fornix.errors import FornixError
from fornix.preprocess.grids import Mask
from fornix.preprocess.material import name_of, text
from fornix.study.responses import Cleaning

BLOCK = 8192
"""Voxels cleaned at a time: nilearn works in float64 and keeps several copies."""

Signals = npt.NDArray[np.float32]


def read_signals(
    image: Any, mask: Mask, smoothing_fwhm: float | None
) -> tuple[Signals, npt.NDArray[np.bool_]]:
    """Read the voxels of a mask.

    Parameters
    ----------
    image
        4D image.
    mask : array (i, j, k)
        Voxels to read.
    smoothing_fwhm
        Gaussian smoothing, mm; None or 0 for none.

    Returns
    -------
    signals : array (volume, voxel)
        In the order of ``np.argwhere(mask)``; unusable voxels are 0.
    usable : array (voxel,)
        False where the raw time course is constant or not finite in some volume.
    """
    volumes = np.asarray(image.dataobj, dtype=np.float32)
    raw = volumes[mask].T
    usable = np.isfinite(raw).all(axis=0) & (np.ptp(raw, axis=0) > 0)
    if smoothing_fwhm:
        smooth = smooth_img(image.__class__(volumes, image.affine, image.header), smoothing_fwhm)
        raw = np.asarray(smooth.dataobj, dtype=np.float32)[mask].T
    return np.where(usable, raw, np.float32(0)), usable


def filter_of(section: Cleaning) -> str | bool:
    """Return which of nilearn's filters a section needs.

    A high-pass alone regresses out discrete cosines, as single-trial GLMs do and SPM does: it
    leaves the ends of short runs alone and is one projection with the confounds (Lindquist et
    al. 2019, Hum Brain Mapp 40). A low-pass needs the Butterworth filter.
    """
    if section.low_pass:
        return "butterworth"
    return "cosine" if section.high_pass else False


def clean_signals(
    signals: Signals,
    section: Cleaning,
    repetition_time: float,
    confounds: npt.NDArray[np.float64] | None,
    where: str,
) -> Signals:
    """Detrend, filter, regress out confounds and z-score, voxel by voxel.

    Parameters
    ----------
    signals : array (volume, voxel)
        One run.
    section
        The settings.
    repetition_time
        TR, s.
    confounds : array (volume, confound) or None
        Projected out together with the drift, never after it.
    where
        The recording, for messages.

    Returns
    -------
    array (volume, voxel)
        The cleaned signals; z-scores use the sample standard deviation (nilearn's
        ``zscore_sample``).

    Raises
    ------
    FornixError
        If the cut-offs don't fit the sampling rate.
    """
    nyquist = 0.5 / repetition_time
    low, high = section.low_pass, section.high_pass or None
    if max(low or 0.0, high or 0.0) >= nyquist or (low and high and high >= low):
        problem = f"the pass band {high or 0:g} to {low or nyquist:g} Hz can't be had"
        mend = f"keep high_pass < low_pass < {nyquist:g} Hz (half the sampling rate of the run)"
        raise FornixError(problem, where=f"responses: high_pass, low_pass ({where})", mend=mend)
    if filter_of(section) == "cosine":
        confounds = _with_cosines(confounds, len(signals), repetition_time, high or 0.0)
    out = np.empty_like(signals)
    with warnings.catch_warnings():
        # How confounds are scaled doesn't matter: only the space that they span is removed.
        warnings.filterwarnings("ignore", message=".*confounds will be standardized.*")
        for start in range(0, signals.shape[1], BLOCK):
            block = slice(start, start + BLOCK)
            out[:, block] = clean(
                signals[:, block].astype(np.float64),
                detrend=section.detrend,
                standardize="zscore_sample" if section.standardize else None,
                confounds=confounds,
                filter="butterworth" if low else False,
                low_pass=low,
                high_pass=high if low else None,
                t_r=repetition_time,
            )
    return out


def _with_cosines(
    confounds: npt.NDArray[np.float64] | None, n_volumes: int, repetition: float, high_pass: float
) -> npt.NDArray[np.float64] | None:
    """Return the confounds with the cosines of the high-pass beside them.

    nilearn's own cosine filter leaves all cosines out, with no more than a warning, where one
    correlates with a confound by more than 0.9, as a slow drift of the head does.
    """
    times = repetition * np.arange(n_volumes)
    cosines = np.asarray(create_cosine_drift(high_pass, times)[:, :-1])
    found = cosines if confounds is None else np.hstack([confounds, cosines])
    return found if found.shape[1] else None


def timing(recording: pd.Series) -> tuple[float, float]:
    """Return a run's TR and the time of its first volume, s."""
    rate = recording["sampling_frequency"]
    if not rate > 0:
        problem = "the repetition time isn't known"
        mend = "add RepetitionTime to the run's JSON sidecar"
        raise FornixError(problem, where=name_of(recording), mend=mend)
    sidecar = json.loads(text(recording.get("sidecar")) or "{}")
    # 1 / (1 / TR) may miss TR by a bit, and so a volume at a window's edge.
    return round(1.0 / float(rate), 9), float(sidecar.get("StartTime") or 0.0)


def cleaning_steps(section: Cleaning) -> list[str]:
    """Return what :func:`clean_signals` does, in words."""
    steps = ["detrended, run by run"] if section.detrend else []
    if section.high_pass or section.low_pass:
        edges = f"{section.high_pass or 0:g} to {section.low_pass or 'Nyquist'} Hz"
        steps.append(f"filtered, {edges} ({filter_of(section)})")
    return steps + (["z-scored, run by run (sample SD)"] if section.standardize else [])
